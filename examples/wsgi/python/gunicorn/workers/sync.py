"""SyncWorker, for classes that derive from it; -k sync and this class's own name are the server's class sync.

HTTP is the server's. It calls what a derived class may override: init_process(), load_wsgi(), init_signals(), run(),
notify(), handle_exit(), handle_quit(), handle_abort(), and handle_request() around each call of the application.
"""
from gunicorn.workers.base import Worker

SERVER_S = "accept", "handle", "wait", "run_for_one", "run_for_multiple"  # what the server does itself


class SyncWorker(Worker):
    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        for name in SERVER_S:
            if name in vars(cls):
                raise TypeError(f"{cls.__qualname__} overrides {name}() of SyncWorker, which prefork-wsgi does not call: "
                                "derive from gunicorn.workers.base.Worker, and serve in run()")

    def run(self):
        self.server_loop.serve_http(self.application())

    def application(self):
        """What the server calls for a request."""
        if type(self).handle_request is SyncWorker.handle_request:
            return self.wsgi
        return self._call

    def _call(self, environ, start_response):
        req = Request(environ, start_response)
        self.handle_request(self.sockets[0] if self.sockets else None, req, None, (req.remote_addr[0], req.remote_addr[1]))
        return req.response

    def handle_request(self, listener, req, client, addr):
        """Call the application. The response is sent when this method has returned; `client` is None."""
        req.response = self.wsgi(req.environ, req.start_response)


class Request:
    """The argument `req` of handle_request()."""
    response = None

    def __init__(self, environ, start_response):
        self.environ, self.start_response = environ, start_response
        self.method, self.uri = environ["REQUEST_METHOD"], environ.get("RAW_URI", "")
        self.path, self.query = environ["PATH_INFO"], environ["QUERY_STRING"]
        self.scheme, self.body = environ["wsgi.url_scheme"], environ["wsgi.input"]
        self.version = tuple(int(part) for part in environ["SERVER_PROTOCOL"].partition("/")[2].split("."))
        self.remote_addr = environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0)

    @property
    def headers(self):
        names = {"CONTENT_TYPE": "CONTENT-TYPE", "CONTENT_LENGTH": "CONTENT-LENGTH"}
        return [(names.get(key, key[len("HTTP_"):].replace("_", "-")), value) for key, value in self.environ.items()
                if key in names or key.startswith("HTTP_")]

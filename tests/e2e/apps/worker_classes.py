"""Worker classes of a user's."""
import os
import select
import sys

from gunicorn.workers.base import Worker
from gunicorn.workers.sync import SyncWorker


def tell(*words):
    print(*words, file=sys.stderr, flush=True)


class Tells:
    """Tells when its signal handlers are called."""

    def handle_exit(self, sig, frame):
        tell("handle_exit", int(sig))
        super().handle_exit(sig, frame)

    def handle_quit(self, sig, frame):
        tell("handle_quit", int(sig))
        super().handle_quit(sig, frame)


class Plain(Tells, Worker):
    """A loop that only checks self.alive, and calls notify()."""

    def init_process(self):
        tell("init_process of", type(self).__name__, self.age, bool(self.cfg.is_ssl), [str(each) for each in self.sockets])
        tell("application of", type(self).__name__, self.app.app_uri)
        super().init_process()

    def run(self):
        for listener in self.sockets:
            listener.setblocking(False)
        while self.alive:
            self.notify()
            ready, _, _ = select.select(self.wait_fds, [], [], self.timeout)
            for listener in ready:
                if listener in self.sockets:
                    self.serve(listener)
                else:
                    os.read(listener, 100)
        tell("the loop ends")

    def serve(self, listener):
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        with client:
            client.setblocking(True)
            request = client.recv(1000)
            if b"/block" in request:
                while True:
                    pass
            body = b"served by a loop of its own"
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class NotOne:
    pass


class Raises(Plain):
    def run(self):
        raise ValueError("run raises")


class Leaves(Plain):
    def run(self):
        sys.exit(3)


class OwnSync(Tells, SyncWorker):
    """What derived classes override."""

    def init_process(self):
        tell("before the application:", self.wsgi is None)
        super().init_process()

    def load_wsgi(self):
        super().load_wsgi()
        inner = self.wsgi

        def outer(environ, start_response):
            def start(status, headers, exc_info=None):
                return start_response(status, [*headers, ("X-Outer", "yes")], exc_info)
            return inner(environ, start)

        self.wsgi = outer

    def handle_request(self, listener, req, client, addr):
        if req.path == "/recycle":
            self.alive = False
        req.environ["REMOTE_USER"] = f"{req.method} {req.path} {req.query} {dict(req.headers).get('X-NAME')}"
        super().handle_request(listener, req, client, addr)


def app(environ, start_response):
    """For the classes that have the server's HTTP."""
    if environ["PATH_INFO"] == "/block":
        while True:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {environ.get('REMOTE_USER')}".encode()]

"""server.app and worker.app."""
from prefork_wsgi import state


class Application:
    def __init__(self, uri):
        self.app_uri = uri
        self.callable = None  # the application, once it is loaded
        self.load = None  # what loads it: in a worker, for worker classes

    @property
    def cfg(self):
        return state.cfg

    def wsgi(self):
        """The application. The arbiter has none, unless preload_app is set."""
        if self.callable is None and self.load is not None:
            self.callable = self.load()
        return self.callable

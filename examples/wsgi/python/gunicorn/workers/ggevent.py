"""GeventWorker by its name: -k gevent."""
from gunicorn.workers.base import OfServer


class GeventWorker(OfServer, word="gevent"):
    pass


class GeventPyWSGIWorker(OfServer, word="gevent"):
    pass

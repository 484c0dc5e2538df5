"""TornadoWorker by its name: -k tornado."""
from gunicorn.workers.base import OfServer


class TornadoWorker(OfServer, word="tornado"):
    pass

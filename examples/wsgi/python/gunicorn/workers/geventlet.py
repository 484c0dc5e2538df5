"""EventletWorker by its name: -k eventlet."""
from gunicorn.workers.base import OfServer


class EventletWorker(OfServer, word="eventlet"):
    pass

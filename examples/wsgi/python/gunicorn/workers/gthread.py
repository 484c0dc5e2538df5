"""ThreadWorker by its name: -k threads."""
from gunicorn.workers.base import OfServer


class ThreadWorker(OfServer, word="threads"):
    pass

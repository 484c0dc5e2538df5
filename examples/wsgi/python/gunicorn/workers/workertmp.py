"""worker.tmp: gunicorn has a file here, whose time of change is the heartbeat. prefork-wsgi has no such files."""
import os
import time


class WorkerTmp:
    def __init__(self, cfg):
        self._fd, self._time = None, time.monotonic()
        self.beat = None  # called by notify(), for worker classes with a loop of their own

    def notify(self):
        self._time = time.monotonic()
        if self.beat is not None:
            self.beat()

    def last_update(self):
        return self._time

    def fileno(self):
        """An empty file in memory, for code that wants a descriptor."""
        if self._fd is None:
            self._fd = os.memfd_create("worker-tmp")
        return self._fd

    def close(self):
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

"""The supervisor as hooks see it: the argument `server` of most of them.

The supervisor itself is libprefork; this object shows its state. In the arbiter it is kept up to date. A worker has the
copy that the fork has made, as with gunicorn.
"""
import os
import signal

from prefork_wsgi import state


class Listener:
    """A listening socket that belongs to the library: to look at, and to pass on by its descriptor."""

    def __init__(self, address, fd):
        self.address, self.fd = address, fd

    def fileno(self):
        return self.fd

    def getsockname(self):
        if self.address.startswith("unix:"):
            name = self.address[len("unix:"):]
            return "\0" + name[1:] if name.startswith("@") else name
        host, _, port = self.address.rpartition(":")
        return (host[1:-1], int(port), 0, 0) if host.startswith("[") else (host, int(port))

    def __str__(self):
        scheme = "https" if state.cfg is not None and state.cfg.is_ssl else "http"
        return self.address if self.address.startswith("unix:") else f"{scheme}://{self.address}"


class Arbiter:
    WORKER_BOOT_ERROR = 3  # exit statuses of workers
    APP_LOAD_ERROR = 4

    def __init__(self, app):
        self.app, self._log = app, None
        self.pid = os.getpid()
        self.WORKERS = {}  # pid: gunicorn.workers.base.Worker
        self.LISTENERS = []
        self.worker_age = 0  # the age of the youngest worker: each is one older than the one before
        self.master_pid = self.reexec_pid = 0
        self.master_name = "Master"
        self.pidfile = None
        self.systemd = "LISTEN_FDS" in os.environ
        self._num_workers = None
        self._request_workers = None  # set by prefork_wsgi.hooks
        self.follow()

    def follow(self):
        """Take over what the configuration says, at the start and after each reload."""
        self.address, self.timeout, self.proc_name = self.cfg.address, self.cfg.timeout, self.cfg.proc_name

    @property
    def cfg(self):
        return state.cfg

    @property
    def log(self):
        if self._log is None:
            from prefork_wsgi import logging_bridge  # late: the module logging costs 1 MB
            self._log = logging_bridge.logger(self.cfg)
        return self._log

    @log.setter
    def log(self, log):
        self._log = log

    @property
    def worker_class(self):
        return self.cfg.worker_class

    @property
    def num_workers(self):
        """The number of workers that the arbiter tries to have. A new number is a request, as TTIN and TTOU are."""
        return self._num_workers

    @num_workers.setter
    def num_workers(self, number):
        if os.getpid() == self.pid and self._request_workers:
            self._request_workers(number)

    # What these request begins once the hook has returned.

    def kill_worker(self, pid, sig):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass

    def kill_workers(self, sig):
        for pid in list(self.WORKERS):
            self.kill_worker(pid, sig)

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)

    def reexec(self):
        os.kill(self.pid, signal.SIGUSR2)

    def stop(self, graceful=True):
        os.kill(self.pid, signal.SIGTERM if graceful else signal.SIGQUIT)

    def wakeup(self):
        """The arbiter needs no wake-up."""

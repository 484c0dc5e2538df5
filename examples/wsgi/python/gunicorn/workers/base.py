"""The class that worker classes derive from, and the argument `worker` of hooks.

A derived class serves with a loop of its own (docs/workers-in-python.md). prefork_wsgi.worker_class runs it.
"""
import os
import random
import signal
import sys

from gunicorn.workers.workertmp import WorkerTmp

class Worker:
    """Created in the arbiter before the fork where hooks want it, so that attributes which pre_fork sets are in the worker,
    too; the arbiter keeps its own copy, which child_exit gets."""

    # The signals that init_signals() resets before it sets its own: none, because the server has set them all, and its
    # handlers of the others have no effect or log stacks.
    SIGNALS = []
    PIPE = []

    def __init__(self, age, ppid, sockets, app, timeout, cfg, log):
        self.age, self.ppid, self.sockets, self.app = age, ppid, sockets, app
        self.timeout, self.cfg, self.log = timeout, cfg, log
        self.pid = "[booting]"  # until the fork
        self.slot = None        # its place in the pool, from 0; its replacement has the same
        self.booted = self.aborted = False
        self.alive = True
        self.reloader = self.wsgi = None
        self.nr = 0
        self.max_requests = sys.maxsize
        if cfg.max_requests > 0:
            self.max_requests = cfg.max_requests + random.randint(0, cfg.max_requests_jitter)
        self.tmp = WorkerTmp(cfg)

    def __str__(self):
        return f"<Worker {self.pid}>"

    def notify(self):
        """Report that this worker is alive: once in `self.timeout` seconds."""
        self.tmp.notify()

    def run(self):
        """Serve until self.alive is false."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method run()")

    def init_process(self):
        """Prepare this process and call run(). A derived class calls this last."""
        self.PIPE = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.wait_fds = [*self.sockets, self.PIPE[0]]
        self.init_signals()
        self.load_wsgi()
        self.cfg.post_worker_init(self)
        self.booted = True
        self.run()

    def load_wsgi(self):
        self.wsgi = self.app.wsgi()

    def init_signals(self):
        """The server calls handle_exit(), handle_quit() and handle_usr1() where no handler of Python's is set for TERM,
        QUIT and USR1. Signals end waits for the descriptors of self.wait_fds."""
        signal.set_wakeup_fd(self.PIPE[1], warn_on_full_buffer=False)
        if type(self).handle_abort is not Worker.handle_abort:  # otherwise the server calls worker_abort
            signal.signal(signal.SIGABRT, self.handle_abort)

    def handle_exit(self, sig, frame):
        self.alive = False

    def handle_quit(self, sig, frame):
        self.alive = False
        self.cfg.worker_int(self)
        sys.exit(0)

    def handle_abort(self, sig, frame):
        self.alive = False
        self.cfg.worker_abort(self)
        sys.exit(1)

    def handle_usr1(self, sig, frame):
        self.log.reopen_files()

    def handle_winch(self, sig, frame):
        self.log.debug("worker: SIGWINCH ignored.")

    def handle_error(self, req, client, addr, exc):
        self.log.exception("Error handling request %s", getattr(req, "uri", ""))

    def is_parent_alive(self):
        return self.ppid == os.getppid()


class OfServer(Worker):
    """A class of gunicorn's that is the server's own, written in C: here is its name, and no class can derive from it."""
    word = None  # what -k has for it

    def __init_subclass__(cls, word=None, **keywords):
        super().__init_subclass__(**keywords)
        if word is None:
            parent = next(each for each in cls.__mro__[1:] if "word" in vars(each))
            raise TypeError(f"{cls.__qualname__} derives from {parent.__name__}, which prefork-wsgi does not run in Python: use "
                            f"-k {parent.word}, or derive from gunicorn.workers.sync.SyncWorker or gunicorn.workers.base.Worker")
        cls.word = word

"""Runs a worker class of gunicorn's interface (gunicorn.workers.base.Worker) in a worker of the server.

The adapter of host_loop.c for classes that are named by package.module.Class or egg:DIST#NAME. The class serves by itself;
the server supervises it by notify(), and interrupts its loop by a signal when the worker must drain or quit.
"""
import difflib
import os
import select
import signal
import sys
import time

from gunicorn import sock, util
from gunicorn.workers import SUPPORTED_WORKERS, base, sync
from prefork_wsgi import logging_bridge, state
from prefork_wsgi.application import Application

INTERRUPT = signal.SIGIO
TICK = 1000  # ms: some classes read the clock once per second only, and so may be late by that
LATE = 20  # ms between two checks of the backlogs
EMPTYING = 1.0  # s: how long a worker accepts what is pending before it closes its listeners
QUIET = 100  # ms: connections that have been accepted get to their loop
AGAIN = 500  # ms: what a quick stop raises is raised again then, if something has caught it


def find(name):
    """The worker class that the setting names."""
    try:
        cls = util.load_class(configured() or name)
    except RuntimeError as error:
        cause = error.__cause__
        if isinstance(cause, ImportError) and not name.startswith(("egg:", cause.name or "egg:")):
            raise cause from None  # of a module that this one imports
        raise RuntimeError(f"{error}{suggestion(name)}") from None
    if not (isinstance(cls, type) and issubclass(cls, base.Worker)):
        raise TypeError(f"{cls!r} is no worker class: it does not derive from gunicorn.workers.base.Worker"
                        + suggestion(name))
    return cls


def configured():
    """A class object that the configuration file has, instead of a name."""
    cls = state.cfg.settings["worker_class"].get() if state.cfg is not None else None
    return cls if isinstance(cls, type) else None


def suggestion(name):
    """The worker classes that are nearest to a wrong name, as an addition to its error message."""
    known = set(SUPPORTED_WORKERS.values())
    module = sys.modules.get(name.rpartition(".")[0])
    for key, value in vars(module).items() if module else ():
        if isinstance(value, type) and issubclass(value, base.Worker) and value is not base.Worker:
            known.add(f"{module.__name__}.{key}")
    known |= {"uvicorn.workers.UvicornWorker", "uvicorn.workers.UvicornH11Worker", "aiohttp.GunicornWebWorker"}
    near = difflib.get_close_matches(name, known - {name}, 1)
    return f"; did you mean {near[0]}?" if near else ""


def loop(name):
    """The class Loop of this adapter for a worker class."""
    return type("Loop", (Loop,), {"name": name})


class Loop:
    has_own_server = loads_application = True
    is_wsgi = False
    name = worker_class = None

    @classmethod
    def prepare(cls):
        cls.worker_class = find(cls.name)
        cls.is_wsgi = issubclass(cls.worker_class, sync.SyncWorker)
        if hasattr(cls.worker_class, "setup"):
            cls.worker_class.setup()

    def __init__(self, host):
        if self.worker_class is None:
            self.prepare()
        self.host, self.pid = host, os.getpid()
        self.is_ready = self.is_quitting = self.ends_itself = self.was_asked = False
        self.step, self.since = self.begin_drain, 0
        cfg = state.cfg
        log = logging_bridge.logger(cfg) if state.server is None else state.server.log
        self.limit = int(cfg.timeout * 1000) + TICK if cfg.timeout else 0
        app = Application(host.application_name)
        app.load = host.load_application
        sockets = sock.of_worker(host, cfg, log)
        self.worker = self.worker_class(host.slot + 1, os.getppid(), sockets, app, cfg.timeout / 2, cfg, log)
        self.inherit(state.worker)
        self.worker.pid, self.worker.slot, self.worker.tmp.beat = os.getpid(), host.slot, self.beat
        self.worker.server_loop = self  # for SyncWorker
        state.worker = self.worker

    def inherit(self, before):
        """What hooks have set in the object that the arbiter had for this worker."""
        for name, value in vars(before).items() if before is not None else ():
            if name not in vars(self.worker) or name == "age":
                setattr(self.worker, name, value)

    def run(self):
        signal.signal(INTERRUPT, self.interrupted)
        signal.siginterrupt(INTERRUPT, False)
        self.host.interrupt_by(INTERRUPT)
        try:
            self.worker.init_process()
        except SystemExit as end:
            status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
            if status != 0 and not self.is_ready and not self.is_quitting:
                raise RuntimeError(f"it has exited with status {status} before it served") from end
            return status
        finally:
            if os.getpid() == self.pid:
                self.host.interrupt_no_more()
        return 0

    def beat(self):
        """notify(), which the class calls from time to time."""
        if self.worker.booted and not self.is_ready:
            self.is_ready = True
            if callable(signal.getsignal(signal.SIGABRT)):
                self.host.dump_at_abort()
            self.host.ready()
        self.host.beat(self.limit)

    def interrupted(self, signo, frame):
        """In the first thread, between two instructions of whatever it does."""
        if os.getpid() != self.pid:
            return
        directive, again = self.host.check(), -1
        try:
            if directive == "quit" and not self.is_quitting:
                self.is_quitting = True
                again = AGAIN  # uvicorn, for example, catches what is raised in a request
                self.ask(signal.SIGQUIT, self.worker.handle_quit)
                again = -1  # nothing was raised: the class ends by itself
                self.ends_itself = True
            elif directive == "quit" and not self.ends_itself:
                again = AGAIN
                sys.exit(0)
            elif directive == "drain":
                again = self.step()
        finally:
            self.host.interrupt_again(again)

    def ask(self, signo, handler):
        """By the handler that the class has set, if it has; returns whether it has."""
        if callable(signal.getsignal(signo)):
            signal.raise_signal(signo)
            return True
        handler(signo, None)
        return False

    def serve_http(self, application):
        """For classes that leave HTTP to the server: returns when the worker has drained. Requests run in this thread."""
        self.host.interrupt_no_more()
        self.host.open_http(application)
        self.is_ready, self.worker.tmp.beat = True, None  # the server sees by itself whether the loop hangs
        poll, was_asked = select.poll(), False
        poll.register(self.host.fd, select.POLLIN)
        goes_on = True
        while goes_on:
            self.worker.notify()
            self.host.idle()
            poll.poll()
            self.host.busy()
            goes_on = self.host.dispatch()
            if not self.worker.alive and self.host.directive == "continue":
                self.host.retire()
            if self.host.directive == "drain" and not was_asked:
                was_asked = True
                self.worker.handle_exit(signal.SIGTERM, None)
        if self.host.directive == "quit":
            self.worker.handle_quit(signal.SIGQUIT, None)

    # The steps of a drain. Each returns when to call the next one, in ms.

    def begin_drain(self):
        self.since, self.step = time.monotonic(), self.empty_queues
        return self.step()

    def empty_queues(self):
        """The class accepts on, until nothing is pending."""
        if self.host.empties_queues and time.monotonic() < self.since + EMPTYING and self.has_pending():
            return LATE
        for listener in self.worker.sockets:
            listener.stop_accepting()
        self.host.close_listeners()
        self.step = self.stop
        return QUIET

    def has_pending(self):
        poll = select.poll()
        for listener in self.worker.sockets:
            poll.register(listener.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def stop(self):
        """Once more if the class sets its handler only now."""
        if not self.was_asked or callable(signal.getsignal(signal.SIGTERM)):
            self.was_asked = True
            if self.ask(signal.SIGTERM, self.worker.handle_exit):
                self.step = lambda: -1
                return -1
        return QUIET

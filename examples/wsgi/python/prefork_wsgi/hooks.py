"""Calls the hooks of a configuration file in Python, and keeps the objects server and worker for them.

hooks.c calls these functions: the first group in the arbiter, the second one in a worker. Exceptions of a hook pass
through: hooks.c logs them and decides what follows.
"""
import os

from gunicorn import arbiter
from gunicorn.workers import base
from prefork_wsgi import config_file, state
from prefork_wsgi.application import Application


class Worker(base.Worker):
    """A worker of a class of prefork-wsgi's own."""

    @property
    def log(self):
        return state.server.log

    @log.setter
    def log(self, log):
        """It is that of the server, which is made when a hook uses it: the module logging costs 1 MB."""


booting = None  # the worker between pre_fork and the fork


class Limit(config_file.Limit):
    """hook_timeout: after so many seconds the hook gets an exception. A hook may fork, other than the file."""

    FORKS = ()

    def __init__(self, name, seconds):
        super().__init__(seconds)
        self.name = name

    def expire(self, signo, frame):
        raise config_file.TimeExpired(f"{self.name}: not done within {self.seconds:g} s (hook_timeout)")


def call(name, seconds, *arguments):
    """Call one hook, if the file has it. `seconds`: its limit; 0: none."""
    if not defined(name):
        return
    Limit(name, seconds).call(getattr(state.cfg, name), *arguments)


def defined(name):
    """Whether the file has the hook."""
    setting = state.cfg.settings[name]
    return setting.get() is not setting.default


# --- in the arbiter ---

def begin(application, request_workers):
    """Make the object server. request_workers(number) asks for so many workers."""
    state.server = arbiter.Arbiter(Application(application))
    state.server._request_workers = request_workers


def scaled(seconds, workers):
    """The number of workers has changed; at first None becomes the setting."""
    server = state.server
    before, server._num_workers = server._num_workers, workers
    call("nworkers_changed", seconds, server, workers, before)


def follow_scale(seconds, workers):
    """What a reload has announced is not announced again."""
    if state.server._num_workers != workers:
        scaled(seconds, workers)


def on_starting():
    state.server.pid = os.getpid()
    call("on_starting", 0, state.server)


def listen(listeners):
    state.server.LISTENERS = [arbiter.Listener(*each) for each in listeners]


def when_ready(listeners):
    state.server.follow()
    listen(listeners)
    call("when_ready", 0, state.server)


def reload_begins(seconds, workers):
    """As with gunicorn, nworkers_changed is called at each reload, also for the same number."""
    state.server.follow()
    scaled(seconds, workers)


def on_reload(seconds):
    call("on_reload", seconds, state.server)


def reload_ends(seconds, workers, listeners):
    """A reload that failed has changed nothing."""
    state.server.follow()
    listen(listeners)
    follow_scale(seconds, workers)


def pre_fork(seconds, slot, cfg):
    global booting
    server = state.server
    server.worker_age += 1
    booting = Worker(server.worker_age, server.pid, server.LISTENERS, server.app, cfg.timeout / 2, cfg, None)
    booting.slot = slot
    call("pre_fork", seconds, server, booting)


def forked(pid):
    global booting
    booting.pid = pid
    state.server.WORKERS[pid] = booting
    booting = None


def not_forked():
    global booting
    booting = None


def child_exit(seconds, pid):
    worker = state.server.WORKERS.pop(pid, None)
    if worker is not None:
        worker.tmp.close()
        call("child_exit", seconds, state.server, worker)


def on_exit():
    state.server.LISTENERS = []
    call("on_exit", 0, state.server)


def pre_exec(seconds):
    """In the process of an upgrade, before it executes the program."""
    call("pre_exec", seconds, state.server)


# --- in a worker ---

def post_fork():
    state.worker, worker = booting, booting
    worker.pid = os.getpid()
    for other in state.server.WORKERS.values():
        other.tmp.close()
    call("post_fork", 0, state.server, worker)


def post_worker_init(application):
    worker = state.worker
    worker.wsgi = worker.app.callable = application
    call("post_worker_init", 0, worker)
    worker.booted = True


def draining():
    state.worker.alive = False


def worker_int():
    state.worker.alive = False
    call("worker_int", 0, state.worker)


def worker_abort():
    state.worker.alive, state.worker.aborted = False, True
    call("worker_abort", 0, state.worker)


def worker_exit():
    state.worker.tmp.close()
    call("worker_exit", 0, state.server, state.worker)

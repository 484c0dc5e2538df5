"""A worker class of your own: the worker runs in an event loop of asyncio.

    prefork-wsgi -k asyncio_loop:Loop myapp:app
"""
import asyncio
import selectors


class Selector(selectors.DefaultSelector):
    """Reports when the loop waits: the deadline of a request does not include that time."""
    worker = None

    def select(self, timeout=None):
        self.worker.idle()
        ready = super().select(timeout)
        self.worker.busy()
        return ready


class Loop:
    reports_idle = True

    def __init__(self, worker):
        selector = Selector()
        selector.worker = self.worker = worker
        self.loop = asyncio.SelectorEventLoop(selector)
        asyncio.set_event_loop(self.loop)

    def run(self):
        self.loop.add_reader(self.worker.fd, self.dispatch)
        for index, fd in enumerate(self.worker.listeners):
            self.loop.add_reader(fd, self.worker.listener_ready, index)
        if not self.worker.adopt_listeners():
            self.listeners_closing()
        self.loop.run_forever()

    def dispatch(self):
        if not self.worker.dispatch():
            self.loop.remove_reader(self.worker.fd)
            self.loop.stop()

    def listeners_closing(self):
        for fd in self.worker.listeners:
            self.loop.remove_reader(fd)

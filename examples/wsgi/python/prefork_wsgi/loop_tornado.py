"""The worker class tornado: its IOLoop, which is asyncio's loop, is the event loop. A WSGI application runs in the
loop; an application of tornado has tornado's own HTTP server."""
import asyncio
import os
from prefork_wsgi.loop_selector import Selector
from prefork_wsgi.tornado_server import Server
from tornado import httputil, wsgi


class Loop:
    reports_idle = True

    @classmethod
    def prepare(cls):  # while it is imported, the application may add callbacks
        cls.selector, cls.pid = Selector(), os.getpid()
        cls.loop = asyncio.SelectorEventLoop(cls.selector)
        asyncio.set_event_loop(cls.loop)

    def __init__(self, worker):
        if self.pid != os.getpid():  # preloaded: that loop is the arbiter's
            self.prepare()
        asyncio.set_event_loop(self.loop)  # the application may have set another one
        self.worker = worker
        own = httputil.HTTPServerConnectionDelegate, wsgi.WSGIContainer
        self.has_own_server = isinstance(worker.application, own)
        plain = {"certfile": (None, ""), "proxy_protocol": (None, "off"), "protocol": (None, "http")}
        if self.has_own_server and any(worker.setting(name) not in values for name, values in plain.items()):
            raise ValueError("tornado's own server has no TLS, PROXY headers, or uwsgi protocol: leave them to a proxy")
        self.selector.report_to(worker)
        os.register_at_fork(after_in_child=self.selector.leave)

    def run(self):
        if self.has_own_server:
            Server(self.worker.application, self.worker, self.loop, self.selector.fileno())
        else:
            self.loop.add_reader(self.worker.fd, self.dispatch)
            for index, fd in enumerate(self.worker.listeners):
                self.loop.add_reader(fd, self.worker.listener_ready, index)
            if not self.worker.adopt_listeners():
                self.listeners_closing()
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:  # so that `finally` blocks run
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=self.worker.setting("abort_timeout") / 2000))

    def dispatch(self):
        if not self.worker.dispatch():
            self.loop.remove_reader(self.worker.fd)
            self.loop.stop()

    def listeners_closing(self):
        for fd in self.worker.listeners:
            self.loop.remove_reader(fd)

"""Tornado's own HTTP server on the listeners of a worker, for applications of tornado."""
import os
import select
import socket
from prefork_wsgi.tornado_request import Request
from tornado import httpserver, iostream


class Server(httpserver.HTTPServer):
    def initialize(self, application, worker, loop, epoll_fd):
        keep = worker.setting("keepalive") / 1000  # below 0: tornado's default
        super().initialize(application, no_keep_alive=keep == 0, idle_connection_timeout=keep if keep > 0 else None)
        self.worker, self.loop, self.drain_idle, self.open, self.waiting = worker, loop, None, 0, set()
        self.epoll = select.epoll.fromfd(os.dup(epoll_fd))
        self.listeners = [socket.socket(fileno=os.dup(fd)) for fd in worker.listeners]
        for listener in self.listeners:
            self.watch(listener)
        loop.add_reader(worker.control_fd, self.check)
        worker.ready()

    def watch(self, listener, again=False):
        """At the end of the kernel's wait queue: the next connection wakes another worker, and only one."""
        if not again:
            self.loop.add_reader(listener, self.accept, listener)
        self.epoll.unregister(listener)
        self.epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def accept(self, listener):
        """Return whether more connections may be pending."""
        try:
            stream, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError) as error:
            return isinstance(error, ConnectionAbortedError)
        except OSError as error:  # such as EMFILE
            self.loop.call_exception_handler({"message": "accept failed, retrying in 1 s", "exception": error})
            self.loop.remove_reader(listener)
            self.loop.call_later(1, lambda: listener in self.listeners and self.watch(listener))
            return False
        self.watch(listener, again=True)
        self.open += 1
        self.handle_stream(iostream.IOStream(stream), address)
        return True

    def start_request(self, connection, request):
        self.waiting.add(connection)
        self.close_waiting([connection])
        return Request(super().start_request(connection, request), self, connection)

    def on_close(self, connection):
        super().on_close(connection)
        self.waiting.discard(connection)
        self.open -= 1
        if self.drain_idle is not None and self.open == 0:
            self.loop.stop()

    def close_waiting(self, connections):
        for connection in connections if self.drain_idle is not None else ():
            self.loop.call_later(self.drain_idle, lambda each: each in self.waiting and each.stream.close(), connection)

    def check(self):
        directive = self.worker.check()
        if directive == "drain" and self.drain_idle is None:
            self.drain()
        if directive == "quit" or (self.drain_idle is not None and self.open == 0):
            self.loop.stop()

    def drain(self):
        for listener in self.listeners:
            while self.accept(listener):
                pass
            self.loop.remove_reader(listener)
            listener.close()
        self.listeners.clear()
        self.worker.close_listeners()
        limit = self.worker.setting("graceful_timeout") / 1000 or 1e9
        self.drain_idle = min(self.worker.setting("drain_idle") / 1000, 0.75 * limit)
        self.conn_params.no_keep_alive = True
        self.close_waiting(self.waiting)
        self.loop.call_later(max(limit - 1, limit / 2), self.loop.stop)

"""The worker class eventlet: each request runs in a greenlet of its own, and eventlet's hub is the event loop."""
import os


class Loop:
    multithread = True
    reports_idle = True

    @staticmethod
    def prepare():
        import socket
        import eventlet
        from eventlet import hubs
        from eventlet.greenio import GreenSocket
        plain = socket.socket
        hubs.use_hub()
        eventlet.monkey_patch()
        if not hasattr(GreenSocket, "sendfile"):  # that of Python's sockets, by send(), which waits in the hub
            GreenSocket.sendfile = plain._sendfile_use_send
            GreenSocket._check_sendfile_params = plain._check_sendfile_params

    def __init__(self, worker):
        import eventlet.event
        import greenlet
        from eventlet import hubs
        self.worker, self.hub, self.over = worker, hubs.get_hub(), eventlet.event.Event()
        self.listeners, self.watchers = [], []
        self.current, self.park, self.unpark = greenlet.getcurrent, self.hub.switch, greenlet.greenlet.switch
        create, hub, poll = greenlet.greenlet, self.hub, type(self.hub).do_poll

        def submit(work):
            task = create(work, hub.greenlet)
            task.switch()
            return task

        def do_poll(seconds):
            worker.idle()
            try:
                return poll(hub, seconds)
            finally:
                worker.busy()
        self.submit, hub.do_poll = submit, do_poll
        self.renew()  # a preloaded application has started the hub in the arbiter

    def run(self):
        worker = self.worker
        self.watch(self.watchers, worker.fd, self.dispatch)
        for index, fd in enumerate(worker.listeners):
            self.watch(self.listeners, fd, lambda _, index=index: worker.listener_ready(index))
        os.register_at_fork(after_in_child=self.in_child)
        if not worker.adopt_listeners():
            self.listeners_closing()
        self.over.wait()

    def watch(self, watchers, fd, callback):
        watchers.append(self.hub.add(self.hub.READ, fd, callback, callback, lambda: None))

    def dispatch(self, _):
        if not self.worker.dispatch():
            self.hub.remove(self.watchers.pop())
            self.over.send()

    def listeners_closing(self):
        while self.listeners:
            self.hub.remove(self.listeners.pop())

    def in_child(self):
        for watcher in (*self.watchers, *self.listeners):
            self.hub.listeners[self.hub.READ].pop(watcher.fileno, None)
        self.renew()

    def renew(self):
        """The epoll set is shared with the parent, which needs it unchanged: make a new one."""
        if hasattr(self.hub.poll, "fileno"):
            self.hub.poll = type(self.hub.poll)()
            for fd in {*self.hub.listeners[self.hub.READ], *self.hub.listeners[self.hub.WRITE]}:
                self.hub.register(fd, new=True)

    def cancel(self, task):
        self.hub.schedule_call_global(0, task.throw)  # GreenletExit

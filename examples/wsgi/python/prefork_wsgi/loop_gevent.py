"""The worker class gevent: each request runs in a greenlet of its own, and gevent's hub is the event loop."""
import os


class Loop:
    multithread = True
    reports_idle = True

    @staticmethod
    def prepare():
        from gevent import monkey
        monkey.patch_all()

    def __init__(self, worker):
        import gevent
        import gevent.event
        import greenlet
        gevent.reinit()  # a preloaded application may have started the hub in the arbiter
        self.worker, self.hub, self.over = worker, gevent.get_hub(), gevent.event.Event()
        self.listeners, self.watchers = [], []
        self.current, self.park, self.unpark = greenlet.getcurrent, self.hub.switch, greenlet.greenlet.switch
        create, hub = greenlet.greenlet, self.hub

        def submit(work):
            task = create(work, hub)
            task.switch()
            return task
        self.submit = submit

    def run(self):
        loop, worker = self.hub.loop, self.worker
        # The last before the wait, after all callbacks of this turn; and the first after it.
        self.watch(loop.prepare(priority=loop.MINPRI), worker.idle)
        self.watch(loop.check(priority=loop.MAXPRI), worker.busy)
        self.watch(loop.io(worker.fd, 1), self.dispatch)
        for index, fd in enumerate(worker.listeners):
            watcher = loop.io(fd, 1)
            watcher.start(worker.listener_ready, index)
            self.listeners.append(watcher)
        # gevent would install it after the first fork, and miss the end of a child that exits at once.
        os.register_at_fork(before=loop.install_sigchld, after_in_child=self.stop)
        self.watch(loop.timer(0), self.adopt)  # the loop enters watchers into its epoll set before its first wait
        self.over.wait()

    def watch(self, watcher, callback):
        watcher.start(callback)
        self.watchers.append(watcher)

    def dispatch(self):
        if not self.worker.dispatch():
            self.stop()
            self.over.set()

    def adopt(self):
        if self.listeners and not self.worker.adopt_listeners():
            self.listeners_closing()

    def listeners_closing(self):
        while self.listeners:
            self.listeners.pop().stop()

    def stop(self):
        self.listeners_closing()
        while self.watchers:
            self.watchers.pop().stop()

    def cancel(self, task):
        self.hub.loop.run_callback(task.throw)  # GreenletExit

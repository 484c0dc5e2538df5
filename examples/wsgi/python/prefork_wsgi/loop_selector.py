"""The selector of an event loop of asyncio that a worker runs in."""
import selectors
import sys


class Selector:
    """The loop's epoll set. In a forked child it is replaced by an empty one, and the loop does not go on."""
    def __init__(self):
        inner = selectors.EpollSelector()
        for name in ("register", "unregister", "modify", "get_key", "get_map", "select", "close", "fileno"):
            setattr(self, name, getattr(inner, name))

    def report_to(self, worker):
        wait, idle, busy = self.select, worker.idle, worker.busy

        def report(timeout=None):
            idle()
            ready = wait(timeout)
            busy()
            return ready
        self.select = report

    def leave(self):
        self.close()
        self.__init__()
        self.select = lambda timeout=None: sys.exit()

"""For worker classes with tasks: gevent, eventlet. Blocking functions of Python's library are replaced, so sleep() and
locks switch to other requests."""
import contextvars
import importlib
import os
import socket
import tempfile
import threading
import time
import types
import urllib.parse

library = importlib.import_module(os.environ["LOOP"])  # gevent, eventlet
variable = contextvars.ContextVar("variable", default="fresh")
local = threading.local()
ticks = [0]
closed = []
met, meeting, gate = [], threading.Event(), threading.Event()


def tick():
    while True:
        time.sleep(0.01)
        ticks[0] += 1


threading.Thread(target=tick, daemon=True).start()


class Pieces:
    """Counts how often it is closed."""

    def __init__(self, count, size):
        self.count, self.piece = count, b"x" * size

    def __iter__(self):
        for number in range(self.count):
            if number % 8 == 7:
                time.sleep(0)
            yield self.piece

    def close(self):
        closed.append(self.count)


def meet(environ, number):
    """Returns when `number` requests are here at the same time."""
    met.append(1)
    if len(met) == number:
        meeting.set()
    return b"met" if meeting.wait(10) else b"alone"


def fresh(environ, mark):
    """What other requests have left in this one's context."""
    found = f"{variable.get()} {getattr(local, 'value', 'fresh')}"
    variable.set(mark)
    local.value = mark
    time.sleep(0.001)
    return found.encode() if (variable.get(), local.value) == (mark, mark) else b"changed"


def fork(environ, _):
    """The child runs the loop, and ends by itself."""
    pid = os.fork()
    if pid == 0:
        time.sleep(0.5)
        os._exit(7)
    while True:  # waits in the loop meanwhile
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return str(os.waitstatus_to_exitcode(status)).encode()
        time.sleep(0.02)


def fork_and_return(environ, _):
    """The child returns from the application, too."""
    pid = os.fork()
    if pid == 0:
        return b"of the child"
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.02)
    return b"of the parent"


def read_in_time(environ, mark):
    """Reads for some time, and then the rest."""
    reader = environ["wsgi.input"]
    try:
        with library.Timeout(0.1):
            first = reader.read()
    except library.Timeout:
        first = b"too late"
        print(f"read {mark}: too late", flush=True)
    return first + b" " + reader.read()


def leave_reader(environ, _):
    """Returns while a task of its own still reads the body."""
    def read():
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            print(f"reader: {type(error).__name__}", flush=True)
    library.spawn(read)
    time.sleep(0.01)
    return b"left"


def wait_finally(environ, _):
    try:
        gate.set()
        time.sleep(60)
    finally:
        time.sleep(0.01)
        print("finally ran", flush=True)
    return b""



def block(environ, _):
    """Keeps the thread: the loop does not run."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass
    return b""


def hint(environ, mark):
    """Two requests at a time, each with a link of its own."""
    met.append(1)
    if len(met) % 2 == 0:
        gate.set()
    else:
        gate.clear()
        gate.wait(5)
    environ["wsgi.early_hints"]([("Link", f"</{mark}>")])
    time.sleep(0.01)
    return mark.encode()


def nap(environ, milliseconds):
    time.sleep(milliseconds / 1000)
    return b"slept"


def in_pool(environ, mark):
    """Blocks in a thread of the library's pool, whose functions run outside of the loop, until the loop has run."""
    sleep, goal = original("time").sleep, ticks[0] + 5

    def block():
        for _ in range(1000):
            if ticks[0] >= goal:
                return mark
            sleep(0.01)
        return "the loop does not run"

    if library.__name__ == "gevent":
        found = library.get_hub().threadpool.apply(block)
    else:
        found = importlib.import_module("eventlet.tpool").execute(block)
    socket.getaddrinfo("localhost", 80)  # in that pool, too
    return found.encode()


def end_other_loop(environ, _):
    """A thread of gevent's pool has a hub and an event loop of its own, and destroys both."""
    def in_thread():
        library.sleep(0.01)
        library.get_hub().destroy(destroy_loop=True)
        return b"destroyed"
    return library.get_hub().threadpool.apply(in_thread)


def own_greenlets(environ, _):
    """Greenlets with link() and pools, started in a request."""
    linked = []
    task = library.spawn(time.sleep, 0.01)
    task.link(lambda ended: linked.append(ended.successful()))
    task.join()
    pool = importlib.import_module("gevent.pool").Pool(2)
    found = pool.map(lambda number: number * number, range(5))
    time.sleep(0)
    return repr((linked, found)).encode()


def original(module):
    """A module of the standard library before it was replaced."""
    if library.__name__ == "gevent":
        return types.SimpleNamespace(sleep=importlib.import_module("gevent.monkey").get_original(module, "sleep"))
    return importlib.import_module("eventlet.patcher").original(module)


def stubborn(environ, _):
    """Does not end when it is asked to."""
    gate.set()
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass


def send_file(environ, _):
    """socket.sendfile() to a greenlet, of more than the sockets hold."""
    near, far = socket.socketpair()
    received = []

    def read():
        while piece := far.recv(65536):
            received.append(len(piece))

    reader = threading.Thread(target=read)
    reader.start()
    with near, tempfile.TemporaryFile() as file:
        file.write(bytes(3_000_000))
        sent = near.sendfile(file, 1_000_000)
    reader.join()
    far.close()
    return f"{sent} {sum(received)}".encode()


PAGES = {
    "/": lambda environ, _: b"hello",
    "/about": lambda environ, _: repr((environ["wsgi.multithread"], "gunicorn.socket" in environ, os.getpid())).encode(),
    "/pid": lambda environ, _: str(os.getpid()).encode(), "/ticks": lambda environ, _: str(ticks[0]).encode(),
    "/closed": lambda environ, _: str(len(closed)).encode(),
    "/gate": lambda environ, _: str(gate.wait(10)).encode(),
    "/echo": lambda environ, _: environ["wsgi.input"].read(),
    "/meet": lambda environ, value: meet(environ, int(value)), "/fresh": fresh, "/fork": fork, "/fork-and-return": fork_and_return,
    "/sendfile": send_file, "/read-in-time": read_in_time, "/leave-reader": leave_reader,
    "/finally": wait_finally, "/stubborn": stubborn, "/in-pool": in_pool,
    "/end-other-loop": end_other_loop, "/own-greenlets": own_greenlets, "/big": lambda environ, _: gate.set() or bytes(20_000_000), "/block": block, "/hint": hint, "/nap": lambda environ, value: nap(environ, int(value)),
}


def write_in_time(environ, start_response):
    """The client does not read: write() waits, until the time is over."""
    write = start_response("200 OK", [])
    try:
        with library.Timeout(0.3):
            while True:
                write(b"x" * 100000)
    except library.Timeout:
        print("write: too late", flush=True)
    return [b"<the end>"]


def app(environ, start_response):
    path, value = environ["PATH_INFO"], urllib.parse.unquote(environ["QUERY_STRING"])
    if path == "/write-in-time":
        return write_in_time(environ, start_response)
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Pieces(int(value), 4096)
    body = PAGES[path](environ, value)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

"""Small WSGI applications, one per path: each case that a test needs."""
import contextvars
import os
import sys
import time

import kitchen_files
import kitchen_input
from kitchen_parts import Body, closed, text


def hello(environ, start):
    return text(start, "Hello, world!\n")


def environment(environ, start):
    lines = [f"{key}={value!r}" for key, value in sorted(environ.items()) if not key.startswith("wsgi.")]
    lines += [f"{key}={environ[key]!r}" for key in sorted(environ)
              if key in ("wsgi.version", "wsgi.url_scheme", "wsgi.multithread", "wsgi.multiprocess",
                         "wsgi.run_once", "wsgi.input_terminated")]
    lines.append("types=" + ",".join(sorted({type(v).__name__ for k, v in environ.items() if k.isupper()})))
    return text(start, "\n".join(lines).encode("utf-8"))


def pid(environ, start):
    return text(start, str(os.getpid()))


def no_length(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"one", b"two", b"", b"three"]


def large(environ, start):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return [b"0123456789abcdef" * (1 << 20)]


def a_tuple(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return (b"in a tuple",)


def generator(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield b"alpha "
    yield b""
    yield b"beta"


def late_start(environ, start):
    """start_response is called by the first next(), as PEP 3333 allows."""
    start("201 Created", [("X-Late", "yes")])
    yield b"late"


def empty(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return []


def no_content(environ, start):
    start("204 No Content", [])
    return []


def slow_stream(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return Body([b"first\n", b"second\n"], "slow_stream", delay=0.3)


def steady_stream(environ, start):
    """Five lines, and a pause before each; the query is its length in seconds."""
    start("200 OK", [("Content-Type", "text/plain")])
    return Body([b"%d\n" % i for i in range(5)], "steady_stream", delay=float(environ["QUERY_STRING"]))


def big_parts():
    """20 MB in parts that all differ; one thread must make all of them."""
    import threading
    first = threading.get_ident()
    for i in range(2000):
        if threading.get_ident() != first:
            raise RuntimeError("in another thread")
        yield b"%09d\n" % i * 1000


def big_stream(environ, start):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return Body(big_parts(), "big_stream")


def big_writer(environ, start):
    write = start("200 OK", [("Content-Type", "application/octet-stream")])
    for part in big_parts():
        write(part)
    return []


def big_list(environ, start):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return [b"".join(big_parts())]


def big_file(environ, start):
    import tempfile
    stream = tempfile.TemporaryFile()
    stream.write(b"".join(big_parts()))
    stream.seek(0)
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](stream)


def cursor(environ, start):
    """Rows of a database whose connection may be used by one thread only: sqlite3 checks that."""
    import sqlite3
    rows = sqlite3.connect(":memory:").execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT i FROM n")
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return (b"%09d\n" % i * 1000 for i, in rows)


def writer(environ, start):
    write = start("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    write(b"twice ")
    return [b"and returned"]


def write_late(environ, start):
    write = start("200 OK", [("Content-Type", "text/plain")])
    environ["kitchen"] = write
    kept.append(write)
    return [b"kept"]


kept = []


def write_after(environ, start):
    try:
        kept[-1](b"intruder")
    except Exception as error:
        return text(start, f"refused: {type(error).__name__}")
    return text(start, "accepted")


def close_once(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return Body([b"a", b"b"], "close_once")


def close_after_error(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return Body([b"a", RuntimeError("in the middle")], "close_after_error")


def close_without_start(environ, start):
    return Body([b"a"], "close_without_start")


def endless(environ, start):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return Body((b"x" * 65536 for _ in range(1 << 30)), "endless")


def show_closed(environ, start):
    return text(start, ",".join(closed))


def fails(environ, start):
    raise KeyError("before the head")


def fails_with_bytes(environ, start):
    raise ValueError("a file name that is not UTF-8: \udcff")


def fails_first(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    raise ValueError("after start_response, before the body")


def early_hints(environ, start):
    hints = environ["wsgi.early_hints"]
    hints([("Link", "</a.css>; rel=preload")])
    hints([("Link", "</b.js>; rel=preload")])
    response = text(start, "hinted")
    try:
        hints([("Link", "</late>")])
    except RuntimeError:
        return response
    raise AssertionError("a hint after start_response")


def keep_hints(environ, start):
    kept.append(environ["wsgi.early_hints"])
    return text(start, "kept")


def hint_for_another_request(environ, start):
    try:
        kept[-1]([("Link", "</intruder.css>")])
    except RuntimeError:
        return text(start, "refused")
    return text(start, "accepted")


def bad_hint(environ, start):
    environ["wsgi.early_hints"]([("Link", "a\r\nX-Forged: b")])


def streamed_hint(environ, start):
    """Also too late: the body has begun."""
    start("200 OK", [("Content-Type", "text/plain")])
    yield b"hint "
    try:
        environ["wsgi.early_hints"]([("Link", "</late>")])
    except RuntimeError:
        yield b"refused"


def exits(environ, start):
    sys.exit(7)


def interrupts(environ, start):
    raise KeyboardInterrupt


def os_error(environ, start):
    raise OSError(32, "an OSError of the application")


def never_starts(environ, start):
    return [b"no start_response"]


def starts_twice(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"twice"]


def recovers(environ, start):
    start("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    try:
        raise RuntimeError("caught")
    except RuntimeError:
        start("503 Service Unavailable", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]


def recovers_too_late(environ, start):
    write = start("200 OK", [("Content-Type", "text/plain")])
    write(b"half")
    try:
        raise RuntimeError("too late to say sorry")
    except RuntimeError:
        start("500 Oops", [], sys.exc_info())
    return [b"unreachable"]


def returns_str(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return ["text, not bytes"]


def returns_none(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])


HEADS = {
    "pair-of-letters": ("200 OK", ["ab"]),
    "newline": ("200 OK", [("X-A", "b\r\nX-C: d")]),
    "lf": ("200 OK", [("X-A", "b\nX-C: d")]),
    "nul": ("200 OK", [("X-A", "b\0")]),
    "name": ("200 OK", [("X A", "b")]),
    "name-empty": ("200 OK", [("", "b")]),
    "name-colon": ("200 OK", [("X:", "b")]),
    "wide": ("200 OK", [("X-A", "\u20ac")]),
    "bytes": ("200 OK", [("X-A", b"b")]),
    "number": ("200 OK", [("X-A", 1)]),
    "triple": ("200 OK", [("X-A", "b", "c")]),
    "not-a-list": ("200 OK", None),
    "status-int": (200, []),
    "status-bytes": (b"200 OK", []),
    "status-short": ("20 OK", []),
    "status-word": ("OK", []),
    "status-100": ("100 Continue", []),
    "status-newline": ("200 OK\r\nX-A: b", []),
    "length-word": ("200 OK", [("Content-Length", "many")]),
    "length-negative": ("200 OK", [("Content-Length", "-1")]),
}


def bad_head(environ, start):
    start(*HEADS[environ["QUERY_STRING"]])
    return [b"should not be seen"]


LAX = {
    "hop": lambda: [("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("X-A", "b"), ("Upgrade", "x"),
                    ("Transfer-Encoding", "chunked"), ("TE", "trailers"), ("Trailer", "X-Sum")],
    "list": lambda: [["X-A", "b"], ["Content-Length", "3"]],
    "iterable": lambda: iter((("X-A", "b"), ("X-C", "d"))),
    "length": lambda: [("Content-Length", " 3\t")],
}


def lax_head(environ, start):
    start("200 OK", LAX[environ["QUERY_STRING"]]())
    return [b"lax"]


def buffers(environ, start):
    write = start("200 OK", [])
    write(bytearray(b"bytearray "))
    write(memoryview(b"xmemoryview "[1:]))
    yield bytearray(b"writ")
    yield memoryview(bytearray(b"ten"))


def buffers_at_once(environ, start):
    start("200 OK", [])
    return [bytearray(b"bytearray "), memoryview(b"memoryview")]


def good_head(environ, start):
    start("299 Quite Fine", [("X-Latin", "caf\xe9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", "")])
    return [b"ok"]


def too_short(environ, start):
    start("200 OK", [("Content-Length", "10")])
    return [b"five5"]


def too_long(environ, start):
    start("200 OK", [("Content-Length", "4")])
    return [b"four", b"more"]


def errors(environ, start):
    stream = environ["wsgi.errors"]
    stream.write("to wsgi.errors: caf\xe9\n")
    stream.writelines(["line one\n", "line two\n"])
    print("printed to it", file=stream)
    stream.flush()
    return text(start, "ok")


def hang(environ, start):
    time.sleep(3600)


def read_fd(environ, start):
    """Wait for a byte on the descriptor that the query names."""
    return text(start, os.read(int(environ["QUERY_STRING"]), 1))


def _deep(depth):
    return depth and _deep(depth - 1)


def recurse(environ, start):
    """Recurse and return repeatedly, until there is a byte on the descriptor that the query names."""
    import select
    fd = int(environ["QUERY_STRING"])
    while not select.select([fd], [], [], 0)[0]:
        for depth in range(150, 400, 10):
            _deep(depth)
    return text(start, "x")


requested = contextvars.ContextVar("requested", default="none")
spoiled = contextvars.ContextVar("spoiled", default="no")


class InContext:
    """A body that needs the context of its request from the first piece to close(), as Flask's streams do."""

    def __init__(self, name):
        self.token, self.name, self.left = requested.set(name), name, 3

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return f"{requested.get()} ".encode()

    def close(self):
        requested.reset(self.token)  # a ValueError in any other context
        closed.append(f"in_context_{self.name}_{requested.get()}")


def in_context(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return InContext(environ["QUERY_STRING"])


def spoil_context(environ, start):
    before = spoiled.get()
    spoiled.set("yes")
    return text(start, before)


def spin(environ, start):
    while True:
        pass


def import_threads(environ, start):
    import threading
    return text(start, str(threading.active_count()))


def main_thread(environ, start):
    import threading
    return text(start, str(threading.main_thread().native_id))


def half_a_line(environ, start):
    environ["wsgi.errors"].write("no newline")
    return text(start, "ok")


ROUTES = {
    name.replace("_", "-"): value for module in (sys.modules[__name__], kitchen_files, kitchen_input)
    for name, value in list(vars(module).items())
    if callable(value) and not isinstance(value, type) and not name.startswith("_")
    and value.__module__ == module.__name__ and name != "big_parts"
}


def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0] or "hello"
    if name not in ROUTES:
        return text(start_response, f"no such dish: {name}", "404 Not Found")
    return ROUTES[name](environ, start_response)

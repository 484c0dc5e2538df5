"""Applications of the kitchen that read, or do not read, wsgi.input."""
import os

from kitchen_parts import text


def echo(environ, start):
    body = environ["wsgi.input"].read()
    return text(start, body, headers=[("X-Length", environ.get("CONTENT_LENGTH", "-"))])


def echo_slowly(environ, start):
    """Read in pieces of 1000 bytes; respond with number, size and sum of the bytes read."""
    source, sizes, total = environ["wsgi.input"], [], 0
    while part := source.read(1000):
        sizes.append(len(part))
        total += sum(part)
    return text(start, f"{len(sizes)} {sum(sizes)} {total}")


def input_methods(environ, start):
    source = environ["wsgi.input"]
    seen = [source.read(0), source.readline(), source.readline(3), source.readline(), source.read(2),
            source.readlines(1), list(source), source.read(), source.readline(), source.readlines()]
    return text(start, repr(seen))


def input_iterates(environ, start):
    return text(start, repr(list(environ["wsgi.input"])))


kept_inputs = []


def keep_input(environ, start):
    kept_inputs.append(environ["wsgi.input"])
    return text(start, "kept")


def leave_a_reader(environ, start):
    """Return while a thread reads; the query names a descriptor that is readable when it does."""
    import threading
    threading.Thread(target=environ["wsgi.input"].read).start()
    os.read(int(environ["QUERY_STRING"]), 1)
    return text(start, "left")


def _until_refused(call):
    """Call it repeatedly in a new thread, from before this returns until it raises."""
    import threading
    called = threading.Event()

    def loop():
        try:
            while True:
                call()
                called.set()
        except (RuntimeError, ValueError):
            pass

    threading.Thread(target=loop, daemon=True).start()
    called.wait(10)


def leave_a_writer(environ, start):
    write = start("200 OK", [("Content-Type", "text/plain")])
    _until_refused(lambda: write(b"x"))
    return []


def leave_a_busy_reader(environ, start):
    _until_refused(lambda: environ["wsgi.input"].read(1))
    return text(start, "left")


def read_kept_input(environ, start):
    try:
        body = kept_inputs[-1].read()
    except Exception as error:
        return text(start, f"refused: {type(error).__name__}")
    return text(start, f"got {body!r}")


def ignore_body(environ, start):
    return text(start, "not read")

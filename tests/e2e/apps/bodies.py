"""Bodies of every kind. The path selects the kind, the query is the Content-Length of the application ("": none)."""
import io
import itertools
import tempfile

DATA = b"0123456789"
closed = []


class Endless:
    """Never ends by itself; /closed lists it once it is closed."""

    def __init__(self, name):
        self.name, self.parts = name, itertools.repeat(b"x" * 1000)

    def __iter__(self):
        return self.parts

    def read(self, size):
        return b"x" * size

    def close(self):
        closed.append(self.name)


def as_list(write, environ):
    return [DATA]


def as_pieces(write, environ):
    return [DATA[:3], DATA[3:4], DATA[4:]]


def as_tuple(write, environ):
    return DATA[:3], DATA[3:4], DATA[4:]


def as_single(write, environ):
    return (DATA,)


def as_generator(write, environ):
    return (DATA[i:i + 3] for i in range(0, 10, 3))


def as_writer(write, environ):
    write(DATA[:3])
    write(DATA[3:])
    return []


def as_both(write, environ):
    write(DATA[:3])
    return [DATA[3:]]


def as_file(write, environ):
    stream = tempfile.TemporaryFile()
    stream.write(DATA)
    stream.seek(0)
    return environ["wsgi.file_wrapper"](stream)


def as_stream(write, environ):
    return environ["wsgi.file_wrapper"](io.BytesIO(DATA), 3)


def as_endless(write, environ):
    return Endless("endless")


def as_endless_stream(write, environ):
    return environ["wsgi.file_wrapper"](Endless("endless_stream"))


def as_endless_writer(write, environ):
    while True:
        write(b"x" * 1000)


def as_closed(write, environ):
    return [",".join(closed).encode()]


def app(environ, start):
    kind, length = environ["PATH_INFO"].strip("/"), environ["QUERY_STRING"]
    status, _, kind = kind.rpartition("/")
    write = start((status or "200") + " Status", [("Content-Type", "text/plain")] +
                  ([("Content-Length", length)] if length else []))
    return globals()["as_" + kind](write, environ)

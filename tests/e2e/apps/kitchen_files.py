"""Applications of the kitchen that return files through wsgi.file_wrapper."""
import os

from kitchen_parts import closed, text

opened = []


def _wrapped(environ, start, seek=0, headers=(), size=None):
    stream = open(os.environ["KITCHEN_FILE"], "rb")
    stream.seek(seek)
    opened.append(stream)
    wrapper = environ["wsgi.file_wrapper"](stream, *([size] if size else []))
    start("200 OK", [("Content-Type", "application/octet-stream"), *headers])
    return wrapper


def a_file(environ, start):
    return _wrapped(environ, start)


def a_file_from(environ, start):
    return _wrapped(environ, start, seek=1000)


def open_files(environ, start):
    return text(start, str(sum(not stream.closed for stream in opened)))


def a_file_part(environ, start):
    return _wrapped(environ, start, seek=10, headers=[("Content-Length", "5")])


class Source:
    """Has read() and close(), and no file."""

    def __init__(self, data, name):
        self.data = data
        self.name = name

    def read(self, size=-1):
        part, self.data = self.data[:size], self.data[size:]
        return part

    def close(self):
        closed.append(self.name)


def wrapped_source(environ, start):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](Source(b"0123456789" * 100, "wrapped_source"), 64)


def gzip_file(environ, start):
    """A GzipFile has a fileno(), of a file with other bytes."""
    import gzip
    import io
    path = os.environ["KITCHEN_FILE"] + ".gz"
    with gzip.open(path, "wb") as stream:
        stream.write(b"unpacked")
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](gzip.open(path, "rb"))


def iterate_wrapper(environ, start):
    """Middleware may iterate over the wrapper instead of returning it."""
    parts = list(environ["wsgi.file_wrapper"](Source(b"abcdef", "iterate_wrapper"), 4))
    return text(start, repr(parts))


def a_temporary_file(environ, start):
    import tempfile
    stream = tempfile.NamedTemporaryFile()
    stream.write(b"from a temporary file")
    stream.seek(5)
    start("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](stream)

"""Each response comes from an application that leaves a thread running, in write() or in wsgi.input.read().

The query marks the request: every byte of its response is part of the mark.
"""
import io
import tempfile
import threading


def until_refused(call, busy):
    """Call it repeatedly in a new thread until it raises; return when it was called once."""
    def loop():
        try:
            while True:
                call()
                busy.set()
        except Exception:  # pylint: disable=broad-exception-caught
            pass
        busy.set()

    threading.Thread(target=loop, daemon=True).start()
    busy.wait(20)


def as_list(mark, environ, write):
    return [mark, mark]


def as_generator(mark, environ, write):
    return (mark for _ in range(3))


def as_nothing(mark, environ, write):
    return []


def as_writer(mark, environ, write):
    for _ in range(3):
        write(mark)
    return []


def as_file(mark, environ, write):
    stream = tempfile.TemporaryFile()
    stream.write(mark * 3)
    stream.seek(0)
    return environ["wsgi.file_wrapper"](stream)


def as_stream(mark, environ, write):
    return environ["wsgi.file_wrapper"](io.BytesIO(mark * 3), len(mark))


def app(environ, start):
    mark = (b"<" + environ["QUERY_STRING"].encode() + b">") * 5000
    leaves, _, kind = environ["PATH_INFO"].strip("/").partition("/")
    write = start("200 OK", [("Content-Type", "text/plain")])
    make = globals()["as_" + kind]
    busy = threading.Event()
    if leaves == "writes":
        until_refused(lambda: write(mark), busy)
        return make(mark, environ, write)
    if leaves == "starts":
        until_refused(lambda: start("200 OK", [("X-Again", "x")], (ValueError, ValueError("again"), None)), busy)
        return make(mark, environ, write)
    if leaves == "writes-late":  # while the response is sent
        response = make(mark, environ, write)
        threading.Thread(target=until_refused, args=(lambda: write(mark), busy), daemon=True).start()
        return response
    until_refused(lambda: environ["wsgi.input"].read(1), busy)
    return make(mark, environ, write)

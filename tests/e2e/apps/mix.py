"""Responses of many shapes, each of which follows from the request: a client can verify every byte."""
import functools
import hashlib
import time


def pieces(seed, count):
    return [hashlib.sha256(b"%d %d" % (seed, number)).digest() * (1 + number % 90) for number in range(count)]


def deep(depth):
    """Switches below frames of C: sorted(), reduce(), and methods of str."""
    if depth == 0:
        time.sleep(0.0005)
        return 1
    if depth % 2:
        return sorted([depth], key=lambda _: -deep(depth - 1))[0] // depth + depth
    return functools.reduce(lambda total, _: total + deep(depth - 1), [0], depth)


def expected_depth(depth):
    if depth == 0:
        return 1
    return depth + 1 if depth % 2 else depth + expected_depth(depth - 1)


def digest(environ):
    """Reads the body by all functions that there are."""
    reader, found = environ["wsgi.input"], hashlib.sha256()
    found.update(reader.read(10))
    found.update(reader.readline())
    found.update(reader.read(5000))
    for line in reader:
        found.update(line)
    return found.hexdigest().encode()


class Pieces:
    """Counts what was not closed exactly once."""
    open, wrong = 0, 0

    def __init__(self, made):
        self.made, self.closed = made, 0
        Pieces.open += 1

    def __iter__(self):
        for number, piece in enumerate(self.made):
            if number % 16 == 15:
                time.sleep(0)
            yield piece

    def close(self):
        self.closed += 1
        Pieces.open -= 1
        Pieces.wrong += self.closed != 1


def app(environ, start_response):
    kind, (seed, count) = environ["PATH_INFO"], map(int, environ["QUERY_STRING"].split("&"))
    if kind == "/pieces":
        start_response("200 OK", [])
        return Pieces(pieces(seed, count))
    if kind == "/write":
        write = start_response("200 OK", [])
        for piece in pieces(seed, count):
            write(piece)
        return []
    if kind == "/generator":
        start_response("200 OK", [])
        return (piece for piece in pieces(seed, count))
    if kind == "/deep":
        body = str(deep(count)).encode()
    elif kind == "/digest":
        body = digest(environ)
    elif kind == "/open":
        body = b"%d %d" % (Pieces.open, Pieces.wrong)
    else:
        body = b"".join(pieces(seed, count))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

"""Parts of the kitchen applications: a response, and a body that records its close()."""
import time

closed = []  # what was closed, in order; read by /show-closed


class Body:
    """An iterable that notes each close()."""

    def __init__(self, parts, name, delay=0):
        self.parts = iter(parts)
        self.name = name
        self.delay = delay

    def __iter__(self):
        return self

    def __next__(self):
        if self.delay:
            time.sleep(self.delay)
        part = next(self.parts)
        if isinstance(part, BaseException):
            raise part
        return part

    def close(self):
        closed.append(self.name)


def text(start, body, status="200 OK", headers=()):
    body = body.encode("latin-1") if isinstance(body, str) else body
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]

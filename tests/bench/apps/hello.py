"""The applications of tests/bench without a framework."""
import time

BODY = b"Hello, world!\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
LARGE = b"x" * 10240
LARGE_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(LARGE)))]


def app(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]


def large(environ, start_response):
    """10 KiB."""
    start_response("200 OK", LARGE_HEADERS)
    return [LARGE]


def huge(environ, start_response):
    """/huge is 20 MB in pieces, generated only on request, because benchmarks measure the memory of workers."""
    if environ["PATH_INFO"] != "/huge":
        return app(environ, start_response)
    pieces = 200
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(pieces * 100000))])
    return (b"x" * 100000 for _ in range(pieces))


def sleepy(environ, start_response):
    """As if it waited 5 ms for a database."""
    time.sleep(0.005)
    return app(environ, start_response)


def blocked(environ, start_response):
    """/ responds at once, /block after a minute."""
    if environ["PATH_INFO"] == "/block":
        time.sleep(60)
    return app(environ, start_response)

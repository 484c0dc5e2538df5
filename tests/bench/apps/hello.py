"""The applications that tests/bench serves, but for those of a framework."""
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


HUGE = b"x" * 20000000


def huge(environ, start_response):
    """/huge is 20 MB, piece by piece."""
    if environ["PATH_INFO"] != "/huge":
        return app(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(HUGE)))])
    return (HUGE[at:at + 100000] for at in range(0, len(HUGE), 100000))


def sleepy(environ, start_response):
    """As if it waited 5 ms for a database."""
    time.sleep(0.005)
    return app(environ, start_response)


def blocked(environ, start_response):
    """/ answers at once, /block after a minute."""
    if environ["PATH_INFO"] == "/block":
        time.sleep(60)
    return app(environ, start_response)

"""The applications that tests/bench serves."""
import time

BODY = b"Hello, world!\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]


def blocked(environ, start_response):
    """/ answers at once, /block after a minute."""
    if environ["PATH_INFO"] == "/block":
        time.sleep(60)
    return app(environ, start_response)

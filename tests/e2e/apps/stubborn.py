"""A hang that no SIGABRT ends: it masks the signal first, as a stuck driver would."""
import signal
import time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT, signal.SIGTERM])
        time.sleep(3600)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

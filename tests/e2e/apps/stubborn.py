"""A request that hangs and ignores SIGABRT, as in a stuck driver: only SIGKILL ends it."""
import ctypes
import signal
import time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        for number in signal.SIGABRT, signal.SIGTERM:  # Python's own signal() works in its main thread alone
            ctypes.CDLL(None).signal(number, ctypes.c_void_p(1))
        time.sleep(3600)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

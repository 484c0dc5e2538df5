"""Ways in which an application ends its worker."""
import ctypes
import os


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit-9":
        os._exit(9)
    if path == "/segv":
        ctypes.string_at(0)
    if path == "/abort":
        os.abort()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

"""GET /N responds after N seconds; the log says when it begins."""
import sys
import time


def app(environ, start_response):
    seconds = float(environ["PATH_INFO"].strip("/") or 0)
    if seconds:
        print("sleeping", seconds, file=sys.stderr, flush=True)
        time.sleep(seconds)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"slept"]

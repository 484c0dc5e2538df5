"""An application that tells as whom it was imported and as whom it runs, and prints."""
import json
import os
import sys


def seen():
    os.umask(umask := os.umask(0))
    return {"uids": os.getresuid(), "gids": os.getresgid(), "groups": sorted(os.getgroups()), "umask": umask}


IMPORTED = seen()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/lines":
        for number in range(20000):
            sys.stdout.write(f"line {number}\n")  # in one write(2): log lines come in between
            sys.stdout.flush()
    elif environ["PATH_INFO"] != "/quiet":
        print("printed to stdout", environ["PATH_INFO"], flush=True)
        print("printed to stderr", environ["PATH_INFO"], file=sys.stderr, flush=True)
        os.write(2, b"written to 2 %s\n" % environ["PATH_INFO"].encode())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"imported": IMPORTED, "now": seen()}).encode()]

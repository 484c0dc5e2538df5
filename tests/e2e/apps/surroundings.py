"""An application that responds with the variables of its environment at its import and now."""
import os
import subprocess

SEEN = dict(os.environ)
CHILD = subprocess.run(["/usr/bin/env"], capture_output=True, check=True, text=True).stdout
WORDS = ("LISTEN_", "NOTIFY_", "WATCHDOG_", "FDSTORE", "PREFORK_FDS", "PREFORK_UPGRADE_", "SERVER_STARTER_")


def app(environ, start_response):
    later = subprocess.run(["/usr/bin/env"], capture_output=True, check=True, text=True).stdout
    names = [*SEEN, *os.environ, *(line.partition("=")[0] for line in (CHILD + later).splitlines())]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(sorted({name for name in names if name.startswith(WORDS)})).encode()]

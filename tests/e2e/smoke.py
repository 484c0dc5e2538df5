#!/usr/bin/python3
"""smoke.py ECHO: ask an echo server its version, start it, send it a line through twenty clients, stop it with TERM."""
import subprocess
import sys

import harness

LINE = b"is anybody there?\n"

said = subprocess.run([sys.argv[1], "--version"], capture_output=True, text=True).stdout
if not said.startswith("echo (prefork "):  # it has no version of its own
    sys.exit(f"--version said {said!r}")

with harness.Server([sys.argv[1], "--workers", "2"]) as server:
    for _ in range(20):
        with server.connect() as client:
            client.send(LINE)
            got = client.read_exactly(len(LINE))
            if got != LINE:
                sys.exit(f"sent {LINE!r}, got {got!r}")
    status = server.stop()
    if status != 0:
        sys.exit(f"TERM ended it with status {status}")

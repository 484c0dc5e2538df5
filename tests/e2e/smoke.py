#!/usr/bin/python3
"""smoke.py ECHO: start an echo server, send it a line through twenty clients, stop it with TERM."""
import sys

import harness

LINE = b"is anybody there?\n"

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

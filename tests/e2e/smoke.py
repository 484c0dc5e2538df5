#!/usr/bin/python3
"""Start an echo server, send it a line through twenty clients, stop it with TERM."""
import os
import signal
import socket
import subprocess
import sys
import time

PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
LINE = b"is anybody there?\n"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def echoed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5 * PATIENCE) as client:
        client.sendall(LINE)
        got = b""
        while len(got) < len(LINE):
            more = client.recv(len(LINE))
            if not more:
                break
            got += more
        return got


def main():
    port = free_port()
    server = subprocess.Popen([sys.argv[1], "--bind", f"127.0.0.1:{port}", "--workers", "2"],
                              stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10 * PATIENCE
        while True:
            try:
                got = echoed(port)
                break
            except ConnectionRefusedError:
                if server.poll() is not None:
                    return f"it ended at once with status {server.returncode}"
                if time.monotonic() > deadline:
                    return "it does not listen"
                time.sleep(0.01)
        for _ in range(20):
            if got != LINE:
                return f"sent {LINE!r}, got {got!r}"
            got = echoed(port)
        server.send_signal(signal.SIGTERM)
        status = server.wait(10 * PATIENCE)
        return f"TERM ended it with status {status}" if status else None
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


sys.exit(main())

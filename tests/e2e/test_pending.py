#!/usr/bin/python3
"""Pending output: where the part of a response that its client has not received is stored, and for how long.

TEST_READERS=150 TEST_SECONDS=60: so many clients read 1 kB/s each for so long, instead of a few that read nothing.
"""
import os
import socket
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
READERS = int(os.environ.get("TEST_READERS") or 16)
SECONDS = float(os.environ.get("TEST_SECONDS") or 0)
SIZE = 10000000
PATHS = (os.environ.get("TEST_PATHS") or "/list /tuple /writer /generator").split()
APP = f"""
import os, threading, time
def app(environ, start):
    path = environ["PATH_INFO"]
    write = start("200 OK", [("Content-Type", "text/plain")])
    if path == "/list":
        return [os.urandom(1000) * {SIZE // 1000}]
    if path == "/pieces":
        return [os.urandom(1000) * {SIZE // 2000}] * 2
    if path == "/tuple":
        return (os.urandom(1000) * {SIZE // 2000}, b"x" * {SIZE // 2})
    if path == "/writer":
        for _ in range(10):
            write(os.urandom(1000) * {SIZE // 10000})
        return []
    if path == "/generator":
        return (os.urandom(1000) * {SIZE // 100000} for _ in range(100))
    if path == "/silent":
        return silent()
    return [b"hello"]
def silent():
    for _ in range(3):
        yield b"tick"
        time.sleep(0.4)
"""


def rss_anon_kib(pid):
    """Anonymous memory, without files in a tmpfs."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


@harness.every_worker_class
class Pending(harness.Case):
    def serve(self, directory, *flags):
        # Without a quarantine: freed memory that a sanitizer keeps would exceed the rest.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "1", *flags, "app:app"], cwd=directory,
                              env={"ASAN_OPTIONS": asan})

    @staticmethod
    def begin(server, path):
        """A client with a small receive buffer."""
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        connected.connect((server.host, server.port))
        client = harness.Client(connected)
        client.send(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
        client.buffer += connected.recv(1000)
        return client

    def test_slow_readers_need_little_memory(self):
        """Bodies of 10 MB, returned in each way: at most 64 MiB for all of them."""
        with self.directory(app_py=APP) as directory:
            for path in PATHS:
                with self.subTest(path=path), self.serve(directory, "--spool-limit", "2g") as server:
                    worker, = server.wait_for_serving(1)
                    self.assertEqual(len(server.get(path, seconds=60).body), SIZE)
                    before, most = rss_anon_kib(worker), 0
                    clients = [self.begin(server, path) for _ in range(READERS)]
                    self.assertEqual(server.get("/hello").body, b"hello")
                    until = time.monotonic() + SECONDS
                    while time.monotonic() < until:
                        began = time.monotonic()
                        for client in clients:
                            self.assertEqual(len(client.socket.recv(1000, socket.MSG_WAITALL)), 1000)
                        most = max(most, rss_anon_kib(worker) - before)
                        time.sleep(max(0, 1 - (time.monotonic() - began)))
                    grown = max(most, harness.wait_for_quiet(lambda: rss_anon_kib(worker)) - before)
                    if SECONDS:
                        print(f"{self.id()} {path}: {READERS} readers, {grown} KiB, {len(clients[0].buffer)}", flush=True)
                    for client in clients:
                        client.__exit__()
                    self.assertLess(grown, 65536)

    def test_a_client_below_response_rate_is_closed_and_one_above_is_not(self):
        with self.directory(app_py=APP) as directory:
            rate = ("--response-rate", "100k")
            with self.serve(directory, "--write-timeout", f"{0.2 * harness.PATIENCE:g}", *rate) as server:
                for path in "/list", "/generator", "/writer":
                    with self.subTest(path=path), self.begin(server, path) as client:
                        def drips():
                            """Reads 2 kB at a time until the connection is closed; never pauses for write_timeout."""
                            try:
                                time.sleep(0.05)
                                return client.socket.recv(2000) == b""
                            except ConnectionResetError:
                                return True
                        harness.wait_until(drips, "the connection is closed", seconds=15)
            with self.serve(directory, "--write-timeout", f"{1.5 * harness.PATIENCE:g}", *rate) as server:
                with self.begin(server, "/list") as client:
                    size, data = len(client.buffer), b"x"
                    while data:  # for longer than write_timeout, and without a pause of that length
                        data = client.socket.recv(400000, socket.MSG_WAITALL)
                        size += len(data)
                        time.sleep(0.12 * harness.PATIENCE)
                    self.assertGreater(size, SIZE)

    def test_a_stream_without_output_is_not_closed(self):
        with self.directory(app_py=APP) as directory:
            with self.serve(directory, "--write-timeout", "0.2", "--response-rate", "1m") as server:
                self.assertEqual(server.get("/silent").body, b"tick" * 3)


if __name__ == "__main__":
    harness.main()

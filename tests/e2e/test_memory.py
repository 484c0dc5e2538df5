#!/usr/bin/python3
"""The memory of a worker does not grow with many requests, valid, aborted and malformed.

    test_memory.py [REQUESTS]    default 20000; prints the growth of each worker
"""
import pathlib
import sys

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
GROWTH_MAX = 1024  # KiB
REQUESTS = int(sys.argv.pop()) if sys.argv[-1].isdigit() else 20000

BATCH = b"".join([b"GET /hello HTTP/1.1\r\nHost: h\r\nX-Number: %d\r\n\r\n" % n for n in range(10)]
                 + [b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde",
                    b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                    b"GET /generator HTTP/1.1\r\nHost: h\r\n\r\n",
                    b"GET /writer HTTP/1.1\r\nHost: h\r\n\r\n",
                    b"GET /input-iterates HTTP/1.1\r\nHost: h\r\n\r\n",
                    b"GET /wrapped-source?%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"q" * 2000),
                    b"GET /iterate-wrapper HTTP/1.1\r\nHost: h\r\n\r\n",
                    b"GET /no-such HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"])
BATCH_SIZE = BATCH.count(b"HTTP/1.1")

MALFORMED = [b"GET / HTTP/1.1\nHost: h\r\n\r\n", b"GET / HTTP/9.1\r\nHost: h\r\n\r\n",
             b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 300 + b"\r\n",
             b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
             b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
             b"GET /fails HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
             b"GET /close-after-error HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
             b"GET /late-start HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"]

ABORTED = [b"GET /hello HTTP/1.1\r\nHo", b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\nabc",
           b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
           b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", b""]


def is_sanitized(pid):
    return any(name in pathlib.Path(f"/proc/{pid}/maps").read_text() for name in ("libasan", "libtsan"))


def swallow(client):
    try:
        client.read_all()
    except ConnectionError:
        pass


def load(server, requests):
    """About so many requests, a fifth of them aborted or malformed."""
    done = 0
    while done < requests:
        for _ in range(12):
            with server.connect() as client:
                client.send(BATCH)
                assert client.read_all().endswith(b"no such dish: no-such")
            done += BATCH_SIZE
        for data in MALFORMED * 3:
            with server.connect() as client:
                client.send(data)
                swallow(client)
            done += 1
        for data in ABORTED * 5:
            client = server.connect()
            client.send(data)
            client.reset()
            done += 1
        client = server.connect()
        client.send(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
        client.read_until(b"xxxx")
        client.reset()


class Growth(harness.Case):
    def check(self, *words):
        with harness.Server([harness.program("prefork-wsgi"), "--workers", "1", *words, "kitchen:app"],
                            cwd=APPS, env={"KITCHEN_FILE": __file__}) as server:
            worker, = server.wait_for_serving(1)
            load(server, max(1000, REQUESTS // 5))  # fills caches and pools
            fds = harness.wait_until(lambda: harness.fd_count(worker), "it has descriptors")
            before = harness.memory_kib(worker, "Anonymous")
            load(server, REQUESTS)
            harness.wait_until(lambda: harness.fd_count(worker) <= fds, "every connection is closed")
            growth = harness.memory_kib(worker, "Anonymous") - before
            self.assertEqual(server.workers(), [worker], server.log()[-2000:])
            print(f"{' '.join(words)}: {before} KiB, and {growth} KiB more after {REQUESTS} requests", file=sys.stderr)
            if not is_sanitized(worker):
                self.assertLess(growth, GROWTH_MAX)

    def test_sync_does_not_grow(self):
        self.check("-k", "sync", "--keep-alive", "5")

    def test_threads_do_not_grow(self):
        self.check("-k", "threads", "--threads", "4")

    def test_libev_does_not_grow(self):
        self.check("-k", "libev")

    def test_libev_with_threads_does_not_grow(self):
        self.check("-k", "libev", "--threads", "4")


if __name__ == "__main__":
    harness.main()

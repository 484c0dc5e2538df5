#!/usr/bin/python3
"""Threads that an application leaves running in write() or in wsgi.input.read() when its request ends: no crash, and no
byte after the end of a response on a persistent connection, where a proxy would send it to its next client.

TEST_REQUESTS=2000 sends so many requests to each server instead of a few.
"""
import os

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
REQUESTS = int(os.environ.get("TEST_REQUESTS") or 18)
KINDS = ("list", "generator", "nothing", "writer", "file", "stream")


@harness.every_worker_class
class LeftBehind(harness.Case):
    def serve(self, *flags):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "1", "--keep-alive", "20", *flags,
                               "left_behind:app"], cwd=APPS)

    def check(self, server, paths, request):
        """Request each path in turn on one connection, until the server closes it; all from one worker."""
        worker, = server.wait_for_serving(1)
        client, closes, sent = None, 0, 0
        while sent < REQUESTS:
            path = paths[sent % len(paths)]
            mark = b"<%06d>" % sent
            client = client or server.connect(30)
            client.send(request(path, sent))
            response = client.read_response()
            sent += 1
            with self.subTest(path=path, sent=sent):
                self.assertEqual(response.status, 200)
                self.assertEqual(response.body.replace(mark, b""), b"", "only what this request has written")
            if response.headers.get("connection") == "close":
                self.assertEqual(client.read_all(), b"", "nothing after the end")
                client.__exit__()
                client, closes = None, closes + 1
        if client:
            self.assertTrue(client.is_quiet(0.05), "nothing after the end")
            client.__exit__()
        self.assertEqual(server.wait_for_serving(1), [worker], "the same worker")
        return closes

    @staticmethod
    def get(path, number):
        return b"GET /%s?%06d HTTP/1.1\r\nHost: x\r\n\r\n" % (path.encode(), number)

    @staticmethod
    def post(path, number):
        body = b"x" * 3000
        if number % 2:
            return (b"POST /%s?%06d HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" % (path.encode(), number)) + body
        return (b"POST /%s?%06d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n" %
                (path.encode(), number)) + body + b"\r\n0\r\n\r\n"

    def test_in_write(self):
        paths = [f"{leaves}/{kind}" for leaves in ("writes", "writes-late", "starts") for kind in KINDS]
        with self.serve("--spool-limit", "16g") as server:  # an event loop that is late must not exceed its eighth
            self.assertEqual(self.check(server, paths, self.get), 0, "the connection is kept")

    def test_in_write_with_little_memory_and_spool(self):
        paths = [f"writes/{kind}" for kind in KINDS]
        if "libev" in self.flags and "--threads" not in self.flags:
            self.skipTest("no thread may wait: a response that cannot be stored is aborted")
        with self.serve("--response-memory", "1k", "--spool-limit", "800k") as server:
            self.assertEqual(self.check(server, paths, self.get), 0, "the connection is kept")

    def test_in_the_input(self):
        paths = [f"reads/{kind}" for kind in KINDS]
        for flags in (), ("--stream-uploads",), ("--body-memory", "4096", "--stream-uploads", "--response-memory", "0"):
            with self.subTest(flags=flags), self.serve(*flags) as server:
                self.check(server, paths, self.post)


if __name__ == "__main__":
    harness.main()

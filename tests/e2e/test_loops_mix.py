#!/usr/bin/python3
"""Requests of all shapes at the same time under each event loop of Python: every response is verified.

MIX is the number of responses for each class (default: 1000)."""
import concurrent.futures
import hashlib
import os
import random
import sys

import harness

sys.path.insert(0, str(harness.SOURCE_ROOT / "tests/e2e/apps"))
import mix  # noqa: E402

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
MIX = int(os.environ.get("MIX", "1000"))
CLIENTS = 12


class Client:
    """Sends random requests on its connection, and verifies the responses."""

    def __init__(self, server, number):
        self.server, self.random, self.verified, self.wrong = server, random.Random(number), 0, []

    def request(self):
        """Bytes, and the body that they get."""
        kind = self.random.choice(["pieces", "write", "generator", "whole", "deep", "digest", "digest"])
        seed, count = self.random.randrange(1000000), self.random.choice([0, 1, 2, 5, 30, 60])
        head = f"/{kind}?{seed}&{count} HTTP/1.1\r\nHost: x\r\n".encode()
        if kind == "deep":
            return b"GET " + head + b"\r\n", str(mix.expected_depth(count)).encode()
        body = b"".join(mix.pieces(seed, count))
        if kind != "digest":
            return b"GET " + head + b"\r\n", body
        expected = hashlib.sha256(body).hexdigest().encode()
        if self.random.random() < 0.5:
            return b"POST " + head + b"Content-Length: %d\r\n\r\n" % len(body) + body, expected
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in mix.pieces(seed, count))
        return b"POST " + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", expected

    def send(self, connection, data):
        """In up to four parts."""
        cuts = sorted(self.random.randrange(len(data)) for _ in range(self.random.choice([0, 0, 0, 1, 3])))
        for begin, end in zip([0, *cuts], [*cuts, len(data)]):
            connection.send(data[begin:end])

    def cut(self):
        """Resets the connection in the middle of a request or of its response."""
        with self.server.connect(30) as connection:
            data, _ = self.request()
            if self.random.random() < 0.5:
                connection.send(data[:self.random.randrange(len(data))])
            else:
                connection.send(data)
                connection.more()
            connection.reset()

    def run(self, count):
        while self.verified < count and not self.wrong:
            if self.random.random() < 0.1:
                self.cut()
            with self.server.connect(30) as connection:
                for _ in range(5):
                    batch = [self.request() for _ in range(self.random.choice([1, 1, 1, 4]))]
                    self.send(connection, b"".join(data for data, _ in batch))
                    for data, expected in batch:
                        response = connection.read_response()
                        self.verified += 1
                        if (response.status, response.body) != (200, expected):
                            self.wrong.append((data[:60], response.status, len(response.body), len(expected)))
        return self


class Mix(harness.Case):
    loop = None

    def test_each_response_belongs_to_its_request(self):
        with harness.Server([harness.program("prefork-wsgi"), *self.flags, "--stream-uploads", "--keep-alive", "30",
                             "--timeout", "20", "mix:app"], cwd=APPS) as server, \
                concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            clients = list(pool.map(lambda number: Client(server, number).run(MIX // CLIENTS), range(CLIENTS)))
            self.assertEqual([client.wrong for client in clients], [[]] * CLIENTS)
            harness.wait_until(lambda: server.get("/open?0&0").body == b"0 0", "all iterables are closed, once")
            self.assertNotRegex(server.log(), "Traceback|WARNING|CRITICAL")
            self.assertEqual(server.stop(), 0)
        print(sum(client.verified for client in clients), "responses", end=" ", flush=True)


for name in harness.LOOPS:
    harness.add_variant(Mix, name, flags=("-k", name))
del Mix

if __name__ == "__main__":
    harness.main()

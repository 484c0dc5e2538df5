#!/usr/bin/python3
"""The part of a body that is sent: as much as Content-Length says, and nothing in response to HEAD."""
import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
DATA = b"0123456789"
KINDS = ("list", "pieces", "tuple", "single", "generator", "writer", "both", "file", "stream")


@harness.every_worker_class
class Bodies(harness.Shared, harness.Case):
    @classmethod
    def make(cls):
        return harness.Server([harness.program("prefork-wsgi"), *cls.flags, "-w", "1", "--keep-alive", "20",
                               "bodies:app"], cwd=APPS)

    def send(self, text, head_only=False):
        """The response to one request, and all bytes after it until end of file."""
        with self.server.connect() as client:
            client.send(text.encode() + b"Host: x\r\nConnection: close\r\n\r\n")
            response = client.read_response(head_only)
            return response, client.read_all()

    def test_a_body_of_each_kind_arrives_complete(self):
        for kind in KINDS:
            for version in "1.1", "1.0":
                for length in "", "10":
                    with self.subTest(kind=kind, version=version, length=length):
                        response, rest = self.send(f"GET /{kind}?{length} HTTP/{version}\r\n")
                        self.assertEqual((response.status, response.body, rest), (200, DATA, b""))

    def test_a_body_that_is_too_long_is_truncated_at_content_length(self):
        """Also if the client sends more: the connection is not reset before the client has read the body."""
        for kind in KINDS:
            for length in 0, 2, 3, 5, 9:
                for method in "GET %s HTTP/1.1\r\n", "GET %s HTTP/1.0\r\n", "POST %s HTTP/1.1\r\nContent-Length: 0\r\n":
                    with self.subTest(kind=kind, length=length, method=method):
                        response, rest = self.send(method % f"/{kind}?{length}")
                        self.assertEqual((response.status, response.headers["content-length"], response.body, rest),
                                         (200, str(length), DATA[:length], b""))

    def test_responses_to_head_and_of_status_204_and_304_have_no_body(self):
        for kind in (*KINDS, "endless", "endless_stream"):
            for method, status in ("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("HEAD", 304):
                for length, version in ("", "1.1"), ("", "1.0"), ("5", "1.1"), ("10", "1.0"), ("20", "1.1"):
                    if status != 200 and length:
                        continue
                    with self.subTest(kind=kind, method=method, status=status, length=length, version=version):
                        response, rest = self.send(f"{method} /{status}/{kind}?{length} HTTP/{version}\r\n", head_only=True)
                        self.assertEqual((response.status, rest), (status, b""))
                        if length:
                            self.assertEqual(response.headers["content-length"], length)

    def test_a_response_to_head_ends_with_its_head_and_closes_an_endless_body_at_once(self):
        with self.server.connect() as client:
            for kind in "endless", "endless_stream", "endless":
                before = self.server.get("/closed").body.split(b",").count(kind.encode())
                client.send(b"HEAD /%s HTTP/1.1\r\nHost: x\r\n\r\n" % kind.encode())
                self.assertEqual(client.read_response(head_only=True).status, 200)
                harness.wait_until(lambda: self.server.get("/closed").body.split(b",").count(kind.encode()) > before, "its end")
                self.assertEqual(self.server.get("/closed").body.split(b",").count(kind.encode()), before + 1)

    def test_endless_pieces_in_response_to_head_exceed_the_timeout(self):
        """They are not sent, and are no progress. The client stays."""
        with harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "1", "--timeout", "1", "bodies:app"],
                            cwd=APPS) as server, server.connect() as client:
            worker, = server.wait_for_serving(1)
            client.send(b"HEAD /endless_writer HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(client.read_response(head_only=True).status, 200)
            server.wait_for_log("WORKER TIMEOUT")
            harness.wait_until(lambda: worker not in server.workers(), "the end of the worker")
            self.assertEqual(server.get("/list").body, DATA)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""What of a body reaches its client: as much as Content-Length promises, and nothing in answer to HEAD."""
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

    def ask(self, text, head_only=False):
        """The answer to one request, and all that comes behind it until the end."""
        with self.server.connect() as client:
            client.send(text.encode() + b"Host: x\r\nConnection: close\r\n\r\n")
            answer = client.answer(head_only)
            return answer, client.read_all()

    def test_it_arrives_complete(self):
        for kind in KINDS:
            for version in "1.1", "1.0":
                for length in "", "10":
                    with self.subTest(kind=kind, version=version, length=length):
                        answer, rest = self.ask(f"GET /{kind}?{length} HTTP/{version}\r\n")
                        self.assertEqual((answer.status, answer.body, rest), (200, DATA, b""))

    def test_a_body_that_is_too_long_is_cut_at_content_length(self):
        """Whether or not the client has more to say: it is not reset before it has read that."""
        for kind in KINDS:
            for length in 0, 2, 3, 5, 9:
                for method in "GET %s HTTP/1.1\r\n", "GET %s HTTP/1.0\r\n", "POST %s HTTP/1.1\r\nContent-Length: 0\r\n":
                    with self.subTest(kind=kind, length=length, method=method):
                        answer, rest = self.ask(method % f"/{kind}?{length}")
                        self.assertEqual((answer.status, answer.headers["content-length"], answer.body, rest),
                                         (200, str(length), DATA[:length], b""))

    def test_head_and_status_204_and_304_have_none(self):
        for kind in (*KINDS, "endless", "endless_stream"):
            for method, status in ("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("HEAD", 304):
                for length in "", "5", "10", "20":
                    if status != 200 and length:
                        continue
                    with self.subTest(kind=kind, method=method, status=status, length=length):
                        answer, rest = self.ask(f"{method} /{status}/{kind}?{length} HTTP/1.1\r\n", head_only=True)
                        self.assertEqual((answer.status, rest), (status, b""))
                        if length:
                            self.assertEqual(answer.headers["content-length"], length)

    def test_head_of_an_endless_one_ends_with_its_head_and_closes_it_at_once(self):
        with self.server.connect() as client:
            for kind in "endless", "endless_stream", "endless":
                before = self.server.get("/closed").body.split(b",").count(kind.encode())
                client.send(b"HEAD /%s HTTP/1.1\r\nHost: x\r\n\r\n" % kind.encode())
                self.assertEqual(client.answer(head_only=True).status, 200)
                self.assertEqual(self.server.get("/closed").body.split(b",").count(kind.encode()), before + 1)


if __name__ == "__main__":
    harness.main()

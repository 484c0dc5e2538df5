#!/usr/bin/python3
"""Uploads of unknown length, read by frameworks: directly, and through nginx."""
import http.client

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
BODIES = b"", b"a body", bytes(range(256)) * 300, bytes(range(256)) * 4096


def post_chunked(place, path, body):
    """The response to a POST with a chunked body."""
    connection = http.client.HTTPConnection(place.host, place.port, timeout=10 * harness.PATIENCE)
    parts = (body[at:at + 30000] for at in range(0, len(body), 30000))
    try:
        connection.request("POST", path, parts, {"Connection": "close"}, encode_chunked=True)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@harness.every_worker_class
class Chunked(harness.Shared, harness.Case):

    @classmethod
    def make(cls):
        # nginx does not repeat a POST whose connection the server closes just then.
        return harness.Server([harness.program("prefork-wsgi"), *cls.flags, "-w", "1", "--keep-alive", "1h", "readers:app"],
                              cwd=APPS)

    def test_frameworks_read_complete_bodies(self):
        with self.directory() as directory, harness.Nginx(directory, f"{self.server.host}:{self.server.port}",
                                                    "proxy_request_buffering off;") as nginx:
            for framework in "django", "flask", "falcon", "bottle":
                with self.subTest(framework=framework):
                    harness.need_module(framework)
                    for place in self.server, nginx:
                        self.check_body(place, framework)

    def check_body(self, place, framework):
        for body in BODIES:
            with self.subTest(place=type(place).__name__, size=len(body)):
                status, response = post_chunked(place, f"/{framework}/echo", body)
                self.assertEqual((status, len(response)), (200, len(body)))
                self.assertEqual(response, body)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""Common features of Flask and Django, and wsgiref.validate, under every worker class."""
import hashlib
import http.cookies
import json
import re
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
BIG = bytes(range(256)) * 4096 * 3  # 3 MiB: more than Django keeps in memory


def multipart(data, name="a file.bin", note="caf\u00e9"):
    """The body and the type that a browser sends for a form with a file and a text."""
    mark = b"----mark-7f3a"
    parts = [b"--" + mark, b'Content-Disposition: form-data; name="note"', b"", note.encode(),
             b"--" + mark, f'Content-Disposition: form-data; name="file"; filename="{name}"'.encode(),
             b"Content-Type: application/octet-stream", b"", data, b"--" + mark + b"--", b""]
    return b"\r\n".join(parts), {"Content-Type": "multipart/form-data; boundary=" + mark.decode()}


def cookies(response):
    """The cookies that a browser would send."""
    jar = http.cookies.SimpleCookie()
    for line in response.headers.get_all("Set-Cookie", []):
        jar.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


class Site(harness.Shared, harness.Case):
    """Common to the tests of all frameworks."""
    app = module = None

    @classmethod
    def make(cls):
        harness.need_module(cls.module)
        return harness.Server([harness.program("prefork-wsgi"), *cls.flags, "-w", "1", cls.app], cwd=APPS)

    def visit(self, times):
        cookie = {}
        for number in range(1, times + 1):
            response = self.server.get("/visits", headers=cookie)
            self.assertEqual(json.loads(response.body), {"visits": number})
            cookie = {"Cookie": cookies(response)}

    def upload(self, data):
        response = self.server.request("POST", "/upload", *multipart(data))
        self.assertEqual(response.status, 200, response.body)
        result = json.loads(response.body)
        self.assertEqual((result["name"], result["size"], result["sha256"], result["note"]),
                         ("a file.bin", len(data), hashlib.sha256(data).hexdigest(), "caf\u00e9"))
        return result

    def fail(self, page, trace):
        with harness.Load(self.server, clients=1) as load:
            load.wait_for(3)
            response = self.server.get("/fails")
            load.wait_for(3)
        self.assertEqual((response.status, load.lost), (500, []))
        self.assertIn(page, response.body)
        self.server.wait_for_log(trace)


@harness.every_worker_class
class Django(Site):
    app, module = "shop.wsgi", "django"

    def test_a_template_is_rendered(self):
        response = self.server.get("/")
        self.assertEqual((response.status, response.headers.get_content_type()), (200, "text/html"))
        self.assertIn(b"<p>&lt;one&gt;</p><p>two</p>", response.body)

    def test_a_session_is_kept_over_requests(self):
        self.visit(5)

    def test_a_stream_arrives_whole_and_is_finished_once(self):
        response = self.server.get("/stream?lines=20000&tell=me")
        self.assertEqual(response.body, b"".join(b"line %d\n" % i for i in range(20000)))
        count = lambda: json.loads(self.server.get("/finished").body)["finished"]
        harness.wait_until(count, "the response is closed")
        self.assertEqual(count(), 1)

    def test_files_are_uploaded_small_and_large(self):
        for data in b"", b"\r\n----mark\r\n\0", b"x" * 70000, BIG:
            with self.subTest(size=len(data)):
                self.assertEqual(self.upload(data)["on disk"], len(data) > 2621440)

    def test_a_raw_body_is_echoed(self):
        body = bytes(range(256)) * 999
        self.assertEqual(self.server.request("POST", "/echo", body).body, body)

    def test_files_are_served_whole_and_only_when_they_changed(self):
        css = (APPS / "shop/static/site.css").read_bytes()
        response = self.server.get("/static/site.css")
        self.assertEqual((response.status, response.body, response.headers.get_content_type()), (200, css, "text/css"))
        again = self.server.get("/static/site.css", {"If-Modified-Since": response.headers["Last-Modified"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(self.server.get("/download").body, (APPS / "shop/urls.py").read_bytes())
        self.assertIn(self.server.get("/static/../settings.py").status, (400, 404))  # the response of Django

    def test_head_has_the_length_and_no_body(self):
        body = self.server.get("/").body
        with self.server.connect() as client:
            client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            response = client.read_response(head_only=True)
            self.assertEqual((response.status, int(response.headers["content-length"])), (200, len(body)))
            self.assertEqual(client.read_all(), b"")

    def test_redirects_and_refusals_are_the_frameworks_own(self):
        for method, path, headers, status in (("GET", "/moved", {}, 302), ("GET", "/slash", {}, 301),
                                              ("GET", "/nowhere", {}, 404), ("POST", "/form", {}, 403),
                                              ("GET", "/", {"Host": "evil.example"}, 400)):
            with self.subTest(path=path):
                self.assertEqual(self.server.request(method, path, headers=headers).status, status)

    def test_a_view_that_fails_shows_the_error_page_and_its_traceback_is_logged(self):
        self.fail(b"An error page of the site itself.", "ValueError: deep in a view")


@harness.every_worker_class
class Flask(Site):
    app, module = "blog:app", "flask"

    def test_a_template_is_rendered(self):
        self.assertEqual(self.server.get("/").body, b"<h1>Tom &amp; Jerry</h1>")

    def test_a_session_is_kept_over_requests(self):
        self.visit(5)

    def test_a_stream_arrives_whole(self):
        response = self.server.get("/stream?lines=20000")
        self.assertEqual(response.body, b"".join(b"%d /stream\n" % i for i in range(20000)))

    def test_a_part_of_a_stream_is_sent_as_soon_as_it_is_made(self):
        with self.server.connect() as client:
            client.send(b"GET /ticks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            client.read_until(b"0\n")
            first = time.monotonic()
            client.read_until(b"2\n")
            self.assertGreater(time.monotonic() - first, 0.4)

    def test_concurrent_streams_keep_their_own_request_context(self):
        """More than the sockets buffer, so that both streams are in progress when the first is read."""
        paths = "/stream/one", "/stream/two"
        with self.server.connect() as first, self.server.connect() as second:
            for client, path in zip((first, second), paths):
                client.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                if "sync" not in self.flags:
                    client.more()
            for client, path in zip((first, second), paths):
                self.assertEqual(set(client.read_response().body.decode().split()), {path})

    def test_every_request_is_finished_once_in_every_case(self):
        with self.server.connect() as client:  # disconnects during an endless stream
            client.send(b"GET /stream?lines=100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            client.more()
            client.reset()
        count = lambda: json.loads(self.server.get("/torn-down").body)["torn down"]
        harness.wait_until(count, "the stream is torn down")
        self.assertEqual(count(), 1)

    def test_files_are_uploaded_small_and_large(self):
        for data in b"", b"x" * 70000, BIG:
            with self.subTest(size=len(data)):
                self.upload(data)

    def test_ranges_and_conditions_are_the_applications(self):
        whole = bytes(range(256)) * 100
        for headers, status, body in (({}, 200, whole), ({"Range": "bytes=10-19"}, 206, whole[10:20]),
                                      ({"Range": "bytes=-7"}, 206, whole[-7:]), ({"Range": "bytes=99999-"}, 416, None),
                                      ({"If-None-Match": '"fixed"'}, 304, b"")):
            with self.subTest(headers=headers):
                response = self.server.get("/file", headers)
                self.assertEqual(response.status, status)
                if body is not None:
                    self.assertEqual(response.body, body)
        self.assertEqual(self.server.get("/source").body, (APPS / "blog.py").read_bytes())

    def test_the_url_is_that_of_the_request(self):
        response = self.server.get("/url?a=%26b&c=%C3%A9", {"Host": "blog.example:81"})
        self.assertEqual(json.loads(response.body), {
            "url": "http://blog.example:81/url?a=%26b&c=\u00e9", "root": "http://blog.example:81/",
            "remote": "127.0.0.1", "path": "/url"})

    def test_a_route_that_fails_shows_the_error_page_and_its_traceback_is_logged(self):
        self.fail(b"an error page of the blog", "ValueError: deep in a route")


VALID = ("hello", "environment", "no-length", "a-tuple", "generator", "empty", "slow-stream", "writer",
         "close-once", "recovers", "echo-slowly", "complains")


@harness.every_worker_class
class Validated(harness.Shared, harness.Case):
    """A violation of PEP 3333, by the server or by the application, would be a 500 with an AssertionError."""

    @classmethod
    def make(cls):
        return harness.Server([harness.program("prefork-wsgi"), *cls.flags, "-w", "1", "validated:app"], cwd=APPS)

    def test_the_validator_finds_no_violation(self):
        for name in VALID:
            for method, body in (("GET", None), ("POST", b"a body\nof lines\n" * 40)):
                with self.subTest(name=name, method=method):
                    response = self.server.request(method, f"/{name}/%C3%A9?q=%20", body, {"X-Twice": "a"})
                    self.assertIn(response.status, (200, 503))
        self.assertEqual(self.server.get("/close-once").body, b"ab")
        self.assertEqual(self.server.request("HEAD", "/hello").body, b"")
        log = self.server.log().replace("Error handling request GET /returns-str", "")
        self.assertNotIn("Error handling", log)
        self.assertNotIn("garbage collected", log)
        self.assertIn("one line\nand two\n", re.sub(r"^\[.*\] ", "\n", log, flags=re.M))

    def test_the_input_conforms_to_pep_3333_with_both_framings(self):
        body = b"first line\nsecond\nthird\n"
        want = repr([b"fi", b"rst line\n", b"sec", [b"ond\n"], b"third\n", b""]).encode()
        self.assertEqual(self.server.request("POST", "/reads", body).body, want)
        with self.server.connect() as client:
            client.send(b"POST /reads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in body[:4], body[4:]:
                client.send(b"%x\r\n%s\r\n" % (len(part), part))
            client.send(b"0\r\n\r\n")
            self.assertEqual(client.read_response().body, want)

    def test_the_validator_finds_a_violation_of_the_application(self):
        self.assertEqual(self.server.get("/returns-str").status, 500)


if __name__ == "__main__":
    harness.main()

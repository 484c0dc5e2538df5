#!/usr/bin/python3
"""Common features of Flask and Django, and wsgiref.validate, under every worker class."""
import gzip
import hashlib
import http.cookies
import json
import re

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

    def check_failure(self, page, trace):
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
        self.check_failure(b"An error page of the site itself.", "ValueError: deep in a view")


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
        with self.directory() as directory, self.server.connect(seconds=30) as client:
            client.send(b"GET /dialogue?file=%s/file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % bytes(directory))
            client.read_until(b"first\n")
            (directory / "file").touch()
            self.assertIn(b"True\n", client.read_all())

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
        self.check_failure(b"an error page of the blog", "ValueError: deep in a route")


VALID = ("hello", "environment", "no-length", "a-tuple", "generator", "empty", "slow-stream", "writer",
         "close-once", "recovers", "echo-slowly", "complains")


@harness.every_worker_class
class Httpbin(Site):
    """A known application, in Flask, with streams, delays, compression and sessions."""
    app, module = "httpbin:app", "httpbin"

    def test_the_request_arrives_whole(self):
        seen = json.loads(self.server.get("/get?a=1&b=%C3%A9", headers={"X-Mark": "7"}).body)
        self.assertEqual((seen["args"], seen["headers"]["X-Mark"]), ({"a": "1", "b": "\u00e9"}, "7"))
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            seen = json.loads(self.server.request(method, "/anything/x", BIG[:100_000].hex().encode(),
                                                  {"Content-Type": "text/plain"}).body)
            self.assertEqual((seen["method"], seen["data"]), (method, BIG[:100_000].hex()))

    def test_a_chunked_upload_arrives_whole(self):
        with self.server.connect() as client:
            client.send(b"POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(50):
                client.send(b"4\r\n%04d\r\n" % number)
            client.send(b"0\r\n\r\n")
            self.assertEqual(json.loads(client.read_response().body)["data"], "".join(f"{number:04}" for number in range(50)))

    def test_a_form_with_a_file_arrives_whole(self):
        seen = json.loads(self.server.request("POST", "/post", *multipart(b"some bytes")).body)
        self.assertEqual((seen["files"], seen["form"]), ({"file": "some bytes"}, {"note": "caf\u00e9"}))

    def test_responses_are_streamed(self):
        lines = self.server.get("/stream/20").body.splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], list(range(20)))
        self.assertEqual(self.server.get("/drip?numbytes=5&duration=0.2&delay=0").body, b"*" * 5)
        self.assertEqual(len(self.server.get("/stream-bytes/50000?seed=1").body), 50000)
        self.assertEqual(self.server.get("/range/1000", headers={"Range": "bytes=10-19"}).body, b"klmnopqrst")

    def test_encodings_statuses_and_redirects(self):
        self.assertTrue(json.loads(gzip.decompress(self.server.get("/gzip").body))["gzipped"])
        for status in (204, 304, 404, 418, 503):
            self.assertEqual(self.server.get(f"/status/{status}").status, status)
        moved = self.server.get("/redirect-to?url=/get&status_code=307")
        self.assertEqual((moved.status, moved.headers["Location"]), (307, "/get"))

    def test_cookies_and_delays(self):
        given = cookies(self.server.get("/cookies/set?flavour=plain"))
        self.assertEqual(json.loads(self.server.get("/cookies", headers={"Cookie": given}).body),
                         {"cookies": {"flavour": "plain"}})
        self.assertEqual(self.server.get("/delay/0.2").status, 200)


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

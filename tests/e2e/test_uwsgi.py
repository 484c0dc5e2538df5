#!/usr/bin/python3
"""The server behind nginx that uses the uwsgi protocol (uwsgi_pass)."""
import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import tempfile

import harness
from harness_proxies import StreamNginx, UwsgiNginx

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
CLIENT = "127.0.0.9"
BIG = os.urandom(1 << 20) * 3


class Behind(harness.Case):
    flags = ("-k", "sync")

    def server(self, *words, bind="tcp", app="proxied:app"):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "--protocol", "uwsgi", "--keep-alive", "5",
                               "--access-logfile", "-", *words, app], bind=bind, cwd=APPS)

    def directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return pathlib.Path(directory.name)

    @contextlib.contextmanager
    def nginx(self, server, location=""):
        upstream = f"unix:{server.path}" if server.path else f"{server.host}:{server.port}"
        with UwsgiNginx(self.directory(), upstream, location) as nginx:
            yield nginx

    def request(self, nginx, method, path, body=None, headers=None, chunked=False):
        connection = http.client.HTTPConnection(nginx.host, nginx.port, timeout=30 * harness.PATIENCE, source_address=(CLIENT, 0))
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            self.port = str(connection.sock.getsockname()[1])
            response = connection.getresponse()
            return harness.Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def known(self, *words, **named):
        response = self.request(*words, **named)
        self.assertEqual(response.status, 200, response)
        return json.loads(response.body)


@harness.every_worker_class
class Requests(Behind):
    def test_the_environ_is_that_of_http(self):
        with self.server() as server, self.nginx(server) as nginx, harness.Server(
                [harness.program("prefork-wsgi"), *self.flags, "proxied:app"], cwd=APPS) as plain:
            for path in "/", "/a%20b/%C3%A9?c=d%20e&f", "/a?", "/a%2Fb", "/?":
                headers = {"User-Agent": "test", "X-A": "b", "Accept": "*/*", "Content-Type": "text/plain"}
                over_uwsgi = self.known(nginx, "POST", path, "body", headers)
                self.assertEqual([over_uwsgi.pop("REMOTE_ADDR"), over_uwsgi.pop("REMOTE_PORT")], [CLIENT, self.port])
                over_http = self.known(plain, "POST", path, "body", headers)
                del over_http["REMOTE_ADDR"], over_http["REMOTE_PORT"]
                for known in over_uwsgi, over_http:
                    known.pop("SERVER_PORT"), known.pop("HTTP_HOST")
                self.assertEqual(over_uwsgi, over_http)
            server.wait_for_log(f'{CLIENT} - - ')
            server.wait_for_log('"POST /a%20b/%C3%A9?c=d%20e&f HTTP/1.1" 200 ')

    def test_bodies_arrive_whole(self):
        with self.server(app="kitchen:app") as server:
            for location in "", "uwsgi_request_buffering off;":
                with self.nginx(server, location) as nginx:
                    for body, chunked in ((b"", False), (b"x", False), (BIG, False)):
                        self.assertEqual(self.request(nginx, "POST", "/echo", body, chunked=chunked).body, body)
                    pieces = [BIG[:100000], b"x", BIG[:5]]
                    self.assertEqual(self.request(nginx, "POST", "/echo", iter(pieces),
                                                  {"Transfer-Encoding": "chunked"}, chunked=True).body, b"".join(pieces))

    def test_responses_of_unknown_length_have_no_chunks_in_them(self):
        with self.server(app="kitchen:app") as server, self.nginx(server) as nginx:
            with harness.Server([harness.program("prefork-wsgi"), *self.flags, "kitchen:app"], cwd=APPS) as plain:
                for path in "/generator", "/writer", "/big-stream":
                    response, over_http = self.request(nginx, "GET", path), self.request(plain, "GET", path)
                    self.assertEqual([response.status, response.body], [over_http.status, over_http.body], path)
            hinted = self.request(nginx, "GET", "/early-hints")
            self.assertEqual([hinted.status, hinted.body], [200, b"hinted"])
            self.assertEqual(self.request(nginx, "HEAD", "/hello").body, b"")
            self.assertEqual(self.request(nginx, "GET", "/nowhere").status, 404)

    def test_unix_sockets_reloads_and_load(self):
        path = f"{self.directory()}/socket"
        with self.server("-w", "2", "--preload", bind=f"unix:{path}") as server, self.nginx(server) as nginx:
            with harness.Load(nginx, kept=True) as load:
                server.wait_for_serving(2)
                load.wait_for(20)
                server.reload()
                load.wait_for(20)
            self.assertEqual(load.lost, [])
            self.assertEqual({one.status for one in load.served}, {200})


class Rules(Behind):
    def test_headers_of_the_client_are_not_believed(self):
        """REMOTE_ADDR, the scheme and the lengths are what nginx says."""
        forged = {"X-Forwarded-Proto": "https", "Remote-Addr": "192.0.2.1", "Https": "on", "Proxy": "evil:80",
                  "Content-Length": "3"}
        with self.server() as server, self.nginx(server) as nginx:
            known = self.known(nginx, "POST", "/", "abc", forged)
            self.assertEqual([known["REMOTE_ADDR"], known["wsgi.url_scheme"], known["body"]], [CLIENT, "http", "abc"])
            self.assertNotIn("HTTP_PROXY", known)
            self.assertNotIn("HTTP_CONNECTION", known)
            self.assertNotIn("HTTP_CONTENT_LENGTH", known)
        with self.server("--forwarded-allow-ips", CLIENT) as server, self.nginx(server) as nginx:
            self.assertEqual(self.known(nginx, "GET", "/", headers=forged | {"Content-Length": "0"})["wsgi.url_scheme"], "https")

    def test_a_path_that_nginx_has_rewritten_counts(self):
        location = "rewrite ^/shop(/.*)$ $1?added=1 break;"
        with self.server() as server, self.nginx(server, location) as nginx:
            known = self.known(nginx, "GET", "/shop/a%20b?c=d")
            self.assertEqual([known["PATH_INFO"], known["QUERY_STRING"], known["RAW_URI"]],
                             ["/a b", "added=1&c=d", "/shop/a%20b?c=d"])
            self.assertEqual(self.known(nginx, "GET", "//x/../y")["PATH_INFO"], "/y")

    def test_https_is_the_scheme_that_nginx_reports(self):
        with self.server() as server, self.nginx(server, "uwsgi_param HTTPS on;") as nginx:
            self.assertEqual(self.known(nginx, "GET", "/")["wsgi.url_scheme"], "https")

    def test_http_is_a_bad_request_and_uwsgi_is_one_over_http(self):
        with self.server() as server:
            self.assertEqual(server.get().status, 400)
        with harness.Server([harness.program("prefork-wsgi"), "proxied:app"], cwd=APPS) as server:
            with self.nginx(server) as nginx:
                self.assertEqual(self.request(nginx, "GET", "/").status, 400)

    def test_other_peers_are_closed(self):
        with self.server("--uwsgi-allow-from", "192.0.2.1") as server, self.nginx(server) as nginx:
            self.assertEqual(self.request(nginx, "GET", "/").status, 502)
            server.wait_for_log("Connection of 127.0.0.1 is closed: it is not in uwsgi_allow_ips")
            self.assertNotIn('"GET', server.log())

    def test_a_proxy_header_before_a_packet(self):
        """nginx, whose uwsgi connections another nginx forwards."""
        with self.server("--proxy-protocol") as server, StreamNginx(self.directory(), f"{server.host}:{server.port}") as inner:
            with UwsgiNginx(self.directory(), f"{inner.host}:{inner.port}") as nginx:
                self.assertEqual(self.known(nginx, "GET", "/")["REMOTE_ADDR"], CLIENT)

    def test_a_body_that_is_cut_is_no_request(self):
        pairs = (("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/"), ("QUERY_STRING", ""), ("CONTENT_LENGTH", "5"))
        variables = b"".join(len(one).to_bytes(2, "little") + one.encode() for pair in pairs for one in pair)
        with self.server() as server, server.connect() as client:
            client.send(b"\0" + len(variables).to_bytes(2, "little") + b"\0" + variables + b"abc")
            client.end_output()
            self.assertEqual(client.read_response().status, 400)

    def test_the_settings_are_checked(self):
        for words, message in ((("--protocol", "fastcgi"), "expected one of http, uwsgi"),
                               (("--uwsgi-allow-from", "x"), 'uwsgi_allow_ips: "x" is not an IPv4 or IPv6 address')):
            done = subprocess.run([harness.program("prefork-wsgi"), *words, "--check-config", "proxied:app"], cwd=APPS,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)


if __name__ == "__main__":
    harness.main()

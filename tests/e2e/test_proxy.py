#!/usr/bin/python3
"""The server behind proxies that forward connections, which name their clients in a PROXY header."""
import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time

import harness
from harness_proxies import Haproxy, StreamNginx, make_certificate

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
CLIENT = "127.0.0.9"
GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


class Proxied(harness.Case):
    flags = ("-k", "sync")

    def server(self, *words, bind="tcp"):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "--proxy-protocol", "auto", "--keep-alive", "20",
                               "--access-logfile", "-", *words, "proxied:app"], bind=bind, cwd=APPS)

    def directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return pathlib.Path(directory.name)

    @contextlib.contextmanager
    def client(self, port, source=CLIENT, context=None, host="127.0.0.1"):
        connected = socket.create_connection((host, port), 20 * harness.PATIENCE, source_address=(source, 0))
        self.port = str(connected.getsockname()[1])
        if context:
            connected = context.wrap_socket(connected, server_hostname="localhost")
        with harness.Client(connected) as client:
            yield client

    def direct(self, server):
        """A connection from an address that proxy_allow_ips has by default."""
        return self.client(server.port, "127.0.0.1")

    def known(self, client, request=GET):
        client.send(request)
        response = client.read_response()
        self.assertEqual(response.status, 200, response)
        return json.loads(response.body)

    def expect_client(self, known, address=CLIENT, scheme="http"):
        self.assertEqual([known["REMOTE_ADDR"], known["REMOTE_PORT"], known["wsgi.url_scheme"]], [address, self.port, scheme])


def contexts(directory):
    """TLS contexts of a client, without and with a certificate."""
    plain = ssl.create_default_context(cafile=directory / "certificate")
    named = ssl.create_default_context(cafile=directory / "certificate")
    named.load_cert_chain(directory / "certificate", directory / "key")
    return plain, named


@harness.every_worker_class
class Peers(Proxied):
    def test_haproxy_names_its_client(self):
        directory = self.directory()
        pem = make_certificate(directory)
        ways = {"v1": "send-proxy", "v2": "send-proxy-v2 proxy-v2-options crc32c", "tls": "send-proxy-v2-ssl",
                "cn": "send-proxy-v2-ssl-cn", "http": "send-proxy-v2"}
        tls = f"ssl crt {pem} ca-file {directory}/certificate verify optional"
        plain, named = contexts(directory)
        with self.server() as server, Haproxy(directory, server, ways, {"tls": tls, "cn": tls}, {"http": "http"}) as haproxy:
            for way, context in ("v1", None), ("v2", None), ("tls", plain), ("tls", named), ("cn", named):
                with self.subTest(way=way), self.client(haproxy.ports[way], context=context) as client:
                    for _ in range(3):  # once per connection
                        known = self.known(client)
                        self.expect_client(known, scheme="https" if context else "http")
                        self.assertEqual([known["PROXY_PROTOCOL"], known["PROXY_ADDR"], known["PROXY_PORT"]],
                                         ["TCP4", "127.0.0.1", str(haproxy.ports[way])])
            server.wait_for_log(f'{CLIENT} - - ')
            self.assertNotIn("127.0.0.1 - - ", server.log())

    def test_nginx_names_its_client(self):
        with self.server() as server, StreamNginx(self.directory(), f"{server.host}:{server.port}") as nginx:
            with self.client(nginx.port) as client:
                self.expect_client(self.known(client))
                self.expect_client(self.known(client, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))

    def test_a_proxy_behind_a_proxy_is_trusted_by_its_own_address(self):
        """nginx speaks HTTP with the client, and reports the scheme to nginx that forwards its connections."""
        outer, inner = self.directory(), self.directory()
        with self.server() as server, StreamNginx(inner, f"{server.host}:{server.port}") as forwarder:
            with harness.Nginx(outer, f"127.0.0.1:{forwarder.port}", "proxy_set_header X-Forwarded-Proto https;") as nginx:
                with self.client(nginx.port) as client:
                    known = self.known(client)
                    self.assertEqual([known["REMOTE_ADDR"], known["wsgi.url_scheme"], known["HTTP_X_FORWARDED_FOR"]],
                                     ["127.0.0.1", "https", CLIENT])

    def test_two_hundred_slow_headers_delay_no_request(self):
        with self.server("--handshake-timeout", "60", "-w", "1") as server, contextlib.ExitStack() as stack:
            slow = [stack.enter_context(self.direct(server)) for _ in range(200)]
            for number, client in enumerate(slow):
                client.send((LINE if number % 2 else LOCAL)[:number % 16])
            took = []
            for _ in range(20):
                begun = time.monotonic()
                with self.direct(server) as client:
                    client.send(LINE)
                    self.assertEqual(self.known(client)["REMOTE_ADDR"], "192.0.2.1")
                took.append(time.monotonic() - begun)
            self.assertLess(sorted(took)[len(took) // 2], 0.5 * harness.PATIENCE)

    def test_headers_are_read_with_reuse_port_and_preload_and_across_reloads(self):
        with self.server("--reuse-port", "--preload", "-w", "2", "--drain-idle", "20") as server:
            server.wait_for_serving(2)
            with StreamNginx(self.directory(), f"{server.host}:{server.port}") as nginx:
                with harness.Load(nginx, kept=True) as load:
                    load.wait_for(20)
                    for _ in range(3):
                        server.reload()
                        load.wait_for(20)
                self.assertEqual(load.lost, [])
                self.assertEqual({json.loads(one.body)["PROXY_PORT"] for one in load.served}, {str(nginx.port)})
            self.assertNotIn("proxy_refused", server.log())


class Rules(Proxied):
    def expect_closed(self, client):
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(client.read_all(), b"")

    def test_a_connection_without_a_header_is_closed_and_logged_once_a_second(self):
        with self.server() as server:
            begun = time.monotonic()
            for _ in range(100):
                with self.direct(server) as client:
                    client.send(GET)
                    self.expect_closed(client)
            server.wait_for_log("its PROXY header is refused: the connection does not begin with a PROXY header")
            self.assertLess(server.log().count("event=proxy_refused"), 2 + time.monotonic() - begun)
            self.assertNotIn('"GET', server.log())

    def test_a_header_is_read_once(self):
        with self.server() as server, self.direct(server) as client:
            client.send(LINE)
            self.assertEqual(self.known(client)["REMOTE_ADDR"], "192.0.2.1")
            client.send(LINE)
            self.assertEqual(client.read_response().status, 400)

    def test_off_means_a_bad_request(self):
        for setting in "off", "no":
            with self.server(f"--proxy-protocol={setting}") as server, self.direct(server) as client:
                client.send(LINE + GET)
                self.assertEqual(client.read_response().status, 400)

    def is_logged(self, server, address):
        with self.client(server.port, address) as client:
            self.expect_closed(client)
        return f"Connection of {address} is closed: it is not in proxy_allow_ips" in server.log()

    def test_other_peers_are_closed(self):
        with self.server("--proxy-allow-from", "127.0.0.9,192.0.2.0/24") as server:
            harness.wait_until(lambda: self.is_logged(server, "127.0.0.8"), "a line: at most one a second")
            with self.client(server.port) as client:
                client.send(LINE)
                self.assertEqual(self.known(client)["REMOTE_ADDR"], "192.0.2.1")

    def test_unix_peers_are_proxies_only_if_listed(self):
        path = f"{self.directory()}/socket"
        for allowed, is_served in ("127.0.0.1", False), ("unix", True), ("*", True):
            with self.server("--proxy-allow-from", allowed, bind=f"unix:{path}") as server:
                with harness.Client(server.dial(20)) as client:
                    if is_served:
                        client.send(LINE)
                        self.assertEqual(self.known(client)["REMOTE_ADDR"], "192.0.2.1")
                    else:
                        self.expect_closed(client)
                        server.wait_for_log("Connection of a unix socket is closed: it is not in proxy_allow_ips")

    def test_health_checks_leave_no_line(self):
        with self.server() as server:
            with self.direct(server) as client:
                client.send(LINE)
                self.known(client)
            with self.direct(server) as client:
                client.send(LOCAL + GET)  # of the proxy itself
                self.assertEqual(json.loads(client.read_response().body)["REMOTE_ADDR"], "127.0.0.1")
            harness.wait_until(lambda: server.log().count('"GET') == 2 and "workers ready" in server.log(),
                               "two lines in the access log, and the lines of the start")
            before = server.log()
            for _ in range(20):
                with self.direct(server) as client:
                    client.send(LOCAL)
                    client.end_output()
                    self.expect_closed(client)
                with self.direct(server) as client:
                    client.end_output()
                    self.expect_closed(client)
            self.assertEqual(server.log(), before)

    def test_health_checks_of_haproxy(self):
        check = "check check-send-proxy inter 20ms fall 1000"  # each check has 20 ms, which a busy machine may need
        ways = {"v1": f"send-proxy {check}", "v2": f"send-proxy-v2 {check}"}
        with self.server() as server, Haproxy(self.directory(), server, ways) as haproxy:
            for way in ways:
                harness.wait_until(lambda way=way: haproxy.checks(way) == "L4OK", f"health checks with {way}")
                with self.client(haproxy.ports[way]) as client:
                    self.expect_client(self.known(client))
            self.assertNotIn("proxy_refused", server.log())
            harness.wait_until(lambda: server.log().count('"GET') == 2, "the access log has the two requests")

    def test_clients_on_a_unix_socket_of_haproxy_are_served_as_the_proxy(self):
        """Its header is UNKNOWN or LOCAL."""
        directory = self.directory()
        ways = {"v1": "send-proxy", "v2": "send-proxy-v2"}
        with self.server() as server, Haproxy(directory, server, ways, bind={
                way: f"\n    bind unix@{directory}/{way}" for way in ways}) as haproxy:
            for way in ways:
                connected = socket.socket(socket.AF_UNIX)
                connected.settimeout(20 * harness.PATIENCE)
                connected.connect(f"{haproxy.directory}/{way}")
                with harness.Client(connected) as client:
                    known = self.known(client)
                    self.assertEqual(known["REMOTE_ADDR"], "127.0.0.1")
                    self.assertNotIn("PROXY_ADDR", known)

    def test_the_sender_of_forwarded_headers_is_the_client_of_the_proxy(self):
        forged = GET[:-2] + b"X-Forwarded-Proto: https\r\n\r\n"
        for words, scheme in ((), "http"), (("--forwarded-allow-ips", CLIENT), "https"):
            with self.server(*words) as server, Haproxy(self.directory(), server, {"v2": "send-proxy-v2"}) as haproxy:
                with self.client(haproxy.ports["v2"]) as client:
                    self.expect_client(self.known(client, forged), scheme=scheme)
        family = b"\r\n\r\n\0\r\nQUIT\n!1\0\xd8" + b"/client".ljust(108, b"\0") + b"/proxy".ljust(108, b"\0")
        with self.server() as server, self.direct(server) as client:
            client.send(family)  # on a unix socket of the proxy, not of this server
            known = self.known(client, forged)
            self.assertEqual([known["REMOTE_ADDR"], known["wsgi.url_scheme"]], ["", "http"])

    def test_an_incomplete_header_is_closed_after_handshake_timeout(self):
        with self.server("--handshake-timeout", "1s") as server:
            with self.direct(server) as client:
                client.send(LINE[:20])
                self.expect_closed(client)
            server.wait_for_log("event=proxy_timeout")
            with self.direct(server) as client:
                client.send(LINE)
                self.assertEqual(self.known(client)["REMOTE_ADDR"], "192.0.2.1")

    def test_a_stop_ends_while_headers_are_incomplete(self):
        with self.server() as server, self.direct(server) as client:
            client.send(LINE[:20])
            begun = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - begun, 8 * harness.PATIENCE)

    def test_a_wrong_address_is_reported(self):
        done = subprocess.run([harness.program("prefork-wsgi"), "--proxy-allow-from", "10.0.0.1/8", "--check-config",
                               "proxied:app"], cwd=APPS, capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn('proxy_allow_ips: "10.0.0.1/8" has bits set after the network prefix', done.stderr)


if __name__ == "__main__":
    harness.main()

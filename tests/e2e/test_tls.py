#!/usr/bin/python3
"""HTTPS: handshakes, requests and responses below every worker class, with Python, curl and openssl as clients."""
import hashlib
import pathlib
import ssl
import subprocess
import tempfile

import harness
from harness_tls import Authority, TlsClient

APPS = pathlib.Path(__file__).resolve().parent / "apps"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class Tls(harness.Case):
    """A directory with an authority and a certificate of localhost."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.temporary = tempfile.TemporaryDirectory(prefix="prefork-e2e-")
        cls.path = pathlib.Path(cls.temporary.name)
        cls.authority = Authority(cls.path)
        cls.certificate, cls.key = cls.authority.issue(cls.path / "server.pem", cls.path / "server.key", "localhost")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()
        super().tearDownClass()

    def server(self, *words, program="https_hello", **more):
        return harness.Server([harness.program(program), "--keep-alive", f"{20 * harness.PATIENCE:g}", "--certfile", self.certificate, "--keyfile",
                               self.key, *self.flags, *words], **more)

    def client(self, server, version=None, **more):
        return TlsClient(server, self.authority.context(version), **more)


@harness.every_worker_class
class Requests(Tls):
    def test_a_connection_carries_several_requests(self):
        with self.server() as server:
            for version in VERSIONS:
                with self.client(server, version) as client:
                    for _ in range(3):
                        client.send(GET)
                        response = client.read_response()
                        self.assertEqual((response.status, response.body[:14]), (200, b"Hello over TLS"))

    def test_pipelined_requests_that_openssl_holds_are_served(self):
        """A poller sees nothing of the requests that were decrypted, or received, together with the first one."""
        with self.server() as server:
            for version in VERSIONS:
                with self.client(server, version) as client:
                    client.send(GET * 100)
                    for _ in range(100):
                        self.assertEqual(client.read_response().status, 200)
                    for _ in range(50):
                        client.send(GET)
                    for _ in range(50):
                        self.assertEqual(client.read_response().status, 200)

    def test_the_end_is_announced_by_close_notify(self):
        with self.server() as server:
            for version in VERSIONS:
                with self.client(server, version) as client:
                    client.send(LAST)
                    client.read_response()
                    self.assertEqual(client.more(), b"")  # without close_notify: SSLEOFError

    def test_a_handshake_may_arrive_byte_by_byte(self):
        with self.server() as server:
            for version in VERSIONS:
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                connection = self.authority.context(version).wrap_bio(incoming, outgoing, server_hostname="localhost")
                with server.dial(10 * harness.PATIENCE) as plain:
                    self.exchange(connection.do_handshake, plain, incoming, outgoing)
                    connection.write(LAST)
                    self.drip(plain, outgoing)
                    self.assertIn(b"200 OK", self.exchange(connection.read, plain, incoming, outgoing))

    def drip(self, plain, outgoing):
        for byte in outgoing.read():
            plain.sendall(bytes([byte]))

    def exchange(self, step, plain, incoming, outgoing):
        while True:
            try:
                result = step()
                self.drip(plain, outgoing)
                return result
            except ssl.SSLWantReadError:
                self.drip(plain, outgoing)
                incoming.write(plain.recv(7))

    def test_plain_http_is_refused_and_logged(self):
        with self.server() as server:
            with server.connect() as client:
                client.send(GET)
                self.assertNotIn(b"HTTP/1.1", client.read_all())
            server.wait_for_log("TLS handshake failed: the client sent HTTP without TLS")
            with self.client(server) as client:
                client.send(GET)
                self.assertEqual(client.read_response().status, 200)

    def test_a_connection_without_a_byte_is_not_logged(self):
        with self.server() as server:
            server.dial(10).close()
            with self.client(server) as client:
                client.send(LAST)
                client.read_all()
            self.assertNotIn("handshake", server.log())

    def test_a_reload_serves_connections_in_every_stage(self):
        with self.server("--drain-idle", "20") as server, self.client(server) as kept, server.connect() as early:
            kept.send(GET)
            kept.read_response()
            server.reload(exits=False)
            context = self.authority.context()
            early.socket = context.wrap_socket(early.socket, server_hostname="localhost")
            early.send(LAST)
            self.assertEqual(early.read_response().status, 200)
            kept.send(GET)
            self.assertEqual(kept.read_response().status, 200)


@harness.every_worker_class
class Bodies(Tls):
    """prefork-wsgi with large bodies in both directions."""

    def test_large_responses_reach_slow_clients(self):
        with self.server("tls_bodies:app", program="prefork-wsgi", cwd=APPS) as server:
            for version in VERSIONS:
                for path in (b"/bytes", b"/pieces", b"/file"):
                    with self.client(server, version, seconds=30) as client:
                        client.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
                        client.read_until(b"\r\n\r\n")
                        client.is_quiet(0.1)
                        body = client.read_exactly(5_000_000)
                        self.assertEqual(hashlib.sha256(body).hexdigest(), hashlib.sha256(b"0123456789" * 500_000).hexdigest())

    def test_large_uploads_arrive(self):
        data = bytes(range(256)) * 12_000
        with self.server("tls_bodies:app", program="prefork-wsgi", cwd=APPS) as server:
            for version in VERSIONS:
                with self.client(server, version, seconds=30) as client:
                    head = f"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                    client.send(head + data)  # not beside a thread that reads: Python does not lock the SSL of a socket
                    response = client.read_response()
                    self.assertEqual(response.body.decode(), hashlib.sha256(data).hexdigest())

    def test_the_application_sees_https(self):
        with self.server("scheme:app", program="prefork-wsgi", cwd=APPS) as server, self.client(server) as client:
            client.send(GET)
            self.assertEqual(client.read_response().body, b"https 127.0.0.1")


class Peers(Tls):
    """curl and openssl."""

    def test_curl_verifies_the_certificate(self):
        curl = harness.need_program("curl")
        with self.server() as server:
            for version in ("1.2", "1.3"):
                done = subprocess.run([curl, "-sS", f"--tlsv{version}", "--tls-max", version, "--cacert", self.authority.certificate,
                                       *[f"https://localhost:{server.port}/"] * 2], capture_output=True, check=False, text=True)
                self.assertEqual((done.stdout, done.stderr), (f"Hello over TLSv{version}!\n" * 2, ""))

    def test_openssl_agrees_on_http(self):
        with self.server() as server:
            done = self.connect(server, "-alpn", "h2,http/1.1")
            self.assertIn("ALPN protocol: http/1.1", done.stdout)
            self.assertIn("Verify return code: 0 (ok)", done.stdout)
            self.assertIn("alert no application protocol", self.connect(server, "-alpn", "h2").stderr)

    def connect(self, server, *words):
        return subprocess.run([self.authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername",
                               "localhost", "-CAfile", self.authority.certificate, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True)


class Settings(Tls):
    """Wrong settings and files stop the start, with a message; nothing is forked."""

    def refuse(self, *words):
        with harness.Server([harness.program("https_hello"), *words], bind="127.0.0.1:0") as server:
            self.assertNotEqual(server.wait(), 0)
            self.assertNotIn("Booting worker", server.log())
            start = server.log()
        with harness.Server([harness.program("https_hello"), "--check-config", *words], bind="127.0.0.1:0") as server:
            self.assertNotEqual(server.wait(), 0)
            self.assertEqual(server.log().splitlines()[-1], start.splitlines()[-1])
        return start

    def test_wrong_files_stop_the_start(self):
        other_certificate, other_key = self.authority.issue(self.path / "other.pem", self.path / "other.key", "other.test")
        garbage, locked = self.path / "garbage.pem", self.path / "locked.key"
        garbage.write_text("no certificate\n")
        self.authority.call("ec", "-in", self.key, "-out", locked, "-aes128", "-passout", "pass:secret")
        for words, why in (
                (("--certfile", self.path / "none.pem"), f"certfile: {self.path}/none.pem: No such file or directory"),
                (("--certfile", self.path), f"certfile: {self.path} is not a regular file"),
                (("--certfile", garbage, "--keyfile", self.key), f"certificate {garbage}: not a chain of certificates in PEM"),
                (("--certfile", self.certificate), f"certificate {self.certificate}: its private key is not there"),
                (("--certfile", self.certificate, "--keyfile", garbage), "its private key is not there, or not in PEM"),
                (("--certfile", self.certificate, "--keyfile", other_key), "the private key is that of another certificate"),
                (("--certfile", self.certificate, "--keyfile", locked), "has a passphrase: remove it"),
                (("--keyfile", self.key), "keyfile needs certfile"),
                (("--certfile", self.certificate, "--keyfile", self.key, "--cert-reqs", "2"), "cert_reqs needs ca_certs"),
                (("--certfile", self.certificate, "--keyfile", self.key, "--ca-certs", garbage), "ca_certs: "),
                (("--certfile", self.certificate, "--keyfile", self.key, "--ciphers", "NONE"), 'ciphers: "NONE": no cipher match'),
                (("--certificates", self.path / "nowhere"), "No such file or directory"),
                (("--certfile", other_certificate, "--keyfile", other_key, "--ocsp-file", garbage), "its OCSP response is not one")):
            with self.subTest(why=why):
                self.assertIn(why, self.refuse(*words))


if __name__ == "__main__":
    harness.main()

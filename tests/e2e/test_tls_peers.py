#!/usr/bin/python3
"""TLS with other programs and services: nginx and HAProxy as clients, OCSP, services that are not HTTP, violations."""
import contextlib
import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import time

import harness
import harness_proxies
from harness_tls import Authority, TlsClient
from test_tls import GET, LAST, VERSIONS, Tls


class Proxies(Tls):
    """Programs that connect to the server by TLS, and verify it."""

    @contextlib.contextmanager
    def running(self, *words):
        with subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=20 * harness.PATIENCE)

    def fetch(self, port):
        def get():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
                client = harness.Client(plain)
                client.send(LAST)
                return client.read_all()
            return None
        return harness.wait_until(get, "the proxy responds")

    def test_nginx(self):
        nginx, port = harness.need_program("nginx"), harness.free_port()
        with self.server() as server, self.directory() as path:
            temporary = "".join(f"{name}_temp_path {path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            (path / "nginx.conf").write_text(f"""
                {"user root;" if os.getuid() == 0 else ""} worker_processes 1; daemon off; pid {path}/pid; error_log {path}/log;
                events {{ worker_connections 64; }}
                http {{ access_log off; {temporary}
                    server {{ listen 127.0.0.1:{port};
                        location / {{
                            proxy_pass https://127.0.0.1:{server.port}; proxy_ssl_verify on; proxy_ssl_name localhost;
                            proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3; proxy_ssl_trusted_certificate {self.authority.certificate};
                            proxy_http_version 1.1; proxy_set_header Connection "";
                        }} }} }}""")
            with self.running(nginx, "-e", path / "log", "-c", path / "nginx.conf"):
                for _ in range(5):
                    self.assertIn(b"Hello over TLSv1.3!", self.fetch(port))

    def responds_to_haproxy(self, options, *flags):
        with self.server(*flags) as server, self.directory() as path, harness_proxies.Haproxy(
                path, server, {"tls": f"ssl verify required ca-file {self.authority.certificate} sni str(localhost) {options}"},
                mode={"tls": "http"}) as proxy:
            for _ in range(5):
                self.assertIn(b"Hello over TLSv1.3!", self.fetch(proxy.ports["tls"]))

    def test_haproxy(self):
        self.responds_to_haproxy("verifyhost localhost")

    def test_haproxy_sends_a_header_before_the_handshake(self):
        self.responds_to_haproxy("send-proxy-v2", "--proxy-protocol", "v2")


class Stapling(Tls):
    def staple(self, days):
        index, request, response = (self.path / name for name in ("index.txt", "ocsp.req", "ocsp.der"))
        serial = self.authority.call("x509", "-in", self.certificate, "-noout", "-serial").strip().partition("=")[2]
        index.write_text(f"V\t401231000000Z\t\t{serial}\tunknown\t/CN=localhost\n")
        authority = self.authority.certificate
        self.authority.call("ocsp", "-issuer", authority, "-cert", self.certificate, "-reqout", request)
        self.authority.call("ocsp", "-index", index, "-CA", authority, "-rsigner", authority, "-rkey", self.authority.key,
                            "-reqin", request, "-respout", response, *days)
        return response

    def status(self, server):
        return subprocess.run([self.authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername",
                               "localhost", "-status"], stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True).stdout

    def test_a_response_is_stapled(self):
        with self.server("--ocsp-file", self.staple(("-ndays", "1"))) as server:
            self.assertIn("OCSP Response Status: successful", self.status(server))
        with self.server() as server:
            self.assertIn("OCSP response: no response sent", self.status(server))


@harness.every_worker_class
class Echo(Tls):
    """Services that are not HTTP; one with a context of the application."""

    @contextlib.contextmanager
    def echo(self, *words):
        port = harness.free_port()
        certificate, key = self.authority.issue(self.path / "own.pem", self.path / "own.key", "own.test")
        self.plain = harness.free_port()
        environment = {"PLAIN_BIND": f"127.0.0.1:{self.plain}", "OWN_BIND": f"127.0.0.1:{port}", "OWN_CERTIFICATE": str(certificate), "OWN_KEY": str(key)}
        with harness.Server([harness.program("tls_echo"), "--certfile", self.certificate, "--keyfile", self.key, *self.flags,
                             *words], env=environment) as server:
            yield server, port

    def test_pools_with_files_and_with_a_context(self):
        with self.echo() as (server, port):
            files = server.port
            for version in VERSIONS:
                context = self.authority.context(version)
                context.set_alpn_protocols(["echo"])
                for server.port, name, hello, protocol in ((files, "localhost", b"files\n", None), (port, "own.test", b"own..\n", "echo")):
                    with TlsClient(server, context, name) as client:
                        self.assertEqual(client.read_exactly(6), hello)
                        self.assertEqual(client.socket.selected_alpn_protocol(), protocol)
                        for size in (1, 999, 1000, 1001, 16384, 40000):
                            client.send(b"x" * size)
                            self.assertEqual(client.read_exactly(size), b"x" * size)
                        client.socket = client.socket.unwrap()  # sends close_notify, and waits for that of the server
            server.port = self.plain
            with server.connect() as client:
                self.assertEqual(client.read_exactly(6), b"plain\n")
                client.send(b"x" * 1000)
                self.assertEqual(client.read_exactly(1000), b"x" * 1000)
            server.port = files

    def test_a_service_that_waits_for_input_has_sent_all_of_its_output(self):
        if self.flags[1] not in ("sync", "threads"):
            self.skipTest("no callback of this worker class may block")
        size = 15 * 65536
        with self.echo() as (server, _):
            for count, version in enumerate(VERSIONS, 1):
                with self.narrow(server, version) as client:
                    client.read_exactly(6)
                    client.send(b"L")
                    client.read_exactly(size)
                    harness.wait_until(lambda: server.log().count("now wait for input") == count, "the service waits")
                    client.read_exactly(60000)  # much more than the sockets hold: the rest is in the transport
                    client.send(b"more")
                    self.assertEqual(client.read_exactly(4), b"more")

    def narrow(self, server, version):
        """A client with a small receive buffer."""
        plain = socket.socket()
        plain.settimeout(10 * harness.PATIENCE)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", server.port))
        return harness.Client(self.authority.context(version).wrap_socket(plain, server_hostname="localhost"))

    def test_input_that_is_cut_is_no_end(self):
        for words, is_end in (((), False), (("--suppress-ragged-eofs",), True)):
            with self.echo(*words) as (server, _):
                for version in VERSIONS:
                    with TlsClient(server, self.authority.context(version)) as client:
                        client.read_exactly(6)
                        socket.socket.shutdown(client.socket, socket.SHUT_WR)  # of TCP alone: without close_notify
                        if is_end:
                            self.assertEqual(client.more(), b"")
                        else:
                            self.assertRaises((ssl.SSLError, ConnectionResetError), client.more)


def record(kind, body, version=0x0301):
    return struct.pack(">BHH", kind, version, len(body)) + body


class Hello:
    """The parts of a ClientHello, which violations change."""

    def __init__(self, raw):
        body = raw[9:]  # after record and handshake headers
        self.version, self.random = body[:2], body[2:34]
        at = 35 + body[34]
        self.session = body[34:at]
        size = int.from_bytes(body[at:at + 2], "big")
        self.suites, at = body[at + 2:at + 2 + size], at + 2 + size
        self.compression, at = body[at:at + 1 + body[at]], at + 1 + body[at]
        rest, self.extensions = body[at + 2:], []
        while rest:
            kind, size = struct.unpack(">HH", rest[:4])
            self.extensions.append((kind, rest[4:4 + size]))
            rest = rest[4 + size:]

    def bytes(self):
        extensions = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in self.extensions)
        body = (self.version + self.random + self.session + struct.pack(">H", len(self.suites)) + self.suites +
                self.compression + struct.pack(">H", len(extensions)) + extensions)
        return record(22, b"\1" + len(body).to_bytes(3, "big") + body)

    def without(self, kind):
        self.extensions = [(one, data) for one, data in self.extensions if one != kind]

    def put(self, kind, data):
        self.without(kind)
        self.extensions.append((kind, data))


def changed(change):
    def make(hello):
        change(hello)
        return hello.bytes()
    return make


def cut(hello):
    raw = bytearray(hello.bytes())
    raw[6:9] = (len(raw) - 9 - 10).to_bytes(3, "big")  # the handshake says less than it has
    return bytes(raw)


def tls12(hello):
    hello.without(43)
    return hello


def flip(data):
    """With another last byte, whatever it was: a checksum may end with any."""
    return data[:-1] + bytes([data[-1] ^ 1])


# Name, section or CVE, the bytes, and the alert that the specification demands; None: closed without one.
SERVER_NAME, STATUS, GROUPS, SIGNATURES, ALPN, PSK, EARLY, VERSIONS_EXT, PSK_MODES, KEY_SHARE = 0, 5, 10, 13, 16, 41, 42, 43, 45, 51
VIOLATIONS = [
    ("a record of an unknown type", "RFC 8446, 5: unexpected_message", lambda hello: record(99, b"hello"), {None, 10}),
    ("application data before the handshake", "RFC 8446, 5", lambda hello: record(23, b"GET / HTTP/1.1\r\n\r\n"), {10}),
    ("a record that is too long", "RFC 8446, 5.1: record_overflow", lambda hello: record(22, b"\1\0\x50\0" + b"x" * 20000), {22}),
    ("handshake records without contents and without an end", "RFC 8446, 5.1", lambda hello: record(22, b"") * 40, {10}),
    ("a heartbeat", "CVE-2014-0160", lambda hello: record(24, b"\1\x40\0"), {None, 10}),
    ("ChangeCipherSpec before the hello", "CVE-2014-0224", lambda hello: record(20, b"\1"), {10}),
    ("Finished before the hello", "RFC 8446, 4", lambda hello: record(22, b"\x14\0\0\x0c" + b"x" * 12), {10}),
    ("HTTP", "RFC 9110, 4.2.2", lambda hello: GET, {None}),
    ("SSH", "RFC 8446, 5.1", lambda hello: b"SSH-2.0-OpenSSH_9.2\r\n", {None, 70, 10}),
    ("SSL 2", "RFC 6176", lambda hello: b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + b"\1\0\x80" * 7 + b"x" * 16, {None, 40, 70}),
    ("SSL 3, which has no alert for it", "RFC 7568", changed(lambda hello: setattr(tls12(hello), "version", b"\3\0")), {40}),
    ("TLS 1.0", "RFC 8996", changed(lambda hello: setattr(tls12(hello), "version", b"\3\1")), {70}),
    ("TLS 1.1", "RFC 8996", changed(lambda hello: setattr(tls12(hello), "version", b"\3\2")), {70}),
    ("only versions that do not exist", "RFC 8446, 4.2.1", changed(lambda hello: hello.put(VERSIONS_EXT, b"\2\x7f\x1c")), {70}),
    ("a downgrade by a client that could do more", "RFC 7507",
     changed(lambda hello: setattr(tls12(hello), "suites", hello.suites + b"\x56\0")), {86}),
    ("no cipher that both have", "RFC 8446, 4.1.1", changed(lambda hello: setattr(hello, "suites", b"\x13\x99")), {40}),
    ("ciphers of export strength", "CVE-2015-0204", changed(lambda hello: setattr(tls12(hello), "suites", b"\0\3\0\6")), {40}),
    ("RC4 and triple DES", "RFC 7465, CVE-2016-2183", changed(lambda hello: setattr(tls12(hello), "suites", b"\0\5\0\x0a\xc0\x12")), {40}),
    ("a cipher list of odd length", "RFC 8446, 4.1.2", changed(lambda hello: setattr(hello, "suites", b"\x13\1\x13")), {47, 50}),
    ("no null compression", "RFC 8446, 4.1.2", changed(lambda hello: setattr(hello, "compression", b"\1\1")), {47, 50}),
    ("two compressions in TLS 1.3", "RFC 8446, 4.1.2, CVE-2012-4929", changed(lambda hello: setattr(hello, "compression", b"\2\1\0")), {47}),
    ("an extension twice", "RFC 8446, 4.2", changed(lambda hello: hello.extensions.append((STATUS, b"\1\0\0\0\0")) or
                                                   hello.extensions.append((STATUS, b"\1\0\0\0\0"))), {47}),
    ("no key share", "RFC 8446, 9.2", changed(lambda hello: hello.without(KEY_SHARE)), {109}),
    ("no groups", "RFC 8446, 9.2", changed(lambda hello: hello.without(GROUPS)), {109}),
    ("no signature algorithms", "RFC 8446, 9.2", changed(lambda hello: hello.without(SIGNATURES)), {109}),
    ("a key share of a group that was not offered", "RFC 8446, 4.2.8", changed(lambda hello: hello.put(GROUPS, b"\0\2\0\x19")), {47}),
    ("a point that is not on the curve", "RFC 8446, 4.2.8.2",
     changed(lambda hello: (hello.put(GROUPS, b"\0\2\0\x17"), hello.put(KEY_SHARE, b"\0\x45\0\x17\0\x41\4" + b"\1" * 64))), {47}),
    ("an empty key share", "RFC 8446, 4.2.8", changed(lambda hello: hello.put(KEY_SHARE, b"\0\4\0\x1d\0\0")), {50}),
    ("a pre-shared key that is not the last extension", "RFC 8446, 4.2.11",
     changed(lambda hello: hello.extensions.insert(0, (PSK, b"\0\7\0\1x\0\0\0\0\0\x21\x20" + b"x" * 32))), {47}),
    ("a pre-shared key without its modes", "RFC 8446, 4.2.9",
     changed(lambda hello: (hello.without(PSK_MODES), hello.put(PSK, b"\0\7\0\1x\0\0\0\0\0\x21\x20" + b"x" * 32))), {109}),
    ("a server name that is cut", "RFC 6066, 3", changed(lambda hello: hello.put(SERVER_NAME, b"\0\x0f\0\0\x0clocal")), {50}),
    ("a server name with NUL", "RFC 6066, 3", changed(lambda hello: hello.put(SERVER_NAME, b"\0\x0d\0\0\x0alocal\0host")), {112, 50}),
    ("an empty list of protocols", "RFC 7301, 3.1", changed(lambda hello: hello.put(ALPN, b"\0\0")), {50}),
    ("an empty protocol", "RFC 7301, 3.1", changed(lambda hello: hello.put(ALPN, b"\0\1\0")), {50}),
    ("no protocol that both have", "RFC 7301, 3.2", changed(lambda hello: hello.put(ALPN, b"\0\3\2h2")), {120}),
    ("a hello that is cut", "RFC 8446, 4", cut, {50}),
    ("a record of another type within the hello", "RFC 8446, 5.1",
     lambda hello: record(22, hello.bytes()[5:60]) + record(23, b"x"), {10}),
]


class Violations(Tls):
    def hello(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.authority.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.do_handshake()
        return outgoing.read()

    def alert(self, client):
        """The alert that ends the connection, or None."""
        with contextlib.suppress(ConnectionResetError):
            while client.more():
                pass
        data = bytes(client.buffer)  # what has arrived before a reset, too
        while len(data) >= 5:
            kind, _, size = struct.unpack(">BHH", data[:5])
            if kind == 21:
                return data[6]
            data = data[5 + size:]
        return None

    def test_each_violation_gets_the_alert_of_its_specification(self):
        with self.server("--handshake-timeout", "5s") as server:
            for name, section, make, expected in VIOLATIONS:
                with self.subTest(name, section=section), server.connect() as client:
                    client.send(make(Hello(self.hello())))
                    self.assertIn(self.alert(client), expected)
            with TlsClient(server, self.authority.context()) as client:
                client.send(LAST)
                self.assertEqual(client.read_response().status, 200)

    def test_a_record_that_was_changed_ends_the_connection(self):
        """A flipped bit in a request, or in Finished: bad_record_mac (RFC 8446, 5.2)."""
        with self.server() as server:
            for version in VERSIONS:
                for step in ("finished", "request"):
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    connection = self.authority.context(version).wrap_bio(incoming, outgoing, server_hostname="localhost")
                    with server.connect() as client:
                        self.shake(connection, client, incoming, outgoing, step == "finished")
                        if step == "request":
                            connection.write(LAST)
                            client.send(flip(outgoing.read()))
                        incoming.write(client.read_all())
                        with self.assertRaisesRegex(ssl.SSLError, "BAD_RECORD_MAC|DECRYPT"):
                            if step == "finished" and version == VERSIONS[0]:
                                connection.do_handshake()
                            while connection.read(10):
                                pass

    def shake(self, connection, client, incoming, outgoing, spoils):
        flights = 0
        while True:
            try:
                connection.do_handshake()
                last = outgoing.read()
                client.send(flip(last) if spoils and last else last)
                return
            except ssl.SSLWantReadError:
                data = outgoing.read()
                flights += bool(data)
                if spoils and flights == 2:  # TLS 1.2: the second flight has Finished
                    client.send(flip(data))
                    return
                client.send(data)
                incoming.write(client.socket.recv(65536))

    def test_renegotiation_is_refused(self):
        with self.server() as server:
            command = [self.authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-servername", "localhost"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                text = b""
                try:
                    text = self.read_until(process, b"Verify return code", text)
                    process.stdin.write(b"R\n")
                    process.stdin.flush()
                    text = self.read_until(process, b"no renegotiation", text)
                finally:
                    process.kill()

    def test_keys_are_updated_as_often_as_the_client_likes(self):
        """KeyUpdate (RFC 8446, 4.6.3), with a request for one of the server, between requests."""
        with self.server("-k", "libev") as server:
            command = [self.authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-servername", "localhost"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                text = b""
                try:
                    text = self.read_until(process, b"Verify return code", text)
                    for _ in range(3):
                        for _ in range(3):
                            process.stdin.write(b"K\n")
                            process.stdin.flush()
                            text = self.read_until(process, b"KEYUPDATE", text[-1:])
                        process.stdin.write(GET)
                        process.stdin.flush()
                        text = self.read_until(process, b"Hello over TLSv1.3!", text[-1:])
                finally:
                    process.kill()

    def read_until(self, process, mark, text):
        deadline = time.monotonic() + 10 * harness.PATIENCE
        while mark not in text:
            self.assertGreater(deadline, time.monotonic(), text)
            if select.select([process.stdout], [], [], 1)[0]:
                data = os.read(process.stdout.fileno(), 65536)
                self.assertTrue(data, text)
                text += data
        return text


class Scanner(Tls):
    def test_testssl_finds_nothing_above_low(self):
        testssl = harness.need_program("testssl")
        harness.need_speed()
        with self.server("--workers", "2") as server, self.directory() as path:
            subprocess.run([testssl, "--quiet", "--color", "0", "--ip", "127.0.0.1", "--jsonfile", path / "found.json", "-p", "-s", "-f", "-P",
                            "-U", f"localhost:{server.port}"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
            found = json.loads((path / "found.json").read_text())
        self.assertLessEqual({"TLS1_2", "TLS1_3", "PFS", "heartbleed", "secure_client_renego", "LUCKY13"}, {one["id"] for one in found})
        self.assertEqual([one for one in found if one["severity"] not in ("OK", "INFO", "LOW", "WARN")], [])


if __name__ == "__main__":
    harness.main()

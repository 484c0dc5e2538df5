#!/usr/bin/python3
"""Encryption by the kernel (setting ktls): with a kernel that has TLS, and the fallback without."""
import errno
import hashlib
import os
import pathlib
import socket
import ssl
import subprocess

import harness
from test_tls import APPS, GET, LAST, VERSIONS, Tls

MISSING = "The kernel has no TLS (module tls): ktls has no effect"
BODY = hashlib.sha256(b"0123456789" * 500_000).hexdigest()


def kernel_has_tls():
    """On a socket that is not connected, the kernel refuses TLS for that, or because it has none."""
    with socket.socket() as plain:
        try:
            plain.setsockopt(socket.IPPROTO_TCP, 31, b"tls")  # TCP_ULP
        except OSError as error:
            return error.errno == errno.ENOTCONN
    return True


def sent_by_kernel():
    """How many connections have had their key for sending in the kernel so far."""
    lines = pathlib.Path("/proc/net/tls_stat").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("TlsTxSw", "TlsTxDevice")))


@harness.every_worker_class
class Kernel(Tls):
    def serve(self, *words):
        return self.server("--ktls", *words, "tls_bodies:app", program="prefork-wsgi", cwd=APPS)

    def fetch(self, server, version):
        """Large bodies to a slow client on a kept connection, then a short one and the end."""
        with self.client(server, version, seconds=30) as client:
            for path in (b"/bytes", b"/pieces", b"/file"):
                client.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                client.read_until(b"\r\n\r\n")
                client.is_quiet(0.1)
                self.assertEqual(hashlib.sha256(client.read_exactly(5_000_000)).hexdigest(), BODY)
            client.send(LAST)
            client.read_response()
            self.assertEqual(client.more(), b"")  # announced by close_notify

    def test_without_it_openssl_encrypts(self):
        if kernel_has_tls():
            self.skipTest("this kernel has TLS")
        with self.serve() as server:
            for version in VERSIONS:
                self.fetch(server, version)
            self.assertEqual(server.log().count(MISSING), 1)

    def test_the_kernel_encrypts(self):
        if not kernel_has_tls():
            self.skipTest("this kernel has no TLS: CONFIG_TLS is off, or the module tls is missing")
        with self.serve() as server:
            for version in VERSIONS:
                before = sent_by_kernel()
                self.fetch(server, version)
                self.assertGreater(sent_by_kernel(), before)
            self.assertNotIn(MISSING, server.log())
        with self.serve("--ciphers", "ECDHE-ECDSA-AES128-SHA256") as server:  # CBC: the kernel does not have it
            before = sent_by_kernel()
            self.fetch(server, ssl.TLSVersion.TLSv1_2)
            self.assertEqual(sent_by_kernel(), before)

    def test_a_client_that_asks_for_new_keys_gets_no_response(self):
        if not kernel_has_tls():
            self.skipTest("this kernel has no TLS: CONFIG_TLS is off, or the module tls is missing")
        with self.serve() as server:
            words = [self.authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-servername", "localhost"]
            with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                text = b""
                while b"Verify return code" not in text:
                    text += os.read(process.stdout.fileno(), 65536)
                process.stdin.write(b"K\n")
                process.stdin.flush()
                while b"KEYUPDATE" not in text:
                    text += os.read(process.stdout.fileno(), 65536)
                text, _ = process.communicate(GET, timeout=20 * harness.PATIENCE)
            self.assertNotIn(b"HTTP/1.1 200", text)
            with self.client(server) as client:
                client.send(LAST)
                self.assertEqual(client.read_response().status, 200)

    def test_pipelined_requests_and_uploads(self):
        with self.serve() as server:
            for version in VERSIONS:
                with self.client(server, version, seconds=30) as client:
                    client.send(GET * 20)
                    for _ in range(20):
                        client.read_response()
                    data = bytes(range(256)) * 4_000
                    client.send(f"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
                    self.assertEqual(client.read_response().body.decode(), hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    harness.main()

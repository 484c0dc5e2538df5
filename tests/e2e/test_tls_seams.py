#!/usr/bin/python3
"""TLS together with what else a server does: the PROXY header, loops of Python, clients that leave, suspended requests,
upgrades while certificates change."""
import concurrent.futures
import contextlib
import hashlib
import os
import signal
import threading
import time

import harness
from harness_tls import TlsClient
from test_tls import APPS, GET, LAST, VERSIONS, Tls

BODY = hashlib.sha256(b"0123456789" * 500_000).hexdigest()
HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"


class ProxiedClient(TlsClient):
    """A TlsClient behind a proxy that sends a PROXY header before its first byte."""

    def __init__(self, server, context, **more):
        super().__init__(Proxied(server), context, **more)


class Proxied:
    def __init__(self, server):
        self.server = server

    def dial(self, seconds):
        plain = self.server.dial(seconds)
        plain.sendall(HEADER)
        return plain


@harness.every_worker_class
class Seams(Tls):
    def proxied(self, *words, **more):
        return self.server("--proxy-protocol", "auto", "--timeout", "120", *words, **more)

    def test_proxied_bodies_and_clients_that_leave(self):
        with self.proxied("tls_bodies:app", program="prefork-wsgi", cwd=APPS) as server:
            data = bytes(range(256)) * 4_000
            for version in VERSIONS:
                context = self.authority.context(version)
                for path in (b"/bytes", b"/pieces", b"/file"):
                    with ProxiedClient(server, context) as gone:  # it leaves in the middle of the response
                        gone.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                        gone.read_until(b"\r\n\r\n")
                        gone.read_exactly(100_000)
                        gone.reset()
                with ProxiedClient(server, context) as gone:  # and in the middle of its request
                    gone.send(b"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
                with ProxiedClient(server, context, seconds=30) as client:
                    for path in (b"/bytes", b"/pieces", b"/file"):
                        client.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                        client.read_until(b"\r\n\r\n")
                        self.assertEqual(hashlib.sha256(client.read_exactly(5_000_000)).hexdigest(), BODY)
                    client.send(f"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
                    self.assertEqual(client.read_response().body.decode(), hashlib.sha256(data).hexdigest())
            pids = server.workers()
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("Traceback", server.log())
            self.assertEqual(server.log().count("Booting worker"), len(pids))

    def test_requests_that_are_suspended(self):
        if self.flags[1] in harness.LOOPS:
            self.skipTest("the program is in C")
        with self.proxied(program="tls_long_poll") as server:
            for version in VERSIONS:
                context = self.authority.context(version)
                with contextlib.ExitStack() as stack:
                    waiting = [stack.enter_context(ProxiedClient(server, context)) for _ in range(6)]
                    for client in waiting:
                        client.send(GET)
                    for gone in waiting[4:]:
                        gone.socket.close()
                    self.post(server, context, b"to all", waiting[:4])
                    for client in waiting[:4]:
                        client.send(GET)  # again, on the same connection
                    self.post(server, context, b"x" * 4000, waiting[:4])

    def post(self, server, context, message, waiting):
        """Send it until each of these clients has it: the request of one may be suspended after those of clients that have
        left, which the response to a POST counts, too."""
        def send():
            with ProxiedClient(server, context) as client:
                client.send(f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(message)}\r\n\r\n".encode() + message)
                self.assertEqual(client.read_response().status, 200)
            return all(response.done() for response in responses)

        with concurrent.futures.ThreadPoolExecutor(len(waiting)) as pool:
            responses = [pool.submit(client.read_response) for client in waiting]
            harness.wait_until(send, "all have the message")
        self.assertEqual([response.result().body for response in responses], [message] * len(waiting))


class Loops(Tls):
    """Workers inside of loops of other libraries, and coroutines: programs in C that know nothing of TLS."""
    flags = ()

    def serve(self, name, *words):
        return self.server("--timeout", "120", "--drain-idle", "20", *words, program=f"tls_worker_{name}")

    def test_requests_handshakes_and_the_drain(self):
        for name in ("poll", "glib", "uv"):
            for words in ([], ["--threads", "2"]):
                with self.subTest(name, words=words), self.serve(name, *words) as server, contextlib.ExitStack() as stack:
                    server.wait_for_serving(1)
                    for _ in range(50):  # clients that never begin the handshake
                        stack.enter_context(server.connect(seconds=30))
                    for version in VERSIONS:
                        with self.client(server, version, seconds=30) as client:
                            client.send(GET * 50)  # the poller sees nothing of those that were decrypted with the first one
                            for _ in range(50):
                                self.assertEqual(client.read_response().body, b"Hello, world!\n")
                            client.send(LAST)
                            client.read_response()
                            self.assertEqual(client.more(), b"")  # announced by close_notify
                    with self.client(server, seconds=30) as kept:
                        kept.send(GET)
                        self.assertEqual(kept.read_response().status, 200)
                        server.send_signal(signal.SIGTERM)
                        said = ""
                        while said != "close":  # by the first response after the worker has been told
                            kept.send(GET)
                            said = kept.read_response().headers.get("connection")
                        self.assertEqual(kept.more(), b"")
                    stack.close()
                    self.assertEqual(server.wait(), 0)

    def test_coroutines_that_wait_for_a_client(self):
        with self.serve("tasks") as server:
            for version in VERSIONS:
                with self.client(server, version, seconds=30) as slow, self.client(server, version, seconds=30) as client:
                    slow.send(GET)
                    slow.read_until(b"\r\n\r\n")
                    slow.is_quiet(0.1)  # its coroutine waits, and other connections are served
                    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
                    for _ in range(3):
                        client.send(b"x" * 1_000_000)
                    self.assertIn(b"3000000", client.read_response().body)
                    self.assertEqual(len(slow.chunks()), 6_400_000)
            self.assertEqual(server.stop(), 0)


class Upgrades(Tls):
    def setUp(self):
        self.live = self.path / f"live-{self.id()}"
        self.live.mkdir()
        self.issue("first")

    def issue(self, organization):
        certificate, key = self.authority.issue(self.path / "new.pem", self.path / "new.key", "localhost",
                                                subject=f"/O={organization}/CN=localhost")
        certificate.rename(self.live / "tls.crt")
        key.rename(self.live / "tls.key")

    def organization(self, server):
        with TlsClient(server, self.authority.context()) as client:
            client.send(LAST)
            self.assertEqual(client.read_response().status, 200)
            return dict(part[0] for part in client.socket.getpeercert()["subject"])["organizationName"]

    def test_certificates_change_before_and_during_an_upgrade(self):
        lost, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    self.organization(server)
                except (OSError, AssertionError) as error:
                    lost.append(error)
                time.sleep(0.01)

        with harness.Server([harness.program("https_hello"), "--workers", "2", "--upgrade", "automatic", "--pid", self.path / "pid",
                             "--certfile", self.live / "tls.crt", "--keyfile", self.live / "tls.key"]) as server:
            server.wait_for_serving(2)
            loader = threading.Thread(target=load)
            loader.start()
            new = None
            try:
                self.issue("second")
                server.send_signal(harness.signal.SIGUSR2)
                # It does not start with a certificate and the key of another one. Later it reads files once they fit.
                harness.wait_until(lambda: server.log().count("event=listen ") == 2, "the new arbiter has read the second one", 20)
                self.issue("third")
                server.wait_for_log("Master has been promoted", 30)
                harness.wait_until(lambda: server.process.poll() is not None, "the old arbiter has exited", 20)
                new = int((self.path / "pid").read_text())
                harness.wait_until(lambda: [self.organization(server) for _ in range(6)] == ["third"] * 6, "the third certificate")
                self.issue("fourth")
                harness.wait_until(lambda: [self.organization(server) for _ in range(6)] == ["fourth"] * 6, "the fourth certificate")
            finally:
                stop.set()
                loader.join()
                if new:
                    os.kill(new, harness.signal.SIGTERM)
                    harness.wait_until(lambda: harness.start_time(new) is None, "the new arbiter has exited", 20)
            self.assertEqual(lost, [])


if __name__ == "__main__":
    harness.main()

"""Both arbiters of a manual upgrade are stopped at the same time: no connection is reset."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import tempfile
import threading
import time

import harness
import test_upgrade as upgrade

HELLO = upgrade.HELLO
setUpModule = upgrade.setUpModule
ROUNDS = 8
LINGER = 0.9  # seconds; a SYN that was dropped meanwhile is sent again after 1 s, and refused


class Clients:
    """Threads that connect without pause until the server refuses.

    The server waits for LINGER for the request of a connection that is being established. A client that had no processor for
    longer may be reset.
    """

    def __init__(self, server, threads=4, port=None):
        self.server, self.failed, self.served, self.port = server, [], 0, port
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *rest):
        for thread in self.threads:
            thread.join()

    def dial(self):
        if self.port is None:
            return self.server.dial(20 * harness.PATIENCE)
        return socket.create_connection((self.server.host, self.port), timeout=20 * harness.PATIENCE)

    def run(self):
        while True:
            began = time.monotonic()
            try:
                client = self.dial()
            except (ConnectionRefusedError, FileNotFoundError):
                return
            except ConnectionResetError:  # of the handshake: Linux reports a RST for the SYN as a refusal
                self.failed.append("reset while connecting")
                return
            with client:
                sent = None
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    sent = time.monotonic()
                    received = b""
                    while data := client.recv(4096):
                        received += data
                    if received.startswith(b"HTTP/1.1 200 "):
                        self.served += 1
                        continue
                    error = f"received {received!r}"
                except OSError as failure:
                    error = repr(failure)
                if (sent or time.monotonic()) - began < LINGER:
                    self.failed.append(error)


class Together(upgrade.Case):
    def check(self, *flags, unix=False, group=False, first="old"):
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as name:
                bind = f"unix:{name}/socket" if unix else "tcp"
                with upgrade.Server([HELLO, "--upgrade", "manual", "--workers", "2", "--canary-time", "0", *flags],
                                    bind=bind, cwd=name, env={"PREFORK_STOP_LINGER": f"{LINGER}s"}) as server:
                    server.wait_for_serving(2)
                    old, new = server.pid, server.request_upgrade()
                    server.workers()
                    with Clients(server) as clients:
                        harness.wait_until(lambda: clients.served > 20, "clients are served")
                        if group:
                            os.killpg(old, signal.SIGTERM)
                        else:
                            for pid in (old, new) if first == "old" else (new, old):
                                os.kill(pid, signal.SIGTERM)
                        self.assertEqual(server.process.wait(20 * harness.PATIENCE), 0)
                        harness.wait_until(lambda: harness.start_time(new) is None, "the new arbiter exits")
                    self.assertEqual(clients.failed, [])
                    self.assertFalse(pathlib.Path(name, "socket").exists())

    def test_the_old_one_first(self):
        self.check()

    def test_the_new_one_first(self):
        self.check(first="new")

    def test_all_processes(self):
        """As systemd does with KillMode=control-group."""
        self.check(group=True)

    def test_with_reuseport_sockets(self):
        self.check("--reuse-port")

    def test_on_a_unix_socket(self):
        self.check(unix=True, first="new")


class Addresses(upgrade.Case):
    """A reload that changes `bind` during a manual upgrade."""

    @contextlib.contextmanager
    def upgraded(self):
        """A server on two ports, and its new arbiter."""
        harness.need_files()
        with tempfile.TemporaryDirectory() as name:
            self.file = pathlib.Path(name) / "prefork.ini"
            self.other = harness.free_port()
            server = upgrade.Server([HELLO, "--config", self.file, "--upgrade", "manual", "--workers", "2", "--canary-time", "0"],
                                    bind=None, cwd=name, env={"PREFORK_STOP_LINGER": f"{LINGER}s"})
            self.set_bind(server.port, self.other)
            with server:
                server.wait_for_serving(2)
                new = server.request_upgrade()
                server.workers()
                yield server, new

    def set_bind(self, *ports):
        self.file.write_text("[prefork]\nbind = %s\n" % ", ".join(f"127.0.0.1:{port}" for port in ports))

    def reload(self, server, pid, verdict="done"):
        """By one of two arbiters."""
        words = rf"\[{pid}\] \[\w+\] Reload {verdict}"
        before = len(re.findall(words, server.log()))
        server.workers()
        old = [child for child in harness.children(pid) if "] serving" in harness.title(child)]
        os.kill(pid, signal.SIGHUP)
        harness.wait_until(lambda: len(re.findall(words, server.log())) > before, f"Reload {verdict}")
        if verdict == "done":
            server.wait_for_exit(old)

    def get(self, server, port):
        with harness.Client(socket.create_connection((server.host, port), timeout=20 * harness.PATIENCE)) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(client.read_all().startswith(b"HTTP/1.1 200 "))

    def check(self, server, pid):
        """Without a reset, the other port is refused when `pid` stops."""
        with Clients(server, port=self.other) as clients:
            harness.wait_until(lambda: clients.served > 20, "clients are served")
            os.kill(pid, signal.SIGTERM)
            harness.wait_until(lambda: harness.start_time(pid) is None, "it exits")
        self.assertEqual(clients.failed, [])

    def test_the_old_one_is_alone_on_an_address_that_the_new_one_drops(self):
        with self.upgraded() as (server, new):
            self.set_bind(server.port)
            self.reload(server, new)
            self.check(server, server.pid)
            self.assertEqual(server.process.wait(), 0)
            server.process = upgrade.Process(new)
            self.get(server, server.port)
            self.assertEqual(server.stop(), 0)

    def test_the_new_one_is_alone_on_an_address_that_the_old_one_drops(self):
        with self.upgraded() as (server, new):
            self.set_bind(server.port)
            self.reload(server, server.pid)
            self.check(server, new)
            self.get(server, server.port)
            self.assertEqual(server.stop(), 0)

    def test_one_of_both_binds_a_new_address(self):
        with self.upgraded() as (server, new):
            third = harness.free_port()
            self.set_bind(server.port, self.other, third)
            self.reload(server, server.pid)
            self.get(server, third)
            self.reload(server, new, f"failed: .*127.0.0.1:{third}")  # the old one listens there
            self.get(server, third)
            server.process.send_signal(signal.SIGTERM)
            server.follow(new)
            server.reload()
            for port in server.port, self.other, third:
                self.get(server, port)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

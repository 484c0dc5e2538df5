"""Both arbiters of a manual upgrade are stopped at the same time: no connection is reset."""
import os
import pathlib
import signal
import tempfile
import threading

import harness
import test_upgrade as upgrade

HELLO = upgrade.HELLO
setUpModule = upgrade.setUpModule
ROUNDS = 8


class Clients:
    """Threads that connect without pause until the server refuses."""

    def __init__(self, server, threads=4):
        self.server, self.failed, self.served = server, [], 0
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *rest):
        for thread in self.threads:
            thread.join()

    def run(self):
        while True:
            try:
                client = self.server.dial(20 * harness.PATIENCE)
            except (ConnectionRefusedError, FileNotFoundError):
                return
            except ConnectionResetError:  # of the handshake: Linux reports a RST for the SYN as a refusal
                self.failed.append("reset while connecting")
                return
            with client:
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    received = b""
                    while data := client.recv(4096):
                        received += data
                    if not received.startswith(b"HTTP/1.1 200 "):
                        self.failed.append(f"received {received!r}")
                    self.served += 1
                except OSError as error:
                    self.failed.append(repr(error))


class Together(upgrade.Case):
    def check(self, *flags, unix=False, group=False, first="old"):
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as name:
                bind = f"unix:{name}/socket" if unix else "tcp"
                with upgrade.Server([HELLO, "--upgrade", "manual", "--workers", "2", "--canary-time", "0", *flags],
                                    bind=bind, cwd=name, env={"PREFORK_STOP_LINGER": "300ms"}) as server:
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


if __name__ == "__main__":
    harness.main()

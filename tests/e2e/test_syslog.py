"""--log-syslog: error log and access log as datagrams, and a daemon that is gone or slow delays nothing."""
import contextlib
import os
import pathlib
import re
import socket
import tempfile

import harness

HELLO = harness.program("http_hello")
HEAD = r"<%d>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d %s\[(\d+)\]: "


class Daemon:
    """A syslog daemon on a unix socket."""

    def __init__(self, path):
        self.path, self.lines = path, []
        self.start()

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def stop(self):
        self.socket.close()
        os.unlink(self.path)

    def text(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.lines.append(self.socket.recv(4096).decode())
        return "\n".join(self.lines)

    def wait_for(self, pattern):
        return harness.wait_until(lambda: re.search(pattern, self.text()), f"{pattern} in syslog")


@harness.every_worker_class
class Syslog(harness.Case):
    @contextlib.contextmanager
    def served(self, *flags):
        with tempfile.TemporaryDirectory() as name:
            os.chmod(name, 0o755)
            daemon = Daemon(f"{name}/log")
            with harness.Server([HELLO, *self.flags, "--log-syslog", "--log-syslog-to", f"unix://{name}/log",
                                 "--log-syslog-prefix", "shop", "--log-syslog-facility", "local0", *flags]) as server:
                server.wait_for_serving(1)
                yield server, daemon
            daemon.socket.close()

    def test_both_logs_with_priority_and_pid(self):
        with self.served() as (server, daemon):
            worker = server.wait_for_serving(1)[0]
            self.assertEqual(server.get("/found").status, 200)
            self.assertEqual(daemon.wait_for(HEAD % (134, r"shop\.access") + '.*"GET /found HTTP/1.1" 200')[1], str(worker))
            self.assertEqual(daemon.wait_for(HEAD % (134, r"shop\.error") + ".*1 of 1 workers ready.* event=")[1],
                             str(server.pid))
            self.assertNotIn("GET /found", server.log())  # no access log was requested
            self.assertEqual(server.stop(), 0)
            daemon.wait_for("Shutting down: Master")

    def test_a_daemon_that_restarts(self):
        with self.served() as (server, daemon):
            self.assertEqual(server.get("/before").status, 200)
            daemon.wait_for("GET /before")
            daemon.stop()
            for _ in range(3):
                self.assertEqual(server.get("/lost").status, 200)
            daemon.start()
            self.assertEqual(server.get("/after").status, 200)
            daemon.wait_for(HEAD % (132, r"shop\.access") + r"\d log lines? w\w+ lost")
            daemon.wait_for("GET /after")
            self.assertEqual(server.stop(), 0)

    def test_a_daemon_that_does_not_read(self):
        with self.served() as (server, daemon):
            capacity = int(pathlib.Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
            for _ in range(capacity + 10):
                self.assertEqual(server.get("/full").status, 200)
            daemon.text()
            self.assertEqual(server.get("/after").status, 200)
            daemon.wait_for(r"\d+ log lines were lost")
            daemon.wait_for("GET /after")
            self.assertEqual(server.stop(), 0)

    def test_the_error_log_alone(self):
        with self.served("--disable-redirect-access-to-syslog") as (server, daemon):
            self.assertEqual(server.get("/quiet").status, 200)
            self.assertEqual(server.stop(), 0)
            daemon.wait_for("Shutting down: Master")
            self.assertNotIn("shop.access", daemon.text())


class Udp(harness.Case):
    def test_the_host_is_named(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
            daemon.bind(("127.0.0.1", 0))
            daemon.settimeout(20 * harness.PATIENCE)
            with harness.Server([HELLO, "--log-syslog", "--log-syslog-to", "udp://localhost:%d" % daemon.getsockname()[1],
                                 "--name", "shop"]) as server:
                line = daemon.recv(4096).decode()
                self.assertRegex(line, HEAD % (14, re.escape(socket.gethostname()[:62]) + r" shop\.error"))
                self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

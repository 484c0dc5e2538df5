"""Messages to the service manager, as of sd_notify(3), about start, reload, stop and watchdog: a fake one reads them."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import struct
import tempfile
import time

import harness

APPS = pathlib.Path(__file__).resolve().parent / "apps"
HELLO = harness.program("http_hello")
LIMIT = 10 * harness.PATIENCE
SO_TIMESTAMPNS = 35  # on most architectures


class Manager:
    """A notify socket. `messages` are (pid of the sender, text), in order; `sent` is when the kernel got the last one."""

    def __init__(self, abstract=False):
        self.directory = tempfile.TemporaryDirectory()
        self.name = f"@prefork-{os.getpid()}-{id(self)}" if abstract else f"{self.directory.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind("\0" + self.name[1:] if abstract else self.name)
        self.messages, self.stored, self.sent = [], [], 0.0

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        for each in [self.socket, *self.stored]:
            each.close()
        self.directory.cleanup()

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def receive(self, seconds=LIMIT):
        self.socket.settimeout(seconds)
        text, ancillary, _, _ = self.socket.recvmsg(4096, sum(map(socket.CMSG_SPACE, (12, 4, 16))))
        for _, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                self.stored.append(socket.socket(fileno=struct.unpack("i", data)[0]))
            elif kind == SO_TIMESTAMPNS:
                seconds, ns = struct.unpack("ll", data)
                self.sent = seconds + ns / 1e9
            else:
                pid = struct.unpack("iii", data)[0]
        self.messages.append((pid, text.decode()))
        return text.decode()

    def wait_for(self, start):
        """Receive until a message begins so; return it."""
        while True:
            text = self.receive()
            if text.startswith(start):
                return text

    def drain(self):
        with contextlib.suppress(BlockingIOError, TimeoutError):
            while True:
                self.receive(0)

    def states(self):
        """All messages but for those that change no state, each by its first line."""
        firsts = [text.partition("\n")[0] for _, text in self.messages]
        return [first for first in firsts if not first.startswith(("STATUS=", "EXTEND_", "RESTART_RESET", "WATCHDOG="))]


@harness.every_worker_class
class Life(harness.Case):
    """From the start to the end, under every class."""

    def check(self, abstract):
        harness.need_files()
        with Manager(abstract) as manager, tempfile.TemporaryDirectory() as directory:
            settings = pathlib.Path(directory) / "prefork.ini"
            settings.write_text("[prefork]\ncanary_time = 100ms\n")
            with harness.Server([HELLO, "-w", "2", "-c", settings, *self.flags], env=manager.environment()) as server:
                self.assertRegex(manager.wait_for("READY=1"), r"^READY=1\nSTATUS=Serving: \w+ 2 of 2 workers ready$")
                server.wait_for_serving(2)
                self.assertEqual(manager.receive(), "RESTART_RESET=1")
                before_us = time.monotonic_ns() // 1000
                server.send_signal(signal.SIGHUP)
                began = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=Reloading: .*", manager.wait_for("RELOADING=1"))
                self.assertTrue(before_us <= int(began.group(1)) <= time.monotonic_ns() // 1000)
                self.assertRegex(manager.wait_for("READY=1"), r"STATUS=Serving: .*; last reload done$")
                settings.write_text("[prefork]\nworkers = many\n")
                server.send_signal(signal.SIGHUP)
                manager.wait_for("RELOADING=1")
                self.assertRegex(manager.receive(), r"^READY=1\nSTATUS=Serving: .*; last reload failed: .*:2: workers: ")
                self.assertEqual(server.get().status, 200)
                self.assertEqual(server.stop(), 0)
                manager.drain()
                self.assertEqual(manager.states(), ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"])
                self.assertEqual({pid for pid, _ in manager.messages}, {server.pid})

    def test_a_socket_with_a_path(self):
        self.check(abstract=False)

    def test_an_abstract_socket(self):
        self.check(abstract=True)


class Watchdog(harness.Case):
    def serve(self, manager, *prefix, **environment):
        return harness.Server([HELLO], env=manager.environment(**environment), prefix=prefix)

    def test_pings_follow_ready_at_half_the_interval(self):
        for prefix in ((), ("/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh")):
            with self.subTest(prefix=prefix), Manager() as manager, self.serve(
                    manager, *prefix, WATCHDOG_USEC="400000") as server:
                manager.wait_for("READY=1")
                self.assertEqual(manager.receive(), "WATCHDOG=1")
                began = manager.sent
                for _ in range(5):
                    manager.wait_for("WATCHDOG=1")
                self.assertGreater(manager.sent - began, 0.7)  # also if the test reads the first one late
                self.assertEqual({pid for pid, _ in manager.messages}, {server.pid})
                self.assertEqual(server.stop(), 0)

    def test_a_watchdog_of_another_process_is_not_ours(self):
        with Manager() as manager, self.serve(manager, WATCHDOG_USEC="20000", WATCHDOG_PID="1") as server:
            manager.wait_for("READY=1")
            server.send_signal(signal.SIGHUP)
            manager.wait_for("READY=1")
            self.assertEqual(server.stop(), 0)
            manager.drain()
            self.assertNotIn("WATCHDOG=1", [text for _, text in manager.messages])


@harness.every_worker_class
class Store(harness.Case):
    """Listening sockets that the service manager keeps, and hands over at the next start."""

    def serve(self, manager, port, *flags, stored=None, name="", **environment):
        fds = [stored.fileno()] if stored else []
        if stored:
            environment["PREFORK_FDS"] = f"{name}={fds[0]}"
        server = harness.Server([HELLO, *self.flags, *flags], bind=f"127.0.0.1:{port}", fds=fds,
                                env=manager.environment(**environment))
        server.port = port
        return server

    def test_a_socket_outlives_a_crash_and_a_stop(self):
        port = harness.free_port()
        with Manager() as manager:
            with self.serve(manager, port, FDSTORE="8") as server:
                name = re.fullmatch(r"FDSTORE=1\nFDNAME=(prefork-[0-9a-f]{8})", manager.wait_for("FDSTORE=1")).group(1)
                manager.wait_for("READY=1")
                server.stop(signal.SIGKILL)
            stored = manager.stored[0]
            with socket.create_connection(("127.0.0.1", port), LIMIT) as waiting:
                waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                with self.serve(manager, port, stored=stored, name=name, FDSTORE="8") as server:
                    self.assertTrue(waiting.recv(100).startswith(b"HTTP/1.1 200"))
                    server.wait_for_serving(1)  # a worker of an arbiter that was killed may have sent the response
                    self.assertEqual(server.stop(), 0)
            with socket.create_connection(("127.0.0.1", port), LIMIT) as waiting:  # a stop does not make it refuse
                waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                with self.serve(manager, port, stored=stored, name=name, FDSTORE="8") as server:
                    self.assertTrue(waiting.recv(100).startswith(b"HTTP/1.1 200"))
                    server.wait_for_serving(1)  # a worker of an arbiter that was killed may have sent the response
                    self.assertEqual(server.stop(), 0)
            manager.drain()
            self.assertEqual(len(manager.stored), 1)  # it is in the store already
            self.assertNotIn("FDSTOREREMOVE=1", manager.states())

    def test_an_address_that_is_not_used_any_more_is_removed(self):
        harness.need_files()
        port, other = harness.free_port(), harness.free_port()
        with Manager() as manager, tempfile.TemporaryDirectory() as directory:
            settings = pathlib.Path(directory) / "prefork.ini"
            settings.write_text(f"[prefork]\nbind = 127.0.0.1:{port}\ncanary_time = 0\n")
            server = harness.Server([HELLO, *self.flags, "-c", settings], bind=None, env=manager.environment(FDSTORE="8"))
            with server:
                name = manager.wait_for("FDSTORE=1").partition("FDNAME=")[2]
                manager.wait_for("READY=1")
                settings.write_text(f"[prefork]\nbind = 127.0.0.1:{other}\ncanary_time = 0\n")
                server.send_signal(signal.SIGHUP)
                self.assertNotIn(name, manager.wait_for("FDSTORE=1"))
                self.assertEqual(manager.wait_for("FDSTOREREMOVE=1"), f"FDSTOREREMOVE=1\nFDNAME={name}")
                self.assertEqual(server.stop(), 0)
            manager.stored.pop().close()
            with self.serve(manager, other, stored=manager.stored[0], name=name) as server:  # bind has changed meanwhile
                self.assertEqual(manager.wait_for("FDSTOREREMOVE=1"), f"FDSTOREREMOVE=1\nFDNAME={name}")
                self.assertNotIn("WARNING", server.log())
                self.assertEqual(server.stop(), 0)

    def test_nothing_is_stored_unless_wanted(self):
        for flags, environment in (((), {}), (("--fd-store", "off"), {"FDSTORE": "8"}), ((), {"FDSTORE": "0"})):
            with self.subTest(flags=flags, environment=environment), Manager() as manager, self.serve(
                    manager, harness.free_port(), *flags, **environment) as server:
                manager.wait_for("READY=1")
                self.assertEqual(server.stop(), 0)
                manager.drain()
                self.assertEqual(manager.stored, [])


# It loads once the file `go` is there, and responds once `finish` is.
SLOW = """
import os, time
def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)
wait_for("go")
def app(environ, start_response):
    open("began", "w").close()
    wait_for("finish")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


class Slow(harness.Case):
    def test_a_slow_start_and_a_slow_stop_ask_for_more_time(self):
        limits = [word for name in ("boot-timeout", "timeout", "graceful-timeout") for word in (f"--{name}", "1000")]
        with Manager() as manager, self.directory(slow_py=SLOW) as directory, harness.Server(
                [harness.program("prefork-wsgi"), *limits, "slow:app"], cwd=directory, env=manager.environment()) as server:
            manager.wait_for("EXTEND_TIMEOUT_USEC=15000000")
            self.assertEqual(manager.states(), [])
            (directory / "go").touch()
            manager.wait_for("READY=1")
            with server.connect(seconds=30) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                harness.wait_until((directory / "began").exists, "the request")
                server.send_signal(signal.SIGTERM)
                manager.wait_for("STOPPING=1")
                manager.wait_for("EXTEND_TIMEOUT_USEC=15000000")
                (directory / "finish").touch()
                self.assertEqual(client.read_response().status, 200)
            self.assertEqual(server.wait(), 0)


# A configuration file that is read once the file `end` is there.
WAITS = """
import os, time
open("read", "w").close()
while not os.path.exists("end"):
    time.sleep(0.01)
"""


class TwoReloads(harness.Case):
    """One whose worker starts, and another one: for the manager they are one, with the verdict of the later one."""

    def test_the_manager_waits_for_both(self):
        with Manager() as manager, self.directory(slow_py=SLOW, conf_py="") as directory:
            (directory / "go").touch()
            with self.serve(manager, directory) as server:
                manager.wait_for("READY=1")
                self.reload_slowly(server, directory)
                (directory / "conf.py").write_text(WAITS)
                server.send_signal(signal.SIGHUP)
                harness.wait_until((directory / "read").exists, "the second reload")
                (directory / "go").touch()
                server.wait_for_log("verdict=done")
                (directory / "end").touch()
                self.assertRegex(manager.wait_for("READY=1"), "; last reload done$")
                self.reload_slowly(server, directory)
                (directory / "conf.py").write_text("missing")
                server.send_signal(signal.SIGHUP)
                server.wait_for_log("verdict=failed")
                (directory / "go").touch()
                self.assertRegex(manager.wait_for("READY=1"), "; last reload failed: .*missing")
                self.assertEqual(manager.states(), ["READY=1", *["RELOADING=1", "RELOADING=1", "READY=1"] * 2])
                self.assertEqual(server.log().count("verdict=done"), 3)

    def serve(self, manager, directory):
        flags = ("-c", "conf.py", "--canary-time", "0", "--config-timeout", "1000")
        return harness.Server([harness.program("prefork-wsgi"), *flags, "slow:app"], cwd=directory, env=manager.environment())

    def reload_slowly(self, server, directory):
        """Begin a reload whose worker waits for the file `go`."""
        (directory / "go").unlink()
        workers = server.log().count("Booting worker")
        server.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: server.log().count("Booting worker") > workers, "the worker starts")


class Trouble(harness.Case):
    def test_a_start_that_fails_tells_why(self):
        with Manager() as manager, socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            with harness.Server([HELLO], bind=address, env=manager.environment()) as server:
                self.assertEqual(server.wait(), 1)
            self.assertRegex(manager.receive(), rf"^STATUS=.*{address}.*\nERRNO=98$")

    def test_a_pool_that_cannot_boot_is_degraded_and_says_so(self):
        with Manager() as manager, harness.Server(
                [harness.program("prefork-wsgi"), "-w", "2", "--boot-failure-policy", "degrade", "broken:app"], cwd=APPS,
                env=manager.environment(), wait=False) as server:
            self.assertRegex(manager.wait_for("READY=1"), "STATUS=Degraded: web 0 of 2 workers ready$")
            server.stop()

    def test_a_manager_that_does_not_read_stops_nothing_and_gets_all_in_the_end(self):
        with Manager() as manager, harness.Server([HELLO, "--canary-time", "0"], env=manager.environment()) as server:
            for _ in range(11):
                server.reload()
            self.assertEqual(server.get().status, 200)
            while manager.states()[-1:] != ["READY=1"] or "last reload done" not in manager.messages[-1][1]:
                manager.receive()
            server.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            self.assertEqual(server.wait(), 0)

    def test_a_manager_that_is_gone_costs_one_line(self):
        with harness.Server([HELLO], env={"NOTIFY_SOCKET": "/nowhere/at/all"}) as server:
            server.reload()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.log().count("A message to the service manager is lost: No such file or directory"), 1)

    def test_an_address_that_is_no_unix_socket_is_named(self):
        with harness.Server([HELLO], env={"NOTIFY_SOCKET": "vsock:2:1234"}) as server:
            server.wait_for_log("NOTIFY_SOCKET is vsock:2:1234, which is neither a path nor @NAME")
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)

    def test_an_embedded_arbiter_leaves_the_variable_to_its_application(self):
        with Manager() as manager, harness.Server([harness.program("embed_poll")], env=manager.environment(),
                                                  wait=False) as server:
            server.wait_for_workers(1)
            server.stop()
            manager.drain()
            self.assertEqual(manager.messages, [])


if __name__ == "__main__":
    harness.main()

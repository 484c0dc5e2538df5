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


class Manager:
    """A notify socket. `messages` are (pid of the sender, text), in order."""

    def __init__(self, abstract=False):
        self.directory = tempfile.TemporaryDirectory()
        self.name = f"@prefork-{os.getpid()}-{id(self)}" if abstract else f"{self.directory.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + self.name[1:] if abstract else self.name)
        self.messages = []

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.socket.close()
        self.directory.cleanup()

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def receive(self, seconds=LIMIT):
        self.socket.settimeout(seconds)
        text, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        pid = struct.unpack("iii", ancillary[0][2])[0]
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
                began = time.monotonic()
                for _ in range(5):
                    manager.wait_for("WATCHDOG=1")
                self.assertGreater(time.monotonic() - began, 0.7)
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
            for count in range(1, 12):
                server.send_signal(signal.SIGHUP)
                harness.wait_until(lambda count=count: server.log().count("Reload done") == count, "a verdict")
            self.assertEqual(server.get().status, 200)
            while manager.states()[-1:] != ["READY=1"] or "last reload done" not in manager.messages[-1][1]:
                manager.receive()
            server.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            self.assertEqual(server.wait(), 0)

    def test_a_manager_that_is_gone_costs_one_line(self):
        with harness.Server([HELLO], env={"NOTIFY_SOCKET": "/nowhere/at/all"}) as server:
            server.wait_for_serving(1)
            server.send_signal(signal.SIGHUP)
            server.wait_for_log("Reload done")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.log().count("A message to the service manager is lost: No such file or directory"), 1)

    def test_an_address_that_is_no_unix_socket_is_named(self):
        with harness.Server([HELLO], env={"NOTIFY_SOCKET": "vsock:2:1234"}) as server:
            self.assertIn("NOTIFY_SOCKET is vsock:2:1234, which is neither a path nor @NAME", server.log())
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

"""Upgrades while the service manager has copies of the listening sockets (fd_store)."""
import contextlib
import os
import pathlib
import signal
import socket
import tempfile

import harness
import test_notify as notify
import test_upgrade as upgrade

setUpModule = upgrade.setUpModule
LIMIT = notify.LIMIT


class Store(upgrade.Case):
    def setUp(self):
        super().setUp()
        harness.need_files()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = pathlib.Path(directory.name) / "prefork.ini"

    def set(self, **settings):
        values = {"bind": f"127.0.0.1:{self.port}", "canary_time": "0", "upgrade": "automatic", **settings}
        self.file.write_text("[prefork]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))

    def serve(self, *flags, fds=(), **environment):
        server = upgrade.Server([upgrade.HELLO, "-c", self.file, *flags], bind=None, fds=fds,
                                env=self.manager.environment(FDSTORE="8", **environment))
        server.port = self.port
        return server

    @contextlib.contextmanager
    def stored(self, **settings):
        """A server whose socket is in the store; self.name is its name there."""
        self.manager, self.port = notify.Manager(), harness.free_port()
        self.addCleanup(self.manager.__exit__)
        self.set(**settings)
        with self.serve() as server:
            self.name = self.wait_for("FDSTORE=1", server.pid).partition("FDNAME=")[2]
            self.wait_for("READY=1", server.pid)
            server.wait_for_serving(1)
            yield server

    def wait_for(self, start, sender):
        text = self.manager.wait_for(start)
        self.assertEqual(self.manager.messages[-1][0], sender, text)
        return text

    def upgrade(self, server):
        """The service manager gets the new pid from the old arbiter."""
        old = server.pid
        server.upgrade()
        self.assertIn(f"MAINPID={server.pid}", self.wait_for("MAINPID", old))

    def check_waits(self):
        """A connection is accepted by the kernel though no arbiter is there, and the next start serves it."""
        stored = self.manager.stored[0]
        with socket.create_connection(("127.0.0.1", self.port), LIMIT) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with self.serve(fds=[stored.fileno()], PREFORK_FDS=f"{self.name}={stored.fileno()}") as server:
                self.assertTrue(waiting.recv(100).startswith(b"HTTP/1.1 200"))
                server.wait_for_serving(1)  # a worker of an arbiter that was killed may have sent the response
                self.assertEqual(server.stop(), 0)

    def check_refuses(self):
        """Once the service manager has closed its copies."""
        for each in self.manager.stored:
            each.close()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), LIMIT).close()

    def test_a_stop_leaves_the_socket_open_after_upgrades(self):
        for way, number in ("automatic", signal.SIGTERM), ("manual", signal.SIGTERM), ("automatic", signal.SIGKILL):
            with self.subTest(way=way, number=number), self.stored(upgrade=way) as server:
                for _ in range(2):
                    self.upgrade(server)
                server.wait_for_serving(1)
                server.stop(number)
                self.manager.drain()
                self.assertNotIn("FDSTOREREMOVE=1", self.manager.states())
                self.check_waits()

    def test_a_stop_leaves_it_open_if_the_new_arbiter_was_sent_back(self):
        with self.stored(upgrade="manual") as server:
            new = server.request_upgrade()
            os.kill(new, signal.SIGQUIT)
            server.wait_for_log("New arbiter has exited")
            self.assertEqual(server.stop(), 0)
            self.manager.drain()
            self.assertNotIn("FDSTOREREMOVE=1", self.manager.states())
            self.check_waits()

    def test_a_reload_after_an_upgrade_removes_an_address(self):
        with self.stored() as server:
            self.upgrade(server)
            self.set(bind=f"127.0.0.1:{harness.free_port()}")
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(self.wait_for("FDSTOREREMOVE=1", server.pid), f"FDSTOREREMOVE=1\nFDNAME={self.name}")
            self.assertEqual(server.stop(), 0)
            self.check_refuses()

    def test_an_upgrade_to_other_addresses_removes_the_old_one(self):
        for way in "automatic", "manual":
            with self.subTest(way=way), self.stored(upgrade=way) as server:
                self.set(bind=f"127.0.0.1:{harness.free_port()}", upgrade=way)
                self.upgrade(server)
                self.assertEqual(self.wait_for("FDSTOREREMOVE=1", server.pid), f"FDSTOREREMOVE=1\nFDNAME={self.name}")
                self.assertNotIn(self.name, self.wait_for("FDSTORE=1", server.pid))
                self.check_refuses()
                self.assertEqual(server.stop(), 0)

    def test_an_old_arbiter_that_removes_an_address_meanwhile_leaves_it_to_the_new_one(self):
        """The new one still serves it, and stores it again."""
        with self.stored(upgrade="manual") as server:
            new = server.request_upgrade()
            before = self.file.read_text()
            self.set(bind=f"127.0.0.1:{harness.free_port()}", upgrade="manual")
            server.process.send_signal(signal.SIGHUP)
            self.wait_for("FDSTOREREMOVE=1", server.pid)
            self.file.write_text(before)
            server.process.send_signal(signal.SIGTERM)
            self.assertIn(self.name, self.wait_for("FDSTORE=1", new))
            server.follow(new)
            self.assertEqual(server.stop(), 0)
            self.check_waits()

    def test_an_upgrade_that_turns_the_store_off_empties_it(self):
        with self.stored() as server:
            self.set(fd_store="off")
            self.upgrade(server)
            self.assertEqual(self.wait_for("FDSTOREREMOVE=1", server.pid), f"FDSTOREREMOVE=1\nFDNAME={self.name}")
            self.assertEqual(server.stop(), 0)
            self.check_refuses()


if __name__ == "__main__":
    harness.main()

#!/usr/bin/env python3
"""Applications that fork, and applications that close descriptors that they do not own.

TEST_REQUESTS=2000 sends so many requests to each server that was started again, instead of 200.
"""
import contextlib
import http.client
import os
import re
import signal
import socket
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
CHILDREN = ("/fork", "/process", "/program")
REQUESTS = int(os.environ.get("TEST_REQUESTS") or 200)


def serve(flags, *more, workers=2, **named):
    return harness.Server([harness.program("prefork-wsgi"), *flags, "-w", str(workers), *more, "descriptors:app"],
                          cwd=APPS, **named)


def sockets(pid):
    """The sockets that a process has open; it may end meanwhile."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                found += [(int(number), target)] if target.startswith("socket:") else []
    return found


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Forks(harness.Case):
    """A process that the application forks keeps no listening socket and no connection open."""
    flags = ("-k", "sync")

    def forked(self, server):
        """Start children of each kind, by several requests. Returns those that outlive their worker; they end with the test."""
        pids = []
        with server.connect() as other:  # a connection that the children must close
            other.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for path in CHILDREN * 3:
                pids.append(int(server.get(path).body))
                self.addCleanup(kill, pids[-1])
            for pid in pids:
                harness.wait_until(lambda pid=pid: not sockets(pid), f"process {pid} closes {sockets(pid)}")
        return [pid for pid, path in zip(pids, CHILDREN * 3) if path != "/process"]  # multiprocessing ends its own

    def stop_and_start_again(self, *flags):
        with serve(self.flags, *flags) as server:
            server.wait_for_serving(2)
            pids = self.forked(server)
            self.assertEqual(server.stop(), 0)
            for pid in pids:
                self.assertIsNotNone(harness.start_time(pid), "it must outlive the server")
                server.seen.pop(pid, None)  # it may outlive it
            for _ in range(20):
                with self.assertRaises(ConnectionRefusedError), server.dial(2):
                    pass
            server.start()
            server.wait_for_serving(2)
            for _ in range(REQUESTS):
                self.assertEqual(server.get("/", seconds=5).status, 200)
            for pid in pids:
                kill(pid)

    def test_one_socket(self):
        self.stop_and_start_again()

    def test_preloaded(self):
        self.stop_and_start_again("--reuse-port", "--preload")


@harness.every_worker_class
class ReusePort(Forks):
    """With one socket per worker, under every class."""
    test_one_socket = test_preloaded = None

    def test_reuse_port(self):
        self.stop_and_start_again("--reuse-port")


class ForksAtImport(harness.Case):
    """A preloaded application is imported before the arbiter opens the listeners that it has inherited."""

    def test_the_child_has_no_inherited_socket(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            inode = os.readlink(f"/proc/self/fd/{listener.fileno()}")
            with harness.Server([harness.program("prefork-wsgi"), "--preload", "-w", "1", "descriptors:app"], cwd=APPS, bind=None,
                                fds=(listener.fileno(),),
                                env={"PREFORK_FDS": f"x={listener.fileno()}", "FORK_AT_IMPORT": "1"}) as server:
                server.wait_for_log("1 of 1 workers ready")
                child, worker = harness.wait_until(lambda: len(server.workers()) == 2 and server.workers(), "both processes")
                self.addCleanup(kill, child)
                self.assertIn("worker", harness.title(worker))
                self.assertNotIn(inode, [target for _, target in sockets(child)])
                self.assertIn(inode, [target for _, target in sockets(worker)])
                kill(child)
                self.assertEqual(server.stop(), 0)


@harness.every_worker_class
class Closes(harness.Case):
    """A worker whose descriptors the application has closed exits, logs the cause, and is replaced."""

    def get(self, server, path):
        with contextlib.suppress(OSError, http.client.HTTPException):  # its connection may be closed, too
            server.get(path)

    def test_closed_descriptors_of_the_worker(self):
        with serve(self.flags, workers=1) as server:
            for path, name in (("/close/all", "control channel"), ("/close/epolls", "epoll set"),
                               ("/close/eventfds", "eventfd"), ("/close/timers", "timer")):
                before, = server.wait_for_serving(1)
                server.get("/")
                began = time.monotonic()
                self.get(server, path)
                line = harness.wait_until(lambda: re.search(rf"Worker \(pid:{before}\) exited.*", server.log()),
                                          f"worker {before} ends after {path}").group()
                self.assertRegex(line, rf"the application has closed the worker's [a-z -]*{name}")
                self.assertRegex(line, "replaced (now|in)")
                self.assertLess(time.monotonic() - began, 5 * harness.PATIENCE)
                harness.wait_until(lambda: before not in server.workers(), "it is replaced")
            server.wait_for_serving(1, seconds=20)
            self.assertEqual(server.get("/").status, 200)
            self.assertLess(harness.cpu_seconds(server.workers()[0]), 5)
            self.assertEqual(server.stop(), 0)

    def test_closed_logs(self):
        """A line must not reach what has got the number of a log."""
        with self.directory() as root, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(f"{root}/syslog")
            flags = ("--log-syslog", "--log-syslog-to", f"unix://{root}/syslog", "--error-logfile", f"{root}/error.log")
            with serve(self.flags, *flags, workers=1) as server:
                for path in "/reuse/syslog", "/close/logs":
                    before, = server.wait_for_serving(1)
                    server.get("/")
                    self.get(server, path)
                    line = harness.wait_until(lambda: re.search(rf"Worker \(pid:{before}\) exited.*", (root / "error.log").read_text()),
                                              f"worker {before} ends after {path}").group()
                    self.assertRegex(line, "the application has closed the worker's log")
                    harness.wait_until(lambda: before not in server.workers(), "it is replaced")
                server.wait_for_serving(1, seconds=20)
                self.assertEqual(server.get("/").status, 200)
                self.assertEqual(server.stop(), 0)

    def test_closed_standard_output(self):
        """Closed by the import or later: output of print() reaches no client."""
        with serve(self.flags, workers=1, env={"CLOSE_AT_IMPORT": "0-3"}) as server:
            for path in ("/print", "/close/output", "/print", "/print"):
                with server.connect() as client:
                    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    response = client.read_all()
                self.assertTrue(response.startswith(b"HTTP/1.1 200 "), response)
                self.assertNotIn(b"printed by", response)


class ClosesAtImport(harness.Case):
    """Descriptors that an application closes at its import."""

    def test_the_reason_is_in_the_exit_line(self):
        with serve((), workers=1, wait=False, env={"CLOSE_AT_IMPORT": "3-256"}) as server:
            self.assertEqual(server.wait(), 3)
            self.assertRegex(server.log(), r"exited with code 3, before it was ready "
                                           r"\(the application has closed the worker's control channel")

    def test_standard_output_when_preloaded(self):
        with serve(("--preload",), workers=1, env={"CLOSE_AT_IMPORT": "0-3"}) as server:
            self.assertEqual(server.get("/print").body, b"None")
            for number in range(3):
                for pid in (server.pid, *server.workers()):
                    self.assertEqual(os.readlink(f"/proc/{pid}/fd/{number}"), "/dev/null")

    def test_descriptors_of_the_arbiter_when_preloaded(self):
        with serve(("--preload",), workers=1, wait=False, env={"CLOSE_AT_IMPORT": "3-256"}) as server:
            self.assertEqual(server.wait(), 1)
            self.assertRegex(server.log(), r"prefork-wsgi: .*has closed a descriptor of the arbiter")


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""The guarantees of the harness itself."""
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time
import unittest

import harness

# A parent with one child; SIGTERM ends both, but with "stray" the child outlives the parent.
FAMILY = """
import os, signal, socket, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # it is waited for below
port, stray = int(sys.argv[2].split(":")[1]), "stray" in sys.argv
listener = socket.create_server(("127.0.0.1", port))
child = os.fork()
if child == 0:
    while True:
        with listener.accept()[0] as client:
            if client.recv(4096):
                client.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nyes\\r\\n0\\r\\n\\r\\n")
print("here", flush=True)
signal.sigwait([signal.SIGTERM])
if not stray:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
os._exit(7)
"""


class Harness(harness.Case):
    def server(self, *words):
        # The arguments after -c are those of the program; its --bind is the second.
        server = harness.Server([sys.executable, "-c", FAMILY, *words], bind=None)
        server.arguments[3:3] = ["--bind", f"127.0.0.1:{server.port}"]
        server.wait_for_it = True
        return server

    def test_a_server_is_started_gets_requests_and_is_stopped(self):
        with self.server() as server:
            server.wait_for_log("here")
            self.assertEqual(len(server.wait_for_workers(1)), 1)
            self.assertEqual(server.get("/").body, b"yes")
            with server.connect() as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(client.read_response(), (200, {"transfer-encoding": "chunked"}, b"yes"))
            self.assertEqual(server.stop(), 7)

    def test_a_process_that_outlives_its_server_fails_the_test_and_is_killed(self):
        server = self.server("stray")
        with self.assertRaisesRegex(AssertionError, "left behind"), server:
            child = server.wait_for_workers(1)[0]
        harness.wait_until(lambda: harness.start_time(child) is None, "the stray is killed")

    def test_a_server_that_exits_at_once_is_reported(self):
        with self.assertRaisesRegex(AssertionError, "status 3"):
            server = harness.Server([sys.executable, "-c", "raise SystemExit(3)"], bind=None)
            server.wait_for_it = True
            with server:
                self.fail("a server that does not listen is accepted")
        self.assertIsNotNone(server.process.returncode)

    def test_a_wait_that_fails_names_its_event(self):
        with self.assertRaisesRegex(AssertionError, "in vain: rain"):
            harness.wait_until(lambda: False, "rain", seconds=0.01)

    def test_a_zombie_is_not_alive(self):
        process = subprocess.Popen([sys.executable, "-c", "pass"])
        harness.wait_until(lambda: harness.start_time(process.pid) is None, "it becomes a zombie")
        process.wait()
        self.assertEqual(harness.tree(process.pid), [])

    def test_a_process_whose_first_thread_has_exited_is_alive(self):
        """Its descriptors are open."""
        code = ("import ctypes, sys, threading\n"
                "threading.Thread(target=lambda: sys.stdin.read()).start()\n"
                "print('here', flush=True)\n"
                "ctypes.CDLL(None).pthread_exit(None)\n")
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            self.assertEqual(process.stdout.readline(), b"here\n")
            harness.wait_until(lambda: harness.title(process.pid) == "", "the exit of the first thread")
            self.assertIsNotNone(harness.start_time(process.pid))
            process.kill()
            harness.wait_until(lambda: harness.start_time(process.pid) is None, "the exit of the process")

    def test_a_line_is_in_the_log_once_it_is_complete(self):
        code = ("import os, sys, time\n"
                "print('one\\ntw', end='', flush=True)\n"
                "while not os.path.exists('go'):\n    time.sleep(0.01)\n"
                "print('o\\nthree', end='', flush=True)\n")
        with self.directory() as directory, harness.Server([sys.executable, "-c", code], bind=None, cwd=directory) as server:
            harness.wait_until(lambda: os.fstat(server.output.fileno()).st_size == 6, "a part of the second line")
            self.assertEqual(server.log(), "one\n")
            (directory / "go").touch()
            self.assertEqual(server.wait(), 0)
            self.assertEqual(server.log(), "one\ntwo\nthree")

    def test_a_wait_that_was_late_checks_once_more(self):
        late = iter((False, True))

        def condition():
            time.sleep(0.02)  # longer than the limit
            return next(late)
        self.assertTrue(harness.wait_until(condition, "the second check", seconds=0.01 / harness.PATIENCE))

    def test_a_signal_reaches_the_server(self):
        with self.server() as server:
            server.workers()
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 7)


class Reload(harness.Case):
    """By the method of a server."""

    def server(self, *words):
        return harness.Server([harness.program("http_hello"), "--canary-time", "0", *words])

    @staticmethod
    def first_worker(server):
        return int(re.search(r"event=worker_spawn .* pid=(\d+)", server.log())[1])

    def test_it_begins_when_the_workers_serve_and_returns_after_their_exit(self):
        with self.server() as server:
            self.assertEqual(server.reload(), "Reload done event=reload_end verdict=done\n")
            self.assertIsNone(harness.start_time(self.first_worker(server)))
            self.assertEqual(server.log().count("event=worker_spawn"), 2)

    def test_it_waits_for_the_exit_after_the_verdict(self):
        with self.server() as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
            old, = server.wait_for_serving(1)
            os.kill(old, signal.SIGSTOP)
            later = pool.submit(server.reload)
            server.wait_for_log("Reload done")
            with self.assertRaises(concurrent.futures.TimeoutError):
                later.result(0.2)
            os.kill(old, signal.SIGCONT)
            later.result()
            self.assertIsNone(harness.start_time(old))

    def test_another_verdict_is_an_error(self):
        harness.need_files()
        with self.directory(hello_ini="[prefork]\n") as directory, self.server("--config", directory / "hello.ini") as server:
            (directory / "hello.ini").write_text("[prefork]\nworkers = many\n")
            self.assertIn("hello.ini:2: workers: expected", server.reload("failed"))
            with self.assertRaisesRegex(AssertionError, "the reload is failed, not done: Reload failed: .*workers"):
                server.reload()
            (directory / "hello.ini").write_text("[prefork]\n")
            with self.assertRaisesRegex(AssertionError, "the reload is done, not failed"):
                server.reload("failed")


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""Disturbances in operation: closed descriptors, full disks, killed arbiters. The log explains each one."""
import os
import re
import signal
import subprocess

import harness

APP = """
import os, sys
def app(environ, start_response):
    if environ["PATH_INFO"] == "/print":
        print("x" * 64, flush=True)
        print("y" * 64, file=sys.stderr, flush=True)
    start_response("200 OK", [])
    return [b"ok"]
"""

# Exits at its import while the file exists.
FRAIL = """
import os
if os.path.exists("broken"):
    os._exit(7)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""


def standard(pid):
    return [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]


class Night(harness.Case):
    def test_closed_standard_descriptors_are_not_reused(self):
        """Output of print() must not reach a descriptor of the library with that number."""
        for program, words in (("http_hello", []), ("prefork-wsgi", ["app:app"])):
            with self.subTest(program=program), self.directory(app_py=APP) as directory:
                shell = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", harness.program(program)]
                port = harness.free_port()
                with harness.Server([*shell, "--bind", f"127.0.0.1:{port}", "--error-logfile", "log", *words], cwd=directory,
                                    bind=None) as server:
                    server.port = port
                    worker, = server.wait_for_serving(1)
                    self.assertEqual(standard(server.pid), ["/dev/null"] * 3)
                    self.assertEqual(standard(worker), ["/dev/null"] * 3)
                    for path in "/print", "/":
                        self.assertEqual(server.get(path).status, 200)
                    self.assertEqual(server.stop(), 0)
                    self.assertNotIn("ERROR", (directory / "log").read_text())
                # Without a log, the server does not start.
                done = subprocess.run([*shell, *words], cwd=directory, timeout=20 * harness.PATIENCE)
                self.assertEqual(done.returncode, 2)

    def test_a_full_disk_is_logged_with_its_cause_and_serving_continues(self):
        with harness.Server([harness.program("http_hello"), "--access-logfile", "/dev/full"]) as server:
            for _ in range(3):
                self.assertEqual(server.get().status, 200)
            server.wait_for_log("Access log cannot be written: No space left on device; lines are lost until it can")
            self.assertEqual(server.stop(), 0)
            self.assertRegex(server.log(), r"Access log: \d+ lines? lost")
        with harness.Server([harness.program("http_hello"), "--error-logfile", "/dev/full"]) as server:
            self.assertEqual(server.get().status, 200)
            server.send_signal(signal.SIGHUP)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)

    def test_the_log_says_that_the_arbiter_was_killed(self):
        with harness.Server([harness.program("http_hello"), "--workers", "2", "--orphan-timeout", "20"]) as server:
            server.wait_for_serving(2)
            server.send_signal(signal.SIGKILL)
            server.wait()
            harness.wait_until(lambda: server.log().count(f"Arbiter (pid:{server.pid}) has exited") == 2, "a line of both workers")

    def test_the_log_says_when_all_workers_serve_and_how_long_a_backoff_is(self):
        with self.directory(app_py=FRAIL) as directory, harness.Server(
                [harness.program("prefork-wsgi"), "--workers", "2", "app:app"], cwd=directory) as server:
            server.wait_for_log("Pool web: 2 of 2 workers ready")
            (directory / "broken").touch()
            os.kill(server.wait_for_workers(2)[0], signal.SIGKILL)
            harness.wait_until(lambda: re.search(r"exited with code 7, before it was ready(?: \(.*\))?; replaced in \d+\.\d s: too many failures", server.log()),
                               "the back-off in the log")
            size = len(server.log())
            (directory / "broken").unlink()
            harness.wait_until(lambda: "Pool web: 2 of 2 workers ready" in server.log()[size:], "both serve again", 40)
            server.send_signal(signal.SIGTTIN)
            server.wait_for_log("Pool web: 3 of 3 workers ready")

    def test_signals_do_not_affect_other_children_of_the_program(self):
        """--reload has a pool of one worker, to which SIGTTIN does not apply."""
        with self.directory(app_py=APP) as directory, harness.Server(
                [harness.program("prefork-wsgi"), "--reload", "app:app"], cwd=directory) as server:
            server.wait_for_serving(2)
            server.send_signal(signal.SIGTTIN)
            server.wait_for_log("Pool web: 2 of 2 workers ready")
            server.send_signal(signal.SIGTTOU)
            server.wait_for_serving(2)
            server.send_signal(signal.SIGTTOU)
            server.wait_for_log("Pool web keeps its last worker")
            self.assertNotRegex(server.log(), "Pool reload(?!: 1 of 1 workers ready)")

    def test_a_descriptor_limit_is_reported_with_the_remedy(self):
        shell = ["/bin/sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", harness.program("http_hello")]
        for words, message in ((["--worker-connections", "5000"], r"WARNING.*1024.*5000.*LimitNOFILE"),
                                (["--workers", "300"], r"1024.*needs.*LimitNOFILE")):
            with self.subTest(words=words), harness.Server([*shell, "--bind", "127.0.0.1:0", *words], bind=None) as server:
                harness.wait_until(lambda: re.search(message, server.log()), message)

    def test_a_rotation_under_load_loses_no_line(self):
        with self.directory() as directory:
            log = directory / "access"
            with harness.Server([harness.program("http_hello"), "--workers", "2", "--access-logfile", log,
                                 "--access-logformat", "%(U)s"]) as server:
                server.wait_for_serving(2)
                sent = 0
                for turn in range(4):
                    for _ in range(25):
                        self.assertEqual(server.get(f"/{sent}").status, 200)
                        sent += 1
                    os.rename(log, directory / f"access.{turn}")
                    server.send_signal(signal.SIGUSR1)
                    harness.wait_until(log.exists, "the new log file")
                self.assertEqual(server.stop(), 0)
                lines = sum((path.read_text().split() for path in directory.iterdir()), [])
                self.assertEqual(sorted(lines), sorted(f"/{number}" for number in range(sent)))


if __name__ == "__main__":
    harness.main()

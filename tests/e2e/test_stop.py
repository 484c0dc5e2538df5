#!/usr/bin/python3
"""How a stop ends: without a worker, with a signal to the whole process group, and its log lines; and signals during
the start."""
import os
import signal
import time

import harness

APP = """
import pathlib

if pathlib.Path("broken").exists():
    raise SystemExit(7)

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Stop(harness.Case):
    def end(self, server, group=False):
        """Stop the server; returns the time that it took, and the log from the signal on."""
        server.workers()
        began = time.monotonic()
        (os.killpg if group else os.kill)(server.pid, signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        before, line, after = server.log().partition("Handling signal: term")
        self.assertTrue(line, before)
        return time.monotonic() - began, after

    def end_with_a_pending_connection(self, server):
        """The stop takes the drain time and starts no worker."""
        with server.connect() as client:
            client.send(REQUEST)
            took, log = self.end(server)
            self.assertLess(took, 3 * harness.PATIENCE, log)
            self.assertNotIn("Booting worker", log)

    def test_without_workers_a_stop_does_not_wait_for_pending_connections(self):
        with harness.Server([harness.program("http_hello")]) as server:
            server.wait_for_serving(1)
            server.send_signal(signal.SIGWINCH)
            server.wait_for_workers(0)
            self.end_with_a_pending_connection(server)

    def test_a_stop_does_not_start_an_application_that_fails_to_load(self):
        with self.directory(app_py=APP) as directory, harness.Server(
                [harness.program("prefork-wsgi"), "--workers", "2", "app:app"], cwd=directory) as server:
            workers = server.wait_for_serving(2)
            (directory / "broken").touch()
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            harness.wait_until(lambda: server.log().count("exited with code 4") >= 2, "the end of both replacements")
            server.wait_for_workers(0)
            self.end_with_a_pending_connection(server)

    def test_a_signal_to_the_process_group_starts_no_worker(self):
        """As systemd sends it by default, and a shell."""
        for _ in range(3):
            with harness.Server([harness.program("http_hello"), "--workers", "4"]) as server:
                server.wait_for_serving(4)
                server.wait_for_log("4 of 4 workers ready")  # a worker may serve before its line is logged
                took, log = self.end(server, group=True)
                self.assertLess(took, 2 * harness.PATIENCE, log)
                self.assertNotIn("Booting worker", log)

    def test_a_signal_to_the_process_group_serves_pending_connections(self):
        with harness.Server([harness.program("http_hello"), "--workers", "2"]) as server:
            for pid in server.wait_for_serving(2):
                os.kill(pid, signal.SIGSTOP)
            with server.connect() as client:
                client.send(REQUEST)
                workers = server.workers()
                os.killpg(server.pid, signal.SIGTERM)
                server.wait_for_log("Handling signal: term")
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
                self.assertIn(b"200 OK", client.read_all())
                self.assertEqual(server.wait(), 0)
            self.assertLessEqual(server.log().count("Booting worker"), 3)


WITH_A_THREAD = """
import threading
import time

def app(environ, start_response):
    threading.Thread(target=time.sleep, args=(60,)).start()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


class Lines(harness.Case):
    def test_the_log_of_a_stop_names_the_last_request_of_an_idle_worker(self):
        """The worker has no request in progress; a thread keeps it running."""
        with self.directory(app_py=WITH_A_THREAD) as directory, harness.Server(
                [harness.program("prefork-wsgi"), "--graceful-timeout", "1", "app:app"], cwd=directory) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("it works on", server.log())
            self.assertIn("exceeded graceful_timeout; it last worked on: GET /", server.log())

    def test_a_stop_is_logged_once(self):
        for group in False, True:
            with self.subTest(group=group), harness.Server([harness.program("http_hello"), "--workers", "2"]) as server:
                server.wait_for_serving(2)
                (os.killpg if group else os.kill)(server.pid, signal.SIGTERM)
                self.assertEqual(server.wait(), 0)
                ends = [line for line in server.log().splitlines() if "exited with code 0" in line]
                self.assertEqual(len(ends), 2)
                for line in ends:
                    self.assertEqual(line.count("the server stops"), 1, line)
                    self.assertNotIn("requested its replacement", line)

    def test_the_log_of_a_stop_tells_which_worker_is_replaced_and_why(self):
        """The only worker is killed while a connection is pending."""
        with harness.Server([harness.program("http_hello")]) as server:
            worker, = server.wait_for_serving(1)
            os.kill(worker, signal.SIGSTOP)
            with server.connect() as client:
                client.send(REQUEST)
                server.send_signal(signal.SIGTERM)
                server.wait_for_log("Handling signal: term")
                os.kill(worker, signal.SIGKILL)
                self.assertIn(b"200 OK", client.read_all())
                self.assertEqual(server.wait(), 0)
            killed, booting, *_, last = server.log().partition("Shutting down")[2].splitlines()[1:]
            self.assertRegex(killed, rf"Worker \(pid:{worker}\) was killed by SIGKILL, .*; replaced: connections are pending ")
            self.assertIn("Booting worker", booting)
            self.assertIn("exited with code 0, stopped by the arbiter: the server stops ", last)
            self.assertEqual(server.log().count("the server stops"), 1)


class Early(harness.Case):
    def test_a_signal_right_after_the_bind_is_handled(self):
        words = [word for number in range(50) for word in ("--bind", "127.0.0.1:0")]
        for number, line in (signal.SIGHUP, "Handling signal: hup"), (signal.SIGTERM, "Shutting down"):
            with self.subTest(line), self.directory() as directory, harness.Server(
                    [harness.program("http_hello"), *words], bind=f"unix:{directory}/socket", wait=False) as server:
                while not os.path.exists(f"{directory}/socket"):
                    self.assertIsNone(server.process.poll())
                server.send_signal(number)
                server.wait_for_log(line)
                self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

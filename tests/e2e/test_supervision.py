#!/usr/bin/python3
"""Workers that are killed, hang, fail, exit and are reloaded; signals; the exit of the arbiter itself."""
import os
import pathlib
import re
import signal
import socket
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
VERSION = """
import os

def app(environ, start_response):
    body = b"version %d"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def versions(responses):
    """Number of responses by body for status 200, by status for others."""
    found = {}
    for response in responses:
        key = response.body.decode() if response.status == 200 else response.status
        found[key] = found.get(key, 0) + 1
    return found


class Served(harness.Case):
    def serve(self, *words, directory=APPS, **more):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, *words], cwd=directory, **more)


@harness.every_worker_class
class Hang(Served):
    def test_a_hanging_request_is_aborted_logged_and_its_worker_replaced(self):
        limit = harness.PATIENCE
        for path in ("/spin",) if self.flags in harness.GREENLETS else ("/hang", "/spin"):  # a greenlet may sleep
            with self.subTest(path=path), self.serve(
                    "-w", "1", "--timeout", f"{limit}s", "--abort-timeout", "10", "kitchen:app") as server:
                old, = server.wait_for_serving(1)
                with server.connect() as client:
                    sent = time.monotonic()
                    client.send(b"GET %s?id=7 HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
                    try:
                        self.assertNotIn(b"200", client.read_all())
                    except ConnectionResetError:
                        pass
                    took = time.monotonic() - sent
                    self.assertLess(took, 5 * limit)
                    self.assertGreater(took, 0.9 * limit)
                self.assertEqual(server.get("/hello").status, 200)
                harness.wait_until(lambda: harness.start_time(old) is None, "the stuck worker has exited")
                server.wait_for_log("was killed by SIG")
                log = server.log()
                self.assertIn(f"in {path[1:]}", log, "the Python traceback")
                self.assertIn(f"GET {path}", log, "the request line")
                self.assertEqual(log.count("was killed by"), 1)

    def test_a_replacement_starts_before_the_stuck_worker_exits(self):
        if self.flags in harness.GREENLETS:
            self.skipTest("a greenlet that sleeps is not stuck")
        with self.serve("-w", "1", "--timeout", f"{harness.PATIENCE}s", "--abort-timeout", "30", "stubborn:app") as server:
            old, = server.wait_for_serving(1)
            with server.connect() as client:
                client.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
                workers = server.wait_for_workers(2)
                self.assertIn(old, workers)
                self.assertEqual(server.get("/").status, 200)
                os.kill(old, signal.SIGKILL)


@harness.every_worker_class
class Failing(Served):
    def test_an_error_of_the_application_affects_one_request(self):
        with self.serve("-w", "1", "kitchen:app") as server:
            pid = server.get("/pid").body
            for path, message in (("/fails", "KeyError"), ("/fails-first", "ValueError"), ("/os-error", "OSError"),
                               ("/never-starts", "start_response"), ("/returns-none", "None"),
                               ("/returns-str", "str"), ("/exits", "SystemExit")):
                with self.subTest(path=path):
                    self.assertEqual(server.get(path).status, 500)
                    server.wait_for_log(message)
            with server.connect() as client:
                client.send(b"GET /close-after-error HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertNotIn(b"0\r\n\r\n", client.read_all())  # truncated, without an end
            server.wait_for_log("in the middle")
            self.assertEqual(server.get("/hello").status, 200)
            self.assertEqual(server.get("/pid").body, pid)
            self.assertEqual(server.stop(), 0)

    def test_a_worker_that_exits_is_replaced_and_the_cause_logged(self):
        # After the handlers of Python and of AddressSanitizer, the stack for signals has no space for ours.
        sanitizer = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"}
        with self.serve("-w", "1", "ends:app", env=sanitizer) as server:
            for path, message in (("/exit-9", "exited with code 9"), ("/segv", "was killed by SIG(SEGV|ABRT)"),
                               ("/abort", "was killed by SIGABRT")):  # sanitizers abort
                with self.subTest(path=path), server.connect() as client:
                    client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
                    try:
                        client.read_all()
                    except ConnectionResetError:
                        pass
                    self.assertEqual(server.get("/").status, 200)
                    harness.wait_until(lambda: re.search(f'{message}.*activity="GET {path}', server.log()), message)


@harness.every_worker_class
class Killed(Served):
    def test_workers_killed_under_load_are_replaced_and_only_their_requests_fail(self):
        with self.serve("-w", "2", "kitchen:app") as server:
            server.wait_for_serving(2)
            with harness.Load(server, clients=2) as load:
                load.wait_for(20)
                for _ in range(4):
                    victim = server.wait_for_serving(2)[0]
                    os.kill(victim, signal.SIGKILL)
                    harness.wait_until(lambda: victim not in server.workers(), "the victim has exited")
                    load.wait_for(5) if not load.lost else None
            # Only requests that a victim had accepted: one at a time in a sync worker, else each client may have one there.
            self.assertLessEqual(len(load.lost), 4 if self.flags == ("-k", "sync") else 4 * len(load.clients))
            server.wait_for_serving(2)
            self.assertEqual(server.log().count("was killed by SIGKILL, not sent by the arbiter"), 4)
            self.assertEqual({response.status for response in load.served}, {200})

    def test_workers_exit_with_the_arbiter_and_the_port_is_free(self):
        for path in None, "/hang":
            with self.subTest(path=path), self.serve("-w", "2", "kitchen:app") as server:
                workers = server.wait_for_serving(2)
                clients = []
                for _ in range(2 if path else 0):
                    clients.append(server.connect())
                    clients[-1].send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
                os.kill(server.pid, signal.SIGKILL)
                harness.wait_until(lambda: not any(map(harness.start_time, workers)), "the workers have exited", 2.5)
                socket.create_server((server.host, server.port)).close()
                for client in clients:
                    client.__exit__()


@harness.every_worker_class
class Reload(Served):
    def test_new_code_replaces_old_code_under_load_without_a_lost_request(self):
        for kept in False, True:
            with self.subTest(kept=kept), self.directory(pages_py=VERSION % 1) as directory, self.serve(
                    "-w", "2", "--keep-alive", "60", "--drain-idle", "20", "--canary-time", "0.3", "pages:app",
                    directory=directory) as server:
                server.wait_for_serving(2)
                with harness.Load(server, kept=kept) as load:
                    for number in 2, 3:
                        load.wait_for(20)
                        (directory / "pages.py").write_text(VERSION % number)
                        before = len(load.served)
                        server.reload()
                        self.assertGreater(len(load.served), before, "responses arrive during the reload")
                        if not kept:
                            del load.served[:]
                            load.wait_for(20)
                            # Each client may record one earlier response now.
                            found = versions(load.served)
                            self.assertGreater(found.pop(f"version {number}"), 0)
                            self.assertLessEqual(sum(found.values()), len(load.clients))
                self.assertEqual(load.lost, [])
                self.assertLessEqual(set(versions(load.served)), {f"version {n}" for n in (1, 2, 3)})
                self.assertEqual(server.get().body, b"version 3")

    def test_a_module_that_no_longer_imports_leaves_the_old_code_serving(self):
        with self.directory(pages_py=VERSION % 1) as directory, self.serve("-w", "2", "pages:app", directory=directory) as server:
            workers = server.wait_for_serving(2)
            with harness.Load(server) as load:
                for text, message in (("import nothing_of_that_name", "nothing_of_that_name"), ("def app(:", "SyntaxError"),
                                      ("raise SystemExit(1)", "SystemExit"), ("x = 1", "app")):
                    load.wait_for(10)
                    (directory / "pages.py").write_text(text)
                    server.reload("failed")
                    self.assertIn(message, server.log())
                load.wait_for(10)
                self.assertEqual(server.workers(), workers)
                (directory / "pages.py").write_text(VERSION % 2)
                server.reload()
            self.assertEqual(load.lost, [])
            self.assertLessEqual(set(versions(load.served)), {"version 1", "version 2"})
            self.assertEqual(server.get().body, b"version 2")

    def test_a_long_request_completes_during_a_reload_and_a_stop(self):
        for number in signal.SIGHUP, signal.SIGTERM:
            with self.subTest(number=number), self.serve("-w", "1", "--canary-time", "0", "kitchen:app") as server:
                with server.connect() as client:
                    client.send(b"GET /slow-stream HTTP/1.1\r\nHost: x\r\n\r\n")
                    client.read_until(b"first\n")
                    server.send_signal(number)
                    self.assertIn(b"second\n", client.read_all())
                if number == signal.SIGHUP:
                    server.wait_for_log("Reload done")
                    self.assertEqual(server.get("/hello").status, 200)
                    self.assertEqual(server.stop(), 0)
                self.assertEqual(server.wait(20), 0)  # a second SIGTERM may arrive while it exits

    def test_a_reload_of_a_preloaded_application_logs_that_its_code_stays(self):
        with self.directory(pages_py=VERSION % 1) as directory, self.serve(
                "-w", "1", "--preload", "--canary-time", "0", "pages:app", directory=directory) as server:
            (directory / "pages.py").write_text(VERSION % 2)
            server.reload()
            self.assertEqual(server.get().body, b"version 1")
            self.assertRegex(server.log(), r"(?i)preload")


class Start(Served):
    def test_an_application_that_does_not_load_ends_the_server_at_once_even_with_pending_connections(self):
        pages = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\nraise ValueError"
        with self.directory(pages_py=pages) as directory, self.serve("-w", "2", "pages:app", directory=directory) as server:
            with server.connect() as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                server.wait_for_workers(2)
                (directory / "go").touch()
                began = time.monotonic()
                self.assertEqual(server.wait(), 4)
                self.assertLess(time.monotonic() - began, 4 * harness.PATIENCE)
            self.assertEqual(server.log().count("Booting worker"), 2)


class Signals(Served):
    def test_ttin_and_ttou_add_and_remove_a_worker(self):
        with self.serve("-w", "2", "kitchen:app") as server:
            server.wait_for_serving(2)
            for number, count in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2),
                                  (signal.SIGTTOU, 1)):
                server.send_signal(number)
                server.wait_for_serving(count)
            server.send_signal(signal.SIGTTOU)
            server.wait_for_log("keeps its last worker")
            self.assertEqual(server.get("/hello").status, 200)
            self.assertEqual(len(server.workers()), 1)

    def test_term_int_and_quit_end_the_server_with_status_0_and_free_the_port(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGQUIT:
            with self.subTest(number=number), self.serve("-w", "2", "--abort-timeout", "30", "kitchen:app") as server:
                server.wait_for_serving(2)
                self.assertEqual(server.get("/hello").status, 200)
                self.assertEqual(server.stop(number), 0)
                socket.create_server((server.host, server.port)).close()
                self.assertNotIn("ERROR", server.log())

    def test_a_quick_stop_does_not_wait_for_a_request(self):
        with self.serve("-w", "1", "kitchen:app") as server, server.connect() as client:
            client.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for_serving(1)
            server.send_signal(signal.SIGTERM)
            server.send_signal(signal.SIGINT)
            began = time.monotonic()
            self.assertEqual(server.wait(), 0)
            self.assertLess(time.monotonic() - began, 5 * harness.PATIENCE)

    def test_usr1_reopens_the_log(self):
        with self.directory() as directory, self.serve(
                "-w", "1", "--log-file", directory / "error.log", "kitchen:app") as server:
            server.wait_for_serving(1)
            for number in 1, 2:
                os.rename(directory / "error.log", directory / f"error.log.{number}")
                server.send_signal(signal.SIGUSR1)
                harness.wait_until((directory / "error.log").exists, "a new log")
                # The worker reopens the log a moment after the arbiter.
                harness.wait_until(lambda: server.get("/fails").status == 500 and
                                   "KeyError" in (directory / "error.log").read_text(), "the worker writes there")
            before = (directory / "error.log.1").read_text()
            server.get("/fails")
            self.assertEqual(server.stop(), 0)
            self.assertEqual((directory / "error.log.1").read_text(), before)

    def test_titles_identify_arbiter_and_workers(self):
        with self.serve("-w", "2", "--name", "shop", "kitchen:app") as server:
            self.assertEqual(sorted(map(harness.title, server.wait_for_serving(2))),
                             ["shop: worker 0 [web] serving", "shop: worker 1 [web] serving"])
            self.assertEqual(harness.title(server.pid), "shop: arbiter")

    def test_each_signal_of_a_burst_is_handled(self):
        with self.serve("-w", "2", "--canary-time", "0", "kitchen:app") as server:
            old = server.wait_for_serving(2)
            for number in signal.SIGUSR1, signal.SIGHUP, signal.SIGTTIN:
                server.send_signal(number)
            server.wait_for_log("Handling signal: usr1")
            server.wait_for_log("Reload done")
            server.wait_for_exit(old)  # an old worker may serve a moment longer
            server.wait_for_serving(3)

    def test_every_log_line_begins_with_time_pid_and_level(self):
        with self.serve("-w", "2", "--log-level", "debug", "kitchen:app") as server:
            victim = server.wait_for_serving(2)[0]
            server.get("/fails")
            os.kill(victim, signal.SIGKILL)
            server.send_signal(signal.SIGHUP)
            server.wait_for_log("Reload done")
            self.assertEqual(server.stop(), 0)
            for line in server.log().splitlines():
                self.assertRegex(line, r"^(\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] "
                                       r"\[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] \S|  )")


if __name__ == "__main__":
    harness.main()

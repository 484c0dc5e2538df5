#!/usr/bin/python3
"""The access log of a running server: its lines, its rotation, and files that cannot be written."""
import contextlib
import json
import os
import pathlib
import re
import signal
import tempfile
import threading
import unittest

import harness

COMBINED = re.compile(r'^127\.0\.0\.1 - (\S+) \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                      r'"([^"\\]|\\.)*" \d{3} (\d+|-) "([^"\\]|\\.)*" "([^"\\]|\\.)*"$')


@harness.every_worker_class
class AccessLog(harness.Case):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name, "access.log")

    def server(self, *words):
        return harness.Server([harness.program("http_hello"), "--workers", "1", *self.flags, *words])

    def lines(self, path=None):
        with contextlib.suppress(FileNotFoundError):
            return (path or self.path).read_text().splitlines()
        return []

    def wait_for_lines(self, count, path=None):
        harness.wait_until(lambda: len(self.lines(path)) >= count, f"{count} lines")
        return self.lines(path)

    def test_there_is_none_by_default(self):
        with self.server() as server:
            self.assertEqual(server.get("/secret").status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("/secret HTTP", server.log())

    def test_each_response_is_a_line_of_the_combined_format(self):
        with self.server("--access-logfile", self.path) as server:
            server.get("/a?b=c", {"Referer": "http://r/", "User-Agent": 'x" forged', "Authorization": "Basic Ym9iOng="})
            self.wait_for_lines(1)  # each is written after its response
            server.request("HEAD", "/h")
            lines = self.wait_for_lines(2)
        for line in lines:
            self.assertRegex(line, COMBINED)
        self.assertIn(' bob [', lines[0])
        self.assertIn('"GET /a?b=c HTTP/1.1" 200 14 "http://r/" "x\\" forged"', lines[0])
        self.assertIn('"HEAD /h HTTP/1.1" 200 - "-" "-"', lines[1])

    def test_a_request_cannot_forge_a_log_line(self):
        with self.server("--access-logfile", self.path, "--limit-request-line", "0") as server:
            requests = ("/" + "a" * 4070, "curl"), ("/", "\xff" * 1050), ("/" + '"' * 8000, '"' * 8000)
            for number, (path, agent) in enumerate(requests, 1):
                server.get(path, {"User-Agent": agent})
                lines = self.wait_for_lines(number)
        for line in lines:
            self.assertRegex(line, COMBINED)
            self.assertGreater(len(line), 4000)
            self.assertIn(' HTTP/1.1" 200 14 "-" "', line)
        self.assertRegex(lines[0], r'/a{3900,4060}\.\.\. .* "curl"$')

    def test_refused_requests_have_lines_too(self):
        with self.server("--access-logfile", self.path, "--access-logformat", "%(s)s %(r)s",
                         "--header-timeout", "200ms") as server:
            requests = b"GET / HTTP/1.1\r\n\r\n", b"G\x1b[2JET\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA"
            for number, request in enumerate(requests, 1):
                with server.connect() as client:
                    client.send(request)
                    client.read_all()
                lines = self.wait_for_lines(number)
            self.assertEqual(lines, ["400 GET / HTTP/1.1", "400 G\\x1b[2JET", "408 GET / HTTP/1.1"])

    def test_standard_output_is_a_dash(self):
        with self.server("--access-logfile", "-", "--access-logformat", "path %(U)s") as server:
            server.get("/here")
            server.wait_for_log("path /here\n")

    def test_json_is_built_in(self):
        with self.server("--access-logfile", self.path, "--access-logformat", "json") as server:
            server.get("/a?b=c", {"User-Agent": 'x"\\\t\xe9', "Authorization": "Basic Ym9iOng="})
            self.wait_for_lines(1)
            with server.connect() as client:
                client.send(b"G\x1b\xff /\r\n\r\n")
                client.read_all()
            good, bad = (json.loads(line) for line in self.wait_for_lines(2))
        self.assertEqual(list(good), ["time", "client", "user", "host", "method", "target", "protocol", "status",
                                      "bytes", "duration_us", "referer", "user_agent", "pid"])
        self.assertRegex(good.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$")
        self.assertGreaterEqual(good.pop("duration_us"), 0)
        self.assertGreater(good.pop("pid"), 1)
        self.assertEqual(good, {
            "client": "127.0.0.1", "user": "bob", "host": f"127.0.0.1:{server.port}", "method": "GET",
            "target": "/a?b=c", "protocol": "HTTP/1.1", "status": 200, "bytes": 14, "referer": None,
            "user_agent": 'x"\\\t\\xe9'})
        self.assertEqual((bad["status"], bad["method"], bad["line"]), (400, None, "G\x1b\\xff /"))

    def test_a_bad_format_is_refused_at_the_start(self):
        for words in (["--check-config"], []):
            server = harness.Server([harness.program("http_hello"), "--access-logformat", "%(h)s %(x)s", *words],
                                    bind=None)
            with server:
                self.assertNotEqual(server.wait(), 0)
                self.assertIn("there is no %(x)s (column 7)", server.log())

    def test_a_file_that_cannot_be_opened_is_named(self):
        server = harness.Server([harness.program("http_hello"), "--access-logfile", self.path / "nowhere"], wait=False)
        self.path.write_text("")
        with server:
            self.assertEqual(server.wait(), 2)
            self.assertIn(f"accesslog (--access-logfile): cannot open {self.path}/nowhere: ", server.log())

    def test_after_a_rotation_usr1_opens_the_new_file(self):
        rotated = self.path.with_suffix(".1")
        with self.server("--access-logfile", self.path, "--access-logformat", "%(U)s") as server:
            server.get("/one")
            self.wait_for_lines(1)
            os.rename(self.path, rotated)
            server.get("/two")
            self.assertEqual(self.wait_for_lines(2, rotated), ["/one", "/two"])
            server.send_signal(signal.SIGUSR1)
            harness.wait_until(self.path.exists, "the new file")  # made by the arbiter
            harness.wait_until(lambda: not any(self.has_open(pid, rotated) for pid in server.workers()), "workers use it")
            server.get("/three")
            self.assertEqual(self.wait_for_lines(1), ["/three"])
        self.assertEqual(self.lines(rotated), ["/one", "/two"])

    @staticmethod
    def has_open(pid, path):
        links = (os.path.realpath(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
        return os.path.realpath(path) in links

    def test_a_reload_changes_the_format_of_new_workers(self):
        harness.need_files()
        config = self.path.with_suffix(".ini")
        config.write_text(f"[prefork]\naccesslog = {self.path}\naccess_log_format = old %(U)s\ncanary_time = 0\n")
        with self.server("--config", config) as server:
            server.get("/a")
            self.wait_for_lines(1)
            config.write_text(config.read_text().replace("old", "new %(m)s"))
            server.reload()
            server.get("/b")
            self.assertEqual(self.wait_for_lines(2), ["old /a", "new GET /b"])
            config.write_text(config.read_text().replace("%(m)s", "%(m)"))
            self.assertIn("access_log_format: ", server.reload("failed"))
            self.assertEqual(server.get("/c").status, 200)

    def test_a_full_disk_costs_counted_lines(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full on this machine")
        with self.server("--access-logfile", "/dev/full") as server:
            for _ in range(5):
                self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertIn("Access log cannot be written", server.log())
            self.assertRegex(server.log(), r"Access log: [5-9] lines lost event=access_log_lost pool=\S+ slot=0 pid=\d+ lines=[5-9]\n")

    def test_a_stalled_reader_delays_no_other_connection(self):
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with self.server("--access-logfile", self.path) as server:
                for _ in range(40):  # 3 KiB each: more than a pipe buffers
                    self.assertEqual(server.get(headers={"User-Agent": "x" * 3000}).status, 200)
                server.wait_for_log("Access log cannot be written")
                while True:
                    with contextlib.suppress(BlockingIOError):
                        if os.read(reader, 1 << 20):
                            continue
                    break
                self.assertEqual(server.get().status, 200)
                server.wait_for_log("lines lost event=access_log_lost")
        finally:
            os.close(reader)

    def test_lines_of_concurrent_requests_do_not_interleave(self):
        with self.server("--workers", "2", "--access-logfile", self.path, "--access-logformat", "<%(q)s>") as server:
            def send(client):
                for number in range(25):
                    server.get(f"/?{client}-{number}-{'x' * 500}")

            clients = [threading.Thread(target=send, args=(number,)) for number in range(4)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            lines = self.wait_for_lines(100)
        expected = {f"<{client}-{number}-{'x' * 500}>" for client in range(4) for number in range(25)}
        self.assertEqual(set(lines), expected)
        self.assertEqual(len(lines), 100)


if __name__ == "__main__":
    harness.main()

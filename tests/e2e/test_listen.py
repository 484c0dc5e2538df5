#!/usr/bin/python3
"""Addresses and settings of a server: binds, unix paths, files, the environment."""
import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
HELLO = b"Hello, world!\n"


class Listen(harness.Case):
    def serve(self, *words, **more):
        return harness.Server([harness.program("prefork-wsgi"), *words, "kitchen:app"], cwd=APPS, **more)

    def refused(self, message, *words, status=2, env=None):
        """A start that has to fail with this message; the status is 1 if only the system refuses it."""
        with harness.Server([harness.program("prefork-wsgi"), *words, "kitchen:app"], bind=None, cwd=APPS,
                            env=env) as server:
            self.assertEqual(server.wait(), status, server.log())
            self.assertRegex(server.log(), message)
            self.assertNotIn("Booting worker", server.log())

    def test_a_unix_path_has_its_mode_and_is_removed_at_the_exit(self):
        with self.directory() as directory:
            path = directory / "socket"
            with self.serve("--socket-mode", "0640", bind=f"unix:{path}") as server:
                self.assertEqual(server.get("/hello").body, HELLO)
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
                self.assertEqual(server.stop(), 0)
                self.assertFalse(path.exists())

    def test_a_stale_unix_path_is_replaced_and_one_in_use_is_not(self):
        with self.directory() as directory:
            path = directory / "socket"
            with self.serve(bind=f"unix:{path}") as server:
                self.refused(rf"another socket has this address already, that of process {server.pid} \(prefork-wsgi\)",
                             "--bind", f"unix:{path}", status=1)
                self.assertEqual(server.get("/hello").body, HELLO)
                server.wait_for_workers(1)
                os.kill(server.pid, signal.SIGKILL)
                server.wait()
            self.assertTrue(path.exists())
            with self.serve(bind=f"unix:{path}") as server:
                self.assertEqual(server.get("/hello").body, HELLO)
            path.write_text("not a socket")
            self.refused(r"socket.*not a socket|not a socket", "--bind", f"unix:{path}", status=1)
            self.assertEqual(path.read_text(), "not a socket")

    def test_an_abstract_name_needs_no_file(self):
        with self.serve(bind=f"unix:@prefork-e2e-{os.getpid()}") as server:
            self.assertEqual(server.get("/hello").body, HELLO)

    def test_several_binds_serve_alike(self):
        with self.directory() as directory:
            other = harness.free_port()
            with self.serve("--bind", f"127.0.0.1:{other}", "--bind", f"unix:{directory}/socket", "-w", "2") as server:
                for host, port, path in ((server.host, server.port, None), (server.host, other, None),
                                         ("x", 1, f"{directory}/socket")):
                    server.host, server.port, server.path = host, port, path
                    for _ in range(5):
                        self.assertEqual(server.get("/hello").body, HELLO)
                self.assertEqual(server.log().count("Listening at"), 3)

    def test_a_stop_that_waits_for_one_listener_does_not_spin_on_another(self):
        """A unix socket that refuses stays readable."""
        with self.directory() as directory:
            for flags in (), ("-k", "libev"):
                with self.subTest(flags=flags), self.serve(
                        "--bind", f"unix:{directory}/socket", "--stop-linger", "1", *flags) as server:
                    worker, = server.wait_for_serving(1)
                    before = harness.cpu_seconds(worker)
                    server.send_signal(signal.SIGTERM)
                    used = before
                    while harness.start_time(worker) is not None:
                        with contextlib.suppress(OSError, IndexError):
                            used = harness.cpu_seconds(worker)
                        time.sleep(0.02)
                    self.assertLess(used - before, 0.3)

    def test_ipv6_alone_and_with_ipv4(self):
        harness.need_ipv6()
        port = harness.free_port("::1")
        for words, both in (((), True), (("--ipv6-only",), False)):
            with self.subTest(words=words), self.serve("--bind", f"[::]:{port}", *words) as server:
                server.host, server.port = "::1", port
                self.assertEqual(server.get("/hello").body, HELLO)
                self.assertIn("REMOTE_ADDR='::1'", server.get("/environment").body.decode())
                server.host = "127.0.0.1"
                if both:
                    self.assertIn("REMOTE_ADDR='127.0.0.1'", server.get("/environment").body.decode())
                else:
                    self.assertFalse(server.is_listening())

    def test_port_0_takes_a_free_port_and_logs_it(self):
        with self.serve(bind="127.0.0.1:0") as server:
            server.wait_for_log("Listening at")
            server.port = int(re.search(r"Listening at: 127\.0\.0\.1:(\d+)", server.log()).group(1))
            self.assertGreater(server.port, 0)
            self.assertEqual(server.get("/hello").body, HELLO)

    def test_an_address_that_cannot_be_bound_is_reported_with_the_cause(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            for host in "127.0.0.1", "0.0.0.0":
                self.refused(rf":{port}: another socket .* that of process {os.getpid()} \(", "--bind", f"{host}:{port}",
                             status=1)
        port = harness.free_port()
        self.refused("another socket .* one of this program itself: bind has .* includes another",
                     "--bind", f"127.0.0.1:{port}", "--bind", f"0.0.0.0:{port}", status=1)
        for address, message, status in (("127.0.0.1:99999", "99999", 2), ("192.0.2.1:8000", "192.0.2.1", 1),
                                         ("unix:/nowhere/socket", "/nowhere", 1),
                                         ("no such host:1", "no such host", 2), ("fd://99", "99", 1),
                                         (f"unix:/tmp/{'x' * 200}", "107 bytes at most", 2)):
            with self.subTest(address=address):
                self.refused(message, "--bind", address, status=status)

    def test_a_socket_may_be_inherited_by_number_or_from_systemd(self):
        for variables in False, True:
            with self.subTest(variables=variables), socket.create_server(("127.0.0.1", 0)) as listener:
                program = [harness.program("prefork-wsgi"), *(() if variables else ("--bind", "fd://3")), "kitchen:app"]
                export = "export LISTEN_FDS=1 LISTEN_PID=$$; " if variables else ""
                command = export + 'exec "$@" 3<&%d' % listener.fileno()
                server = harness.Server(["/bin/bash", "-c", command, "bash", *program], bind=None, cwd=APPS,
                                        fds=(listener.fileno(),))
                server.port = listener.getsockname()[1]
                with server:
                    server.wait_for_workers(1)
                    self.assertEqual(server.get("/hello").body, HELLO)
                    self.assertEqual(server.stop(), 0)

    def test_the_environment_overrides_the_file_and_flags_override_both(self):
        with self.directory(prefork_ini="[prefork]\nworkers = 3\ntimeout = 7s\nproc_name = from-file\n"
                                     "wsgi_app = kitchen:app\n") as directory:
            words = [harness.program("prefork-wsgi"), "-c", directory / "prefork.ini"]
            with harness.Server([*words, "--name", "flag"], cwd=APPS, env={"PREFORK_WORKERS": "2"}) as server:
                server.wait_for_serving(2)
                self.assertEqual(harness.title(server.pid), "flag: arbiter")
            printed = subprocess.run([*words, "--print-config"], cwd=APPS, capture_output=True, text=True,
                                  env={**os.environ, "PREFORK_WORKERS": "2"}).stdout
            for line in "workers = 2", "timeout = 7", "proc_name = from-file", "wsgi_app = kitchen:app":
                self.assertRegex(printed, rf"(?m)^{line}")
            # Its output is a file with the same meaning.
            (directory / "printed.ini").write_text(printed)
            again = subprocess.run([words[0], "-c", directory / "printed.ini", "--print-config"], cwd=APPS,
                                   capture_output=True, text=True).stdout
            strip = lambda text: [line.split("#")[0].split(";")[0].strip() for line in text.splitlines()]
            self.assertEqual([l for l in strip(printed) if l], [l for l in strip(again) if l])

    def test_an_invalid_setting_is_reported_with_its_place(self):
        for text, message in (("workers = many", r"prefork\.ini:2.*workers.*many"), ("wokers = 2", "wokers.*workers"),
                               ("workers = 0", "workers"), ("timeout = 5 bananas", "timeout.*bananas")):
            with self.subTest(text=text), self.directory(prefork_ini=f"[prefork]\n{text}\n") as directory:
                self.refused(message, "-c", directory / "prefork.ini")
        self.refused("nowhere.ini", "-c", "/nowhere.ini")
        self.refused("--wokers.*--workers", "--wokers", "2")
        self.refused("PREFORK_TIMEOUT.*soon", env={"PREFORK_TIMEOUT": "soon"})

    def test_variables_of_hosting_platforms_are_read(self):
        port = harness.free_port()
        with self.serve(bind=None, env={"PORT": str(port), "WEB_CONCURRENCY": "2",
                                        "GUNICORN_CMD_ARGS": "--name heroic"}) as server:
            server.port = port
            server.wait_for_serving(2)
            self.assertEqual(server.get("/hello").body, HELLO)
            self.assertEqual(harness.title(server.pid), "heroic: arbiter")
        self.refused("PORT.*eighty", env={"PORT": "eighty"})

    def test_a_reload_reads_the_file_again_and_fails_if_it_is_invalid(self):
        with self.directory(prefork_ini="[prefork]\nworkers = 1\ncanary_time = 0\n") as directory, self.serve(
                "-c", directory / "prefork.ini") as server:
            server.wait_for_serving(1)
            for text, count, verdict, why in (("workers = 3", 3, "done", "done"), ("workers = x", 3, "failed", "workers.*x"),
                                              ("workers = 2", 2, "done", "done"), ("proc_name = other", 2, "failed", "proc_name")):
                with self.subTest(text=text):
                    (directory / "prefork.ini").write_text(f"[prefork]\ncanary_time = 0\n{text}\n")
                    self.assertRegex(server.reload(verdict), why)
                    server.wait_for_serving(count)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""--check-config reports the errors that a start would report, and creates no file."""
import os
import pathlib
import re
import socket
import subprocess
import unittest

import harness

PORT_START = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

# Flags that cannot work, with the directory of the test in {0}, and their error message.
IMPOSSIBLE = (
    ("--error-logfile {0}/none/x.log", r"errorlog \(--error-logfile\): cannot open {0}/none/x\.log: .*directory"),
    ("--error-logfile {0}", r"errorlog .*: cannot open {0}: .*directory"),
    ("--access-logfile {0}/none/x.log", r"accesslog \(--access-logfile\): cannot open {0}/none/x\.log: .*directory"),
    ("--access-logfile {0}/file/x", r"accesslog .*file/x: a part of its path is not a directory"),
    ("--socket-user nobody-here", r"socket_user \(--socket-user\): there is no user 'nobody-here'"),
    ("--socket-user -1", r"socket_user .*there is no user '-1'"),
    ("--socket-user 4294967295", r"socket_user .*there is no user '4294967295'"),
    ("--socket-group nobody-here", r"socket_group \(--socket-group\): there is no group 'nobody-here'"),
    ("--bind unix:{0}/none/x.sock", r"cannot listen on unix:{0}/none/x\.sock: .*directory"),
    ("--bind unix:{0}/file", r"cannot listen on unix:{0}/file: .*not a socket"),
    ("--bind 127.0.0.1:70000", r"bind \(--bind\): "),
    ("--bind no..host", r"cannot listen on no\.\.host:8000: there is no such host .*HOST:PORT"),  # without a name server
    ("--bind [fe80::1%none]:1", r"cannot listen on \[fe80::1%none\]:1: there is no interface none"),
    ("--bind 192.0.2.1:8000", r"cannot listen on 192\.0\.2\.1:8000: no interface"),
    ("--rlimit-nofile 4000000000", r"rlimit_nofile \(--rlimit-nofile\): cannot be set to 4000000000: the hard limit is \d+, and to raise it needs"),
    ("--rlimit-core 2k:1k", r"rlimit_core \(--rlimit-core\): the soft limit is above the hard limit: '2k:1k'"),
    ("--threads 2", r"threads \(--threads\) is 2, and the worker class sync \(default\) handles one request at a time"),
    ("--preload", r"unknown option '--preload'"),
    ("--spool-dir {0}/none", r"spool_dir: {0}/none: "),
)


class Check(harness.Case):
    def run_it(self, *words):
        done = subprocess.run([harness.program("http_hello"), *map(str, words)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=20 * harness.PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def test_a_check_reports_the_error_that_a_start_reports(self):
        with self.directory(file_="") as directory:
            (directory / "file.").rename(directory / "file")
            for flags, message in IMPOSSIBLE:
                words = flags.format(directory).split()
                if "--bind" not in words:
                    words += ["--bind", f"unix:{directory}/socket"]
                with self.subTest(flags=flags):
                    before = sorted(directory.iterdir())
                    checked, output, why = self.run_it(*words, "--check-config")
                    self.assertEqual(output, "")
                    self.assertRegex(why, message.format(re.escape(str(directory))))
                    self.assertEqual(sorted(directory.iterdir()), before)
                    started, _, what = self.run_it(*words)
                    self.assertEqual(checked, started)
                    self.assertEqual(why.splitlines()[-1], what.splitlines()[-1])
                    self.assertEqual(sorted(directory.iterdir()), before)

    def test_a_successful_check_creates_no_file(self):
        with self.directory() as directory, socket.create_server(("127.0.0.1", 0)) as busy:
            for words in (["--error-logfile", directory / "e", "--access-logfile", directory / "a"],
                          ["--error-logfile", "/dev/null", "--access-logfile", "-"],
                          ["--bind", f"unix:{directory}/socket", "--socket-user", os.getuid(), "--socket-group", "0"],
                          ["--bind", "127.0.0.1:0", "--bind", "unix:@prefork-check"], ["--bind", "fd://77"]):
                with self.subTest(words=words):
                    status, output, why = self.run_it(*words, "--check-config")
                    self.assertEqual((status, why), (0, ""))
                    self.assertIn("the configuration is valid", output)
                    self.assertEqual(list(directory.iterdir()), [])
            # The server with these settings may be running.
            address = "127.0.0.1:%d" % busy.getsockname()[1]
            self.assertEqual(self.run_it("--bind", address, "--check-config")[0], 0)

    def test_a_running_server_is_not_disturbed(self):
        with self.directory() as directory:
            words = ["--error-logfile", directory / "log", "--access-logfile", directory / "access"]
            with harness.Server([harness.program("http_hello"), *words], bind=f"unix:{directory}/socket") as server:
                harness.wait_until(lambda: b"workers ready" in (directory / "log").read_bytes(), "the last line of the start")
                before = (directory / "log").read_bytes()
                self.assertEqual(self.run_it(*words, "--bind", f"unix:{directory}/socket", "--check-config")[0], 0)
                self.assertEqual((directory / "log").read_bytes(), before)
                self.assertEqual(server.get().status, 200)

    @unittest.skipUnless(os.getuid() == 0, "only root may change its user")
    def test_missing_permissions_of_the_user_are_reported(self):
        with self.directory() as directory:
            os.chmod(directory, 0o755)
            for words, message in ((["--error-logfile", directory / "x"], f"{directory}/x: permission denied"),
                                    (["--access-logfile", directory / "x"], f"{directory}/x: permission denied"),
                                    (["--bind", f"unix:{directory}/s"], f"unix:{directory}/s: permission denied"),
                                    (["--bind", "127.0.0.1:1"], "127.0.0.1:1: ports below 1024 need root")):
                if words[1] == "127.0.0.1:1" and int(PORT_START.read_text()) <= 1:
                    continue
                for more in ["--check-config"], []:
                    with self.subTest(words=words, more=more):
                        free = [] if "--bind" in words else ["--bind", "127.0.0.1:0"]
                        done = subprocess.run([harness.program("http_hello"), *map(str, words + free + more)], user=65534,
                                              group=65534, capture_output=True, text=True, timeout=20 * harness.PATIENCE)
                        self.assertEqual(done.returncode, 1 if words[0] == "--bind" else 2, done.stderr)
                        self.assertIn(message, done.stderr)


if __name__ == "__main__":
    harness.main()

"""Binary upgrades in which a process dies or misbehaves at an inconvenient moment."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import harness
import test_upgrade as upgrade

HELLO = upgrade.HELLO
setUpModule = upgrade.setUpModule

# A program that has the control channel of a new arbiter. It waits for the file `go`.
PROGRAM = f"""#!{sys.executable}
import os, pathlib, socket, struct, time
channel = socket.socket(fileno=int(os.environ["PREFORK_UPGRADE_FD"]))
SERVING, READY, UNKNOWN = (struct.pack("=II", number, 0) for number in (1, 2, 1000))
pathlib.Path("began").touch()
while not os.path.exists("go"):
    time.sleep(0.002)
"""


class Faults(upgrade.Case):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.program = self.root / "hello"
        self.program.symlink_to(HELLO)

    def start(self, *flags, bind="tcp"):
        return upgrade.Server([self.program, "--workers", "2", "--canary-time", "0", *flags], cwd=self.root, bind=bind)

    def replace(self, text):
        self.program.unlink()
        self.program.write_text(text)
        self.program.chmod(0o755)

    def begin(self, server):
        """USR2; returns the pid of the new program."""
        server.process.send_signal(signal.SIGUSR2)
        harness.wait_until((self.root / "began").exists, "the new program")
        return [pid for pid in harness.children(server.pid) if "] serving" not in harness.title(pid)][0]

    def check_serves(self, server, workers=2):
        """It has workers, and is not about to stop."""
        self.assertEqual(len(server.wait_for_serving(workers)), workers)
        server.reload()
        self.assertEqual(server.get().status, 200)
        self.assertEqual(server.stop(), 0)

    def test_a_new_arbiter_that_reports_ready_and_exits_does_not_stop_the_old_one(self):
        """The message and the exit are processed in one turn."""
        with self.start("--upgrade", "automatic") as server:
            server.wait_for_serving(2)
            self.replace(PROGRAM + "channel.send(SERVING)\nchannel.send(READY)\n")
            new = self.begin(server)
            server.process.send_signal(signal.SIGSTOP)
            (self.root / "go").touch()
            harness.wait_until(lambda: harness.start_time(new) is None, "the new program exits")
            server.process.send_signal(signal.SIGCONT)
            server.wait_for_log("New arbiter has exited, this one keeps serving")
            self.check_serves(server)

    def test_a_new_arbiter_that_floods_the_channel_is_killed_in_time(self):
        harness.need_files()
        file = self.root / "prefork.ini"
        file.write_text("[prefork]\nboot_timeout = 1s\n")
        with self.start("--config", file) as server:
            server.wait_for_serving(2)
            self.replace(PROGRAM + "os.fork()\nos.fork()\nchannel.setblocking(True)\nwhile True:\n    channel.send(UNKNOWN)\n")
            (self.root / "go").touch()
            server.request_upgrade("failed")
            server.wait_for_log("was not ready within 1.0 s (boot_timeout)")
            file.write_text("[prefork]\n")  # for the workers of the reload
            self.check_serves(server)

    def test_a_new_arbiter_that_floods_the_channel_when_it_is_ready_is_not_read(self):
        with self.start("--upgrade", "manual") as server:
            server.wait_for_serving(2)
            self.replace(PROGRAM + "channel.setblocking(True)\nchannel.send(SERVING)\nchannel.send(READY)\n"
                         "while True:\n    channel.send(UNKNOWN)\n")
            (self.root / "go").touch()
            new = server.request_upgrade()
            before = harness.wait_for_quiet(lambda: harness.context_switches(server.pid))
            for _ in range(5):
                self.assertEqual(server.get().status, 200)
            self.assertLess(harness.context_switches(server.pid) - before, 30)
            os.kill(new, signal.SIGKILL)
            server.wait_for_log("New arbiter has exited, this one keeps serving")
            self.check_serves(server)

    def test_workers_that_winch_has_ended_start_again_if_the_new_arbiter_is_killed(self):
        with self.start("--upgrade", "manual") as server:
            server.wait_for_serving(2)
            new = server.request_upgrade()
            server.process.send_signal(signal.SIGWINCH)
            harness.wait_until(lambda: harness.children(server.pid) == [new], "the old workers exit")
            server.workers()
            os.kill(new, signal.SIGKILL)
            server.wait_for_log("New arbiter has exited, this one keeps serving")
            self.check_serves(server)

    def test_workers_that_winch_has_ended_start_again_if_the_upgrade_fails(self):
        with self.start("--boot-timeout", "0") as server:
            server.wait_for_serving(2)
            self.replace(PROGRAM + "raise SystemExit(7)\n")
            new = self.begin(server)
            server.process.send_signal(signal.SIGWINCH)
            harness.wait_until(lambda: harness.children(server.pid) == [new], "the workers exit")
            (self.root / "go").touch()
            server.wait_for_log("exited with status 7")
            self.check_serves(server)

    def test_the_last_of_two_arbiters_that_are_stopped_together_removes_the_path_of_a_socket(self):
        """Both close the socket while the other may serve it still."""
        for begins, drains in ("new", True), ("old", True), ("new", False), ("old", False):
            with self.subTest(begins=begins, drains=drains), self.start_sleeper() as server:
                server.wait_for_log("1 of 1 workers ready")
                old, new = server.pid, server.request_upgrade()
                server.workers()
                os.kill(old, signal.SIGWINCH)
                harness.wait_until(lambda pid=new: harness.children(old) == [pid], "the old worker exits")
                client = server.connect()
                if drains:
                    client.send(b"GET /90 HTTP/1.1\r\nHost: x\r\n\r\n")
                    server.wait_for_log("sleeping")
                first, second = (new, old) if begins == "new" else (old, new)
                os.kill(first, signal.SIGTERM)
                server.wait_for_log(f"[{first}] [INFO] Shutting down: Master")
                os.kill(second, signal.SIGTERM)
                self.assertEqual(server.process.wait(20 * harness.PATIENCE), 0)
                if drains:
                    self.assertIsNotNone(harness.start_time(new))
                    os.kill(new, signal.SIGQUIT)
                harness.wait_until(lambda pid=new: harness.start_time(pid) is None, "the new arbiter exits")
                client.socket.close()
                self.assertFalse((self.root / "socket").exists())

    def test_a_new_arbiter_that_starts_after_the_death_of_the_old_one_owns_the_sockets(self):
        with self.start("--upgrade", "automatic", bind=f"unix:{self.root}/socket") as server:
            server.wait_for_log("2 of 2 workers ready")
            self.replace(f'#!/bin/sh\n: >began\nwhile [ ! -e go ]; do sleep 0.01; done\nexec {HELLO} "$@"\n')
            new = self.begin(server)
            server.workers()
            server.process.kill()
            server.process.wait()
            server.process = upgrade.Process(new)
            (self.root / "go").touch()
            server.wait_for_log(f"[{new}] [INFO] Pool hello: 2 of 2 workers ready")
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertFalse((self.root / "socket").exists())

    def test_the_umask_is_that_of_the_start(self):
        """The new program does not keep a mask that its settings no longer name."""
        file = self.root / "prefork.ini"
        file.write_text("[prefork]\numask = 0o77\n")
        before = os.umask(0o27)
        self.addCleanup(os.umask, before)
        with self.start("--config", file) as server:
            server.wait_for_serving(2)
            self.assertEqual(self.mask(server.pid), 0o77)
            file.write_text("[prefork]\n")
            server.upgrade()
            self.assertEqual(self.mask(server.pid), 0o27)
            self.assertEqual(server.stop(), 0)

    def test_the_pid_file_of_a_new_arbiter_that_is_killed_is_removed(self):
        file, beside = self.root / "pid", self.root / "pid.2"
        limit = f"{2 * harness.PATIENCE}s"  # the second program is stopped before it has proved itself
        with self.start("--upgrade", "manual", "--canary-time", limit, "--boot-timeout", limit, "--pid", file) as server:
            server.wait_for_log("2 of 2 workers ready")
            new = server.request_upgrade()
            server.workers()
            os.kill(new, signal.SIGKILL)
            server.wait_for_log("New arbiter has exited")
            harness.wait_until(lambda: not beside.exists(), "its file is removed")
            server.process.send_signal(signal.SIGUSR2)  # and one that is not ready in time
            harness.wait_until(beside.exists, "a pid file")
            new = int(beside.read_text())
            os.kill(new, signal.SIGSTOP)
            server.workers()
            harness.wait_until(lambda: len(server.verdicts()) == 2, "a verdict")
            self.assertEqual(server.verdicts()[1][0], "failed")
            harness.wait_until(lambda: not beside.exists(), "its file is removed")
            self.assertEqual(int(file.read_text()), server.pid)
            self.assertEqual(server.stop(), 0)

    def check_reason(self, server, text, reason):
        """An upgrade to the program of `text` fails, and its verdict names the reason."""
        self.replace(f"#!/bin/sh\n{text}\n")
        before = server.log().count("Upgrade failed")
        server.request_upgrade("failed")
        harness.wait_until(lambda: server.log().count("Upgrade failed") > before, "the verdict")
        self.assertRegex([line for line in server.log().splitlines() if "Upgrade failed" in line][-1], reason)

    def test_an_error_in_the_settings_is_in_the_verdict(self):
        with self.start("--pid", self.root / "pid") as server:
            server.wait_for_serving(2)
            for words, reason in (("--no-such-flag", "no-such-flag"), ("--workers many", "workers: expected .*many"),
                                  ("--error-logfile /nowhere/log", "errorlog.*/nowhere/log"),
                                  ("--user no.such.user", "no user .*no.such.user")):
                self.check_reason(server, f'exec {HELLO} "$@" {words}', f"exited with status 2: .*{reason}")
            self.replace(f'#!/bin/sh\nexec {HELLO} "$@" --no-such-flag\n')
            command = subprocess.run([HELLO, "--send-upgrade", self.root / "pid"], stderr=subprocess.PIPE, text=True,
                                     timeout=20 * harness.PATIENCE, check=False)
            self.assertEqual(command.returncode, 1)
            self.assertRegex(command.stderr, "upgrade failed: .*exited with status 2: .*no-such-flag")
            self.check_serves(server)

    def test_an_error_in_the_settings_of_a_daemon_is_in_the_verdict(self):
        log, pidfile = self.root / "log", self.root / "pid"
        subprocess.run([self.program, "--daemon", "--pid", pidfile, "--error-logfile", log, "--canary-time", "0",
                        "--bind", f"unix:{self.root}/socket"], check=True, timeout=60 * harness.PATIENCE)
        pid = int(pidfile.read_text())
        self.replace(f'#!/bin/sh\nexec {HELLO} "$@" --no-such-flag\n')
        os.kill(pid, signal.SIGUSR2)
        harness.wait_until(lambda: re.search("Upgrade failed: .*exited with status 2: .*no-such-flag", log.read_text()),
                           "the reason")
        os.kill(pid, signal.SIGTERM)
        harness.wait_until(lambda: harness.start_time(pid) is None, "the end")

    def test_an_application_that_does_not_load_is_in_the_verdict(self):
        """Preloaded, the arbiter fails before it starts, else its first worker does."""
        program = harness.program("prefork-wsgi")
        (self.root / "app.py").write_text("def app(environ, start):\n    start('200 OK', [])\n    return [b'x']\n")
        for flags in ("--preload",), ():
            with self.subTest(flags=flags), upgrade.Server([program, "app:app", "--canary-time", "0", *flags], cwd=self.root) as server:
                server.wait_for_serving(1)
                (self.root / "app.py").rename(self.root / "later.py")
                server.request_upgrade("failed")
                self.assertRegex(server.log(), "Upgrade failed: .*exited with status 4: .*No module named 'app'")
                (self.root / "later.py").rename(self.root / "app.py")
                self.check_serves(server, 1)

    def mask(self, pid):
        return int(re.search(r"Umask:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1], 8)

    def start_sleeper(self):
        return upgrade.Server([harness.program("prefork-wsgi"), "sleeper:app", "--canary-time", "0", "--timeout", "100",
                               "--graceful-timeout", "100", "-k", "sync"], cwd=upgrade.APPS, bind=f"unix:{self.root}/socket")


if __name__ == "__main__":
    harness.main()

"""Whom workers run as, what files they leave, and the process in the background."""
import contextlib
import fcntl
import grp
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import unittest

import harness

APPS = pathlib.Path(__file__).resolve().parent / "apps"
WSGI = harness.program("prefork-wsgi")
NOBODY = pwd.getpwnam("nobody")


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root can change user and group")


def ask(server):
    return json.loads(server.get().body)


@harness.every_worker_class
class User(harness.Case):
    def serve(self, *flags, **options):
        need_root()
        return harness.Server([WSGI, *self.flags, *flags, "credentials:app"], cwd=APPS, **options)

    def test_the_application_is_loaded_after_privileges_were_dropped(self):
        with self.serve("--user", "nobody") as server:
            found = ask(server)
            for when in "imported", "now":
                self.assertEqual(found[when]["uids"], [NOBODY.pw_uid] * 3)
                self.assertEqual(found[when]["gids"], [NOBODY.pw_gid] * 3)
                self.assertEqual(found[when]["groups"], [NOBODY.pw_gid])
            worker = server.wait_for_serving(1)[0]
            self.assertEqual(os.stat(f"/proc/{worker}").st_uid, NOBODY.pw_uid)  # it is dumpable again
            self.assertEqual(os.stat(f"/proc/{server.pid}").st_uid, 0)
            server.reload()
            self.assertEqual(ask(server)["now"]["uids"], [NOBODY.pw_uid] * 3)
            self.assertEqual(server.stop(), 0)

    def test_a_worker_ends_with_a_killed_arbiter_as_before(self):
        with self.serve("-u", "nobody") as server:
            workers = server.wait_for_serving(1)
            server.stop(signal.SIGKILL)
            harness.wait_until(lambda: harness.start_time(workers[0]) is None, "the worker is gone")


class Limits(harness.Case):
    """--rlimit-*: of the workers alone, and taken while they may still raise a hard limit."""

    def limits(self, pid, name):
        (line,) = [line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith(name)]
        return tuple(line[len(name):].split()[:2])

    def test_workers_take_the_limits_before_they_drop_privileges(self):
        need_root()
        low, high = (1000, 1000), (1200, 1500)
        prefix = (harness.need_program("prlimit"), "--nofile=%d:%d" % low)
        if subprocess.run([*prefix, prefix[0], "--nofile=%d:%d" % high, "true"], capture_output=True, check=False).returncode:
            high = (800, 900)  # no CAP_SYS_RESOURCE here
        with harness.Server([WSGI, "--user", "nobody", "--rlimit-nofile", "%d:%d" % high, "--rlimit-core", "0:64k",
                             "--worker-connections", "100", "credentials:app"], cwd=APPS, prefix=prefix) as server:
            worker = server.wait_for_serving(1)[0]
            self.assertEqual(os.stat(f"/proc/{worker}").st_uid, NOBODY.pw_uid)
            self.assertEqual(self.limits(worker, "Max open files"), tuple(map(str, high)))
            self.assertEqual(self.limits(worker, "Max core file size"), ("0", "65536"))
            self.assertEqual(self.limits(server.pid, "Max open files")[1], str(low[1]))
            self.assertNotEqual(self.limits(server.pid, "Max core file size")[1], "65536")
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)


class Groups(harness.Case):
    def serve(self, *flags, **options):
        need_root()
        return harness.Server([WSGI, *flags, "credentials:app"], cwd=APPS, **options)

    def test_a_group_alone_and_numbers(self):
        daemon = grp.getgrnam("daemon").gr_gid
        for flags, uid, gid in ((("-g", "daemon"), 0, daemon), (("-u", "12345", "-g", str(daemon)), 12345, daemon)):
            with self.subTest(flags=flags), self.serve(*flags) as server:
                found = ask(server)["imported"]
                self.assertEqual((found["uids"], found["gids"], found["groups"]), ([uid] * 3, [gid] * 3, [gid]))
                self.assertEqual(server.stop(), 0)

    def test_initgroups_gives_all_groups_of_the_user(self):
        found = [(user, os.getgrouplist(user.pw_name, user.pw_gid)) for user in pwd.getpwall()]
        user, groups = max(found, key=lambda each: len(each[1]))
        with self.serve("--user", user.pw_name, "--initgroups") as server:
            self.assertEqual(ask(server)["imported"]["groups"], sorted(set(groups)))
            self.assertEqual(server.stop(), 0)

    def test_a_preloaded_application_keeps_its_privileges_until_the_fork_and_the_log_says_so(self):
        with self.serve("--user", "nobody", "--preload") as server:
            found = ask(server)
            self.assertEqual(found["imported"]["uids"], [0] * 3)
            self.assertEqual(found["now"]["uids"], [NOBODY.pw_uid] * 3)
            self.assertIn("loaded before the fork (--preload), with the privileges of the arbiter (user id 0)", server.log())
            self.assertEqual(server.stop(), 0)

    def test_a_check_loads_the_application_as_the_user(self):
        need_root()
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            (pathlib.Path(directory) / "shown.py").write_text(
                "import os\nraise SystemError(f'uids {os.getresuid()} groups {os.getgroups()}')\n")
            for flags, uid, groups in (((), 0, os.getgroups()), (("-u", "nobody"), NOBODY.pw_uid, [NOBODY.pw_gid]),
                                       (("-u", "nobody", "--preload"), 0, os.getgroups())):
                with self.subTest(flags=flags):
                    done = subprocess.run([WSGI, "--check-config", *flags, "-b", f"unix:{directory}/socket", "shown:app"],
                                          cwd=directory, capture_output=True, text=True, timeout=20 * harness.PATIENCE)
                    self.assertEqual(done.returncode, 4, done.stderr)
                    self.assertIn(f"uids {(uid,) * 3} groups {groups}", done.stderr)

    def test_what_is_not_there_is_refused_before_the_start(self):
        for flags, message in ((("--user", "nobody-at-all"), r"user \(--user\): there is no user 'nobody-at-all'"),
                               (("-g", "no-such-group"), r"group \(-g\): there is no group 'no-such-group'"),
                               (("-u", "54321"), r"user \(-u\): 54321 has no account on this machine.*set group"),
                               (("--initgroups", "-g", "daemon"), r"initgroups \(--initgroups\) needs a user")):
            with self.subTest(flags=flags), self.serve(*flags, wait=False) as server:
                self.assertEqual(server.wait(), 2)
                self.assertRegex(server.log(), message)

    def test_a_unix_socket_belongs_to_the_user(self):
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/socket"
            for flags, owner, mode in ((("-u", "nobody"), (NOBODY.pw_uid, NOBODY.pw_gid), 0o666),
                                       (("-u", "nobody", "-m", "027"), (NOBODY.pw_uid, NOBODY.pw_gid), 0o640),
                                       (("-u", "nobody", "--socket-user", "root", "-m", "077", "--socket-mode", "0660"),
                                        (0, NOBODY.pw_gid), 0o660)):
                with self.subTest(flags=flags), self.serve(*flags, bind=f"unix:{path}") as server:
                    status = os.stat(path)
                    self.assertEqual((status.st_uid, status.st_gid), owner)
                    self.assertEqual(stat.S_IMODE(status.st_mode), mode)
                    self.assertEqual(server.get().status, 200)
                    self.assertEqual(server.stop(), 0)
                self.assertFalse(os.path.exists(path))


class Unprivileged(harness.Case):
    def serve(self, *flags, **options):
        need_root()
        setpriv = harness.need_program("setpriv")
        return harness.Server([WSGI, *flags, "credentials:app"], cwd=APPS, prefix=(
            setpriv, f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"), **options)

    def test_a_program_that_runs_as_that_user_has_nothing_to_change(self):
        with self.serve("-u", "nobody") as server:
            self.assertEqual(ask(server)["imported"]["uids"], [NOBODY.pw_uid] * 3)
            self.assertEqual(server.stop(), 0)

    def test_another_user_is_refused(self):
        with self.serve("-u", "daemon", wait=False) as server:
            self.assertEqual(server.wait(), 3)
            self.assertRegex(server.log(), r"cannot run as group \d+: Operation not permitted; only root")


class Umask(harness.Case):
    def test_it_holds_for_workers_and_the_log(self):
        with tempfile.TemporaryDirectory() as directory, harness.Server(
                [WSGI, "--umask", "027", "--log-file", f"{directory}/log", "credentials:app"], cwd=APPS) as server:
            self.assertEqual(ask(server)["imported"]["umask"], 0o27)
            self.assertEqual(stat.S_IMODE(os.stat(f"{directory}/log").st_mode), 0o640)
            self.assertEqual(server.stop(), 0)


@harness.every_worker_class
class Output(harness.Case):
    def test_capture_output_writes_it_to_the_log_also_after_a_rotation(self):
        with tempfile.TemporaryDirectory() as name:
            log = pathlib.Path(name) / "log"
            with harness.Server([WSGI, *self.flags, "--capture-output", "--log-file", log, "credentials:app"], cwd=APPS) as server:
                self.check(server, log, "/first")
                log.rename(f"{log}.1")
                server.send_signal(signal.SIGUSR1)
                harness.wait_until(log.exists, "a new log")
                harness.wait_until(lambda: self.is_captured(server, log, "/second"), "output in the new log")
                self.assertEqual(server.stop(), 0)
                self.assertNotIn("printed", server.log())

    def test_capture_output_to_a_pipe_that_is_not_read_loses_nothing(self):
        """The worker that prints waits; another one serves, and the arbiter starts one more."""
        with tempfile.TemporaryDirectory() as name:
            log, bound = pathlib.Path(name) / "log", f"{name}/socket"
            os.mkfifo(log)
            reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
            self.addCleanup(os.close, reader)
            with harness.Server([WSGI, *self.flags, "-w", "2", "--capture-output", "--log-file", log,
                                 "credentials:app"], cwd=APPS, bind=f"unix:{bound}") as server:
                server.wait_for_serving(2)
                with server.connect() as client:
                    client.send(b"GET /lines HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    harness.wait_until(lambda: self.pending(reader) > 60000, "a full pipe")
                    server.send_signal(signal.SIGTTIN)
                    server.wait_for_workers(3)
                    self.assertEqual(server.get("/quiet").status, 200)
                    seen = self.read_until(reader, "line 19999\n")
                    self.assertTrue(client.read_all().startswith(b"HTTP/1.1 200 "))
                found = [int(number) for number in re.findall(r"^line (\d+)$", seen, re.MULTILINE)]
                self.assertEqual(found, list(range(20000)))
                self.assertEqual(server.stop(), 0)

    def pending(self, fd):
        count = bytearray(4)
        fcntl.ioctl(fd, termios.FIONREAD, count)
        return int.from_bytes(count, sys.byteorder)

    def read_until(self, fd, text):
        seen = []
        def has_text():
            with contextlib.suppress(BlockingIOError):
                seen.append(os.read(fd, 65536).decode())
            return text in "".join(seen[-2:])
        harness.wait_until(has_text, text, 30)
        return "".join(seen)

    def is_captured(self, server, log, path):
        self.assertEqual(server.get(path).status, 200)
        return f"printed to stdout {path}\n" in log.read_text()

    def check(self, server, log, path):
        self.assertTrue(self.is_captured(server, log, path))
        for text in (f"printed to stderr {path}\n", f"written to 2 {path}\n"):
            self.assertIn(text, log.read_text())


@harness.every_worker_class
class Rotation(harness.Case):
    """The directory of the logs can be entered by root alone: the arbiter opens them, and workers get descriptors."""

    def lines(self, path):
        return path.read_text() if path.exists() else ""

    def test_usr1_reopens_logs_that_workers_cannot_open(self):
        need_root()
        with tempfile.TemporaryDirectory() as name:  # mode 0700
            error, access = pathlib.Path(name) / "error.log", pathlib.Path(name) / "access.log"
            with harness.Server([WSGI, *self.flags, "-w", "2", "-u", "nobody", "--log-file", error, "--access-logfile", access,
                                 "--capture-output", "credentials:app"], cwd=APPS) as server:
                server.wait_for_serving(2)
                for turn in range(1, 4):
                    for path in error, access:
                        status = os.stat(path)
                        self.assertEqual((status.st_uid, status.st_gid), (NOBODY.pw_uid, NOBODY.pw_gid), path)
                    self.assertEqual(server.get(f"/turn{turn}").status, 200)
                    harness.wait_until(lambda turn=turn: f"/turn{turn} " in self.lines(access), "a line of the access log")
                    self.assertIn(f"printed to stdout /turn{turn}", error.read_text())
                    for path in error, access:
                        path.rename(f"{path}.{turn}")
                    server.send_signal(signal.SIGUSR1)
                    harness.wait_until(lambda: error.exists() and access.exists(), "new files")
                    for worker in server.workers():  # both have left the old files
                        harness.wait_until(lambda worker=worker, turn=turn: not any(
                            link.endswith(f".log.{turn}") for link in harness.open_files(worker)), "the old files are closed")
                os.kill(server.workers()[0], signal.SIGKILL)  # its replacement has the new files, too
                harness.wait_until(lambda: "Booting worker" in error.read_text(), "a replacement")
                workers = server.wait_for_serving(2)
                for worker in workers:
                    self.assertFalse([link for link in harness.open_files(worker) if ".log." in link])
                self.assertEqual(server.stop(), 0)
            text = "".join(path.read_text() for path in pathlib.Path(name).iterdir())
            self.assertNotIn("cannot be reopened", text)
            self.assertNotIn("failed", text)

    def test_a_log_that_exists_keeps_its_owner(self):
        need_root()
        with self.directory(error_log="", access_log="") as directory:
            error, access = directory / "error.log", directory / "access.log"
            with harness.Server([WSGI, *self.flags, "-u", "nobody", "--log-file", error, "--access-logfile", access,
                                 "credentials:app"], cwd=APPS) as server:
                server.wait_for_serving(1)
                server.send_signal(signal.SIGUSR1)
                self.assertEqual(server.get().status, 200)
                self.assertEqual(server.stop(), 0)
            self.assertEqual([os.stat(path).st_uid for path in (error, access)], [0, 0])


class Daemon(harness.Case):
    @contextlib.contextmanager
    def started(self, directory, *flags):
        """Start a daemon; its command has returned. Yields what the command printed, and a Server to ask."""
        server = harness.Server([WSGI], cwd=APPS)
        done = subprocess.run([WSGI, "-D", "--pid", f"{directory}/pid", "-b", f"127.0.0.1:{server.port}", *flags,
                               "credentials:app"], cwd=APPS, env=server.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=30 * harness.PATIENCE)
        path = pathlib.Path(directory) / "pid"
        pid = int(path.read_text()) if path.exists() else None
        try:
            yield done, server, pid
        finally:
            server.output.close()
            if pid and harness.start_time(pid) is not None:
                os.kill(pid, signal.SIGTERM)
                harness.wait_until(lambda: harness.start_time(pid) is None, "the daemon ends")
        self.assertFalse(path.exists())

    def test_the_command_returns_when_the_workers_serve(self):
        with tempfile.TemporaryDirectory() as directory, self.started(
                directory, "--log-file", f"{directory}/log", "-w", "2") as (done, server, pid):
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertEqual(server.get().status, 200)  # at once
            self.assertNotIn(os.getsid(pid), (pid, os.getsid(0)))
            for each in (pid, *harness.children(pid)):
                for fd in range(3):
                    self.assertEqual(os.readlink(f"/proc/{each}/fd/{fd}"), "/dev/null")
            os.kill(pid, signal.SIGHUP)
            log = pathlib.Path(directory) / "log"
            harness.wait_until(lambda: "Reload done" in log.read_text(), "a verdict")
            self.assertEqual(server.get().status, 200)

    def test_a_start_that_fails_returns_its_status_and_says_why(self):
        with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as taken:
            with self.started(directory, "-b", "127.0.0.1:%d" % taken.getsockname()[1]) as (done, _, pid):
                self.assertEqual((done.returncode, pid), (1, None))
                self.assertIn("cannot listen", done.stderr)
        for name, status in (("broken:app", 4), ("hello:app", 2)):
            flags = ("--workers", "none") if status == 2 else ()
            done = subprocess.run([WSGI, "-D", "-b", "127.0.0.1:0", *flags, name], cwd=APPS, capture_output=True, text=True,
                                  check=False, timeout=30 * harness.PATIENCE)
            self.assertEqual(done.returncode, status, done.stderr)

    def test_the_streams_of_the_starter_are_kept_if_wanted(self):
        with tempfile.TemporaryDirectory() as directory, open(f"{directory}/output", "wb") as output:
            path, port = f"{directory}/pid", harness.free_port()
            self.assertEqual(subprocess.run(
                [WSGI, "-D", "-R", "--pid", path, "-b", f"127.0.0.1:{port}", "credentials:app"], cwd=APPS,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
                timeout=30 * harness.PATIENCE).returncode, 0)
            pid = int(pathlib.Path(path).read_text())
            for each in (pid, *harness.children(pid)):
                self.assertEqual(os.readlink(f"/proc/{each}/fd/2"), os.path.realpath(output.name))
            os.kill(pid, signal.SIGTERM)
            harness.wait_until(lambda: harness.start_time(pid) is None, "the daemon ends")
            self.assertIn("Shutting down", pathlib.Path(output.name).read_text())


if __name__ == "__main__":
    harness.main()

"""The process as its operators see it: the number of workers and its limits, the pid file."""
import contextlib
import fcntl
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

import harness

APPS = pathlib.Path(__file__).resolve().parent / "apps"
HELLO = harness.program("http_hello")


def limited(files):
    """A prefix that starts the server with at most so many open files."""
    return ("/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh")


def cpu_share(server, seconds=1):
    """How much of a core the arbiter uses: measured, since there is no event to wait for."""
    before, began = harness.cpu_seconds(server.pid), time.monotonic()
    time.sleep(seconds)
    return (harness.cpu_seconds(server.pid) - before) / (time.monotonic() - began)


class Ceilings(harness.Case):
    def test_ttin_adds_workers_far_beyond_those_of_the_start(self):
        with harness.Server([HELLO, "-w", "2"]) as server:
            server.wait_for_serving(2)
            for count in range(3, 11):
                server.send_signal(signal.SIGTTIN)
                server.wait_for_serving(count)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("keeps", server.log())

    def test_reuseport_workers_beyond_the_sockets_share_them(self):
        with harness.Server([HELLO, "-w", "1", "--reuse-port"]) as server:
            for count in range(2, 9):
                server.send_signal(signal.SIGTTIN)
                server.wait_for_serving(count)
            for _ in range(40):
                self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)

    def test_few_open_files_are_enough_for_few_workers_and_the_limit_is_named(self):
        for flags in ((), ("--reuse-port",)):
            with self.subTest(flags=flags), harness.Server([HELLO, "-w", "2", *flags], prefix=limited(64)) as server:
                server.wait_for_serving(2)
                self.assertEqual(server.get().status, 200)
                count = 2
                while "keeps" not in server.log():
                    server.send_signal(signal.SIGTTIN)
                    count = harness.wait_until(
                        lambda before=count: before + 1 if f"wanted: {before + 1}," in server.log()
                        else before if "keeps" in server.log() else None, "a response to TTIN")
                self.assertRegex(server.log(), rf"keeps {count} workers: RLIMIT_NOFILE is 64, but the arbiter needs \d+ "
                                               rf"descriptors for {count + 1} workers: raise the limit")
                server.wait_for_serving(count)
                self.assertEqual(server.get().status, 200)
                server.reload()
                self.assertEqual(server.get().status, 200)
                self.assertEqual(server.stop(), 0)

    def test_too_few_open_files_for_the_workers_of_the_start_are_refused(self):
        with harness.Server([HELLO, "-w", "30"], prefix=limited(64), wait=False) as server:
            self.assertNotEqual(server.wait(), 0)
            self.assertRegex(server.log(), r"RLIMIT_NOFILE is 64, but the arbiter needs \d+ descriptors for 30 workers")

    def test_workers_max_is_named(self):
        with harness.Server([HELLO, "-w", "1", "--workers-max", "2"]) as server:
            server.send_signal(signal.SIGTTIN)
            server.wait_for_serving(2)
            server.send_signal(signal.SIGTTIN)
            server.wait_for_log("keeps 2 workers: 3 are more than workers_max, 2, which only a restart can raise")
            self.assertEqual(server.stop(), 0)


class Pidfile(harness.Case):
    def serve(self, directory, *flags, **options):
        return harness.Server([HELLO, *flags], cwd=directory, **options)

    def test_it_names_the_arbiter_and_no_worker_holds_it(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "pid"
            with self.serve(directory, "-w", "2", "--pid", "pid") as server:
                self.assertEqual(path.read_text(), f"{server.pid}\n")
                for worker in server.wait_for_serving(2):
                    self.assertNotIn(os.path.realpath(path), harness.open_files(worker))
                server.reload()
                self.assertEqual(path.read_text(), f"{server.pid}\n")
                self.assertEqual(server.stop(), 0)
            self.assertEqual(os.listdir(directory), [])

    def test_a_second_server_is_refused_and_the_first_one_named(self):
        with tempfile.TemporaryDirectory() as directory, self.serve(directory, "-p", "pid") as first:
            with self.serve(directory, "-p", "pid", wait=False) as second:
                self.assertEqual(second.wait(), 1)
                self.assertIn(f"the server with process id {first.pid} is running", second.log())
            self.assertEqual((pathlib.Path(directory) / "pid").read_text(), f"{first.pid}\n")
            self.assertEqual(subprocess.run([HELLO, "-p", "pid", "-b", "127.0.0.1:0", "--check-config"], cwd=directory,
                                            check=False, stdout=subprocess.DEVNULL).returncode, 0)
            self.assertEqual(first.stop(), 0)

    def test_a_file_that_a_killed_server_has_left_is_replaced(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "pid"
            with self.serve(directory, "-p", "pid") as killed:
                killed.wait_for_serving(1)
                killed.stop(signal.SIGKILL)
            path.write_text(f"{os.getpid()}\n")  # the pid of a living process
            with self.serve(directory, "-p", "pid") as server:
                self.assertEqual(path.read_text(), f"{server.pid}\n")
                path.unlink()
                path.write_text("42\n")
                self.assertEqual(server.stop(), 0)
            self.assertEqual(path.read_text(), "42\n")

    def test_a_start_that_fails_leaves_no_file(self):
        with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as taken:
            with self.serve(directory, "-p", "pid", bind="127.0.0.1:%d" % taken.getsockname()[1]) as server:
                self.assertEqual(server.wait(), 1)
            self.assertEqual(os.listdir(directory), [])


class SendReload(harness.Case):
    """The verdict of a reload, as the exit status of a command."""

    @contextlib.contextmanager
    def served(self, *flags):
        harness.need_files()
        with tempfile.TemporaryDirectory() as name:
            self.settings = pathlib.Path(name) / "prefork.ini"
            self.settings.write_text("[prefork]\ncanary_time = 100ms\n")
            self.pidfile = f"{name}/pid"
            os.chmod(name, 0o755)
            with harness.Server([HELLO, "-p", self.pidfile, "-c", self.settings, *flags]) as server:
                server.wait_for_serving(1)  # it takes commands a moment after it listens
                yield server

    def begin(self, *prefix, pidfile=None, flag="--send-reload"):
        return harness.begin_command(*prefix, HELLO, flag, pidfile or self.pidfile)

    def test_done_and_failed_are_the_status(self):
        with self.served() as server:
            self.assertEqual(harness.end_command(self.begin()), (0, ""))
            self.assertIn("Reload done", server.log())
            self.assertIn("requested by a command", server.log())
            self.settings.write_text("[prefork]\nworkers = many\n")
            status, errors = harness.end_command(self.begin())
            self.assertEqual(status, 1)
            self.assertRegex(errors, r"reload failed: .*prefork\.ini:2: workers: expected")
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)

    def test_several_commands_get_the_verdict_of_the_last_reload(self):
        with self.served("--canary-time", "500ms") as server:
            self.settings.write_text("[prefork]\n")
            for command in [self.begin() for _ in range(5)]:
                self.assertEqual(harness.end_command(command), (0, ""))
            self.assertEqual(server.stop(), 0)

    def test_a_server_that_stops_meanwhile_is_a_failure(self):
        with self.served("--canary-time", "30s") as server:
            self.settings.write_text("[prefork]\n")
            command = self.begin()
            server.wait_for_log("requested by a command")
            self.assertEqual(server.stop(), 0)
            status, errors = harness.end_command(command)
            self.assertEqual(status, 1)
            self.assertIn("the server stops", errors)

    def test_no_such_server(self):
        with tempfile.TemporaryDirectory() as name:
            stale = pathlib.Path(name) / "stale"
            stale.write_text(f"{os.getpid()}\n")
            for path, message in ((f"{name}/none", "there is no pid file"), (str(stale), "no server has locked")):
                for flag in "--send-reload", "--send-upgrade":
                    status, errors = harness.end_command(self.begin(pidfile=path, flag=flag))
                    self.assertEqual(status, 2)
                    self.assertIn(message, errors)

    def test_one_request_per_command(self):
        status, errors = harness.end_command(harness.begin_command(HELLO, "--send-reload", "a", "--send-upgrade", "b"))
        self.assertIn("exclude each other", errors)
        self.assertEqual(status, 2)

    def test_another_user_may_not(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        with self.served() as server:
            status, errors = harness.end_command(self.begin(harness.need_program("setpriv"), "--reuid=65534", "--clear-groups"))
            self.assertEqual(status, 2)
            self.assertIn("runs as another user", errors)
            self.assertNotIn("requested by a command", server.log())
            self.assertEqual(harness.end_command(self.begin()), (0, ""))
            self.assertEqual(server.stop(), 0)

    def test_the_server_refuses_another_user_that_connects_by_itself(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        script = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('\\0' + sys.argv[1])\n"
                  "try: s.send(b'reload'); sys.exit(len(s.recv(100)))\nexcept (BrokenPipeError, ConnectionResetError): pass")
        with self.served() as server:
            name = f"prefork-{server.pid}-{os.stat(self.pidfile).st_ino}"
            for user, count in (65534, 0), (0, 1):  # as root, to show that the name is right
                done = subprocess.run([harness.need_program("setpriv"), f"--reuid={user}", "--clear-groups", sys.executable, "-c",
                                       script, name], check=False, timeout=20 * harness.PATIENCE)
                self.assertEqual(done.returncode > 0, count > 0)
                self.assertEqual(server.log().count("requested by a command"), count)
            self.assertEqual(server.stop(), 0)

    def test_the_command_refuses_a_process_that_is_not_the_server(self):
        with tempfile.TemporaryDirectory() as name, open(f"{name}/pid", "w+", encoding="ascii") as file, subprocess.Popen(
                ["/bin/sleep", "1000"]) as other, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            self.addCleanup(other.kill)
            print(other.pid, file=file, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
            listener.bind(f"\0prefork-{other.pid}-{os.fstat(file.fileno()).st_ino}")
            listener.listen()
            status, errors = harness.end_command(self.begin(pidfile=file.name))
            other.kill()
            self.assertEqual(status, 2)
            self.assertIn(f"the server with process id {other.pid} does not answer: Connection refused", errors)
            with listener.accept()[0] as connection:
                self.assertEqual(connection.recv(100), b"")

    def test_root_may_reload_the_server_of_any_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can start a server as another user")
        with tempfile.TemporaryDirectory() as name:
            os.chown(name, 65534, -1)
            prefix = harness.need_program("setpriv"), "--reuid=65534", "--clear-groups"
            with harness.Server([HELLO, "-p", f"{name}/pid", "--canary-time", "0"], prefix=prefix) as server:
                server.wait_for_serving(1)
                self.assertEqual(harness.end_command(self.begin(pidfile=f"{name}/pid")), (0, ""))
                self.assertIn("Reload done", server.log())
                self.assertEqual(server.stop(), 0)

    def test_more_commands_than_the_server_keeps_are_refused_with_the_reason(self):
        with self.served("--canary-time", "2s") as server:
            self.settings.write_text("[prefork]\n")
            results = [harness.end_command(command) for command in [self.begin() for _ in range(40)]]
            for status, errors in results:
                self.assertTrue((status, errors) == (0, "") or (status == 1 and "too many commands" in errors), (status, errors))
            self.assertIn((0, ""), results)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)

    def address(self, server):
        """The abstract socket of commands."""
        return f"\0prefork-{server.pid}-{os.stat(self.pidfile).st_ino}"

    def test_an_arbiter_without_free_descriptors_does_not_spin(self):
        with self.served() as server:
            server.wait_for_log("1 of 1 workers ready")
            limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            # Standard streams have the numbers below it: no other one is free, whatever the arbiter has just closed.
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.connect(self.address(server))
                client.send(b"reload")
                self.assertLess(cpu_share(server), 0.05)
                self.assertNotIn("requested by a command", server.log())
                resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
                client.settimeout(20 * harness.PATIENCE)
                self.assertEqual(client.recv(100)[:1], b"0")
            self.assertEqual(server.stop(), 0)

    def test_a_flood_of_connections_costs_little_and_a_command_gets_through(self):
        flood = ("import socket, sys\nprint(flush=True)\nwhile True:\n"
                 " with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:\n"
                 "  client.setblocking(False)\n  try: client.connect('\\0' + sys.argv[1])\n  except BlockingIOError: pass\n")
        with self.served() as server:
            command = [sys.executable, "-c", flood, self.address(server)[1:]]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as flooding:
                try:
                    flooding.stdout.readline()
                    self.assertLess(cpu_share(server, 2), 0.05)
                    for _ in range(3):
                        self.assertEqual(harness.end_command(self.begin()), (0, ""))
                finally:
                    flooding.kill()
            self.assertEqual(server.stop(), 0)


class Traced(harness.Case):
    TRACER = ("import ctypes, signal, sys\n"
              "print(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None), flush=True)\n"  # PTRACE_SEIZE
              "signal.pause()\n")

    def test_a_worker_that_a_debugger_has_not_reaped_does_not_keep_the_arbiter_busy(self):
        """Its pidfd is readable, and waitid(2) returns nothing."""
        with harness.Server([HELLO, "--canary-time", "0"]) as server:
            worker = server.wait_for_serving(1)[0]
            with subprocess.Popen([sys.executable, "-c", self.TRACER, str(worker)], stdout=subprocess.PIPE) as tracer:
                try:
                    if tracer.stdout.readline() != b"0\n":
                        self.skipTest("this process may not trace others")
                    os.kill(worker, signal.SIGKILL)
                    harness.wait_until(lambda: harness.start_time(worker) is None, "a zombie")
                    self.assertLess(cpu_share(server), 0.05)
                finally:
                    tracer.kill()
            server.wait_for_log(f"Worker (pid:{worker}) was killed")
            self.assertNotEqual(server.wait_for_serving(1), [worker])
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

"""Binary upgrades in place: no connection is lost, nothing is left behind, and a bad program changes nothing."""
import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

import harness
import test_notify as notify

APPS = pathlib.Path(__file__).resolve().parent / "apps"
HELLO = harness.program("http_hello")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: what an old arbiter leaves behind becomes a child of the test


def setUpModule():
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


class Process:
    """An arbiter that the test has not started, with the methods of Popen that harness.Server uses."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):  # a child of the old arbiter until that exits
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=None):
        deadline = time.monotonic() + (timeout or 60)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 60)
            time.sleep(0.002)
        return self.returncode


class Server(harness.Server):
    """A server whose arbiter changes: `process` is the one in charge."""

    def verdicts(self):
        return re.findall(r"Upgrade (\w+): .*verdict=\w+ new=(\d+)", self.log())

    def request_upgrade(self, expected="done", seconds=20):
        """USR2 to the arbiter; returns the pid of the new one once the verdict is there."""
        before = len(self.verdicts())
        self.process.send_signal(signal.SIGUSR2)
        harness.wait_until(lambda: len(self.verdicts()) > before, "a verdict", seconds)
        verdict, new = self.verdicts()[before]
        if verdict != expected:
            raise AssertionError(f"the upgrade is {verdict}, not {expected}")
        return int(new)

    def follow(self, new):
        """The arbiter in charge exits with status 0, and `new` is in charge."""
        self.workers()
        status = self.process.wait(20 * harness.PATIENCE)
        if status != 0:
            raise AssertionError(f"the old arbiter exits with status {status}")
        self.process = Process(new)
        self.workers()

    def upgrade(self):
        """A complete upgrade, automatic or manual, as the setting says."""
        old, new = self.pid, self.request_upgrade()
        if "mode=manual" in [line for line in self.log().splitlines() if f"new={new} mode=" in line][0]:
            self.process.send_signal(signal.SIGWINCH)
            harness.wait_until(lambda: harness.children(self.pid) == [new], "the old workers exit")
            self.process.send_signal(signal.SIGQUIT)
        self.follow(new)
        self.wait_for_promotion(new)
        self.wait_for_log(f"[{new}] [INFO] Old arbiter (pid:{old}) has exited")

    def wait_for_promotion(self, new):
        self.wait_for_log(f"[{new}] [INFO] Master has been promoted.")


def no_zombies(reap=False):
    """The pids of zombies that arbiters have left to the test."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that was joined may still be exiting
            found += pathlib.Path(f"/proc/self/task/{task}/children").read_text().split()
    zombies = [int(pid) for pid in found if harness.start_time(int(pid)) is None]
    for pid in zombies if reap else []:
        os.waitpid(pid, 0)
    return zombies


class Case(harness.Case):
    def setUp(self):
        no_zombies(reap=True)  # of a test that has failed, or has killed an arbiter


# For kept connections under load: a client that has no processor for a while finds its connection open.
PATIENT = ("--keep-alive", "60", "--drain-idle", "20")


class Lost(Case):
    """Load on new and on kept connections while the server is upgraded twice by each way."""

    def check(self, server):
        with harness.Load(server, clients=2) as single, harness.Load(server, clients=2, kept=True) as kept:
            for way in ("automatic", "automatic", "manual", "manual"):
                self.set_way(server, way)
                server.upgrade()
                single.wait_for(10)
                kept.wait_for(10)
        for load in single, kept:
            self.assertEqual(load.lost, [])
            self.assertEqual({answer.status for answer in load.served}, {200})
        self.assertEqual(server.stop(), 0)
        self.assertEqual(no_zombies(), [])

    def set_way(self, server, way):
        """By the file, which a reload reads."""
        self.file.write_text(f"[prefork]\nupgrade = {way}\n")
        server.reload()

    def serve(self, *flags, bind="tcp", fds=(), port=None):
        harness.need_files()
        with tempfile.TemporaryDirectory() as name:
            self.file = pathlib.Path(name) / "prefork.ini"
            self.file.write_text("[prefork]\n")
            with Server([HELLO, "--config", self.file, "--workers", "2", "--canary-time", "0", *PATIENT, *self.flags, *flags],
                        bind=bind, fds=fds) as server:
                if port:
                    server.port = port
                server.wait_for_log("2 of 2 workers ready")
                self.check(server)

    def test_nothing_on_a_socket_that_the_server_binds(self):
        self.serve()

    def test_nothing_on_reuseport_sockets(self):
        self.serve("--reuse-port")

    def test_nothing_on_a_socket_that_was_handed_over(self):
        with socket.create_server(("127.0.0.1", harness.free_port()), backlog=256) as listener:
            self.serve(bind=f"fd://{listener.fileno()}", fds=[listener.fileno()], port=listener.getsockname()[1])


harness.every_worker_class(Lost)
del Lost


class Dance(Case):
    """gunicorn's documented steps, with prefork-wsgi, whose default is upgrade = manual."""

    def start(self):
        return Server([harness.program("prefork-wsgi"), "sleeper:app", "--workers", "2", "--canary-time", "0"], cwd=APPS)

    def workers_of(self, pid, but=0):
        return [child for child in harness.children(pid) if child != but and "] serving" in harness.title(child)]

    def expect_workers(self, pid, count, but=0):
        harness.wait_until(lambda: len(self.workers_of(pid, but)) == count, f"{count} workers of {pid}")

    def begin(self, server):
        """USR2: both serve. WINCH: the old workers exit."""
        old = server.pid
        new = server.request_upgrade()
        self.expect_workers(old, 2, but=new)
        self.expect_workers(new, 2)
        os.kill(old, signal.SIGWINCH)
        self.expect_workers(old, 0, but=new)
        self.expect_workers(new, 2)
        return new

    def test_forward(self):
        for number in signal.SIGTERM, signal.SIGQUIT:
            with self.subTest(number), self.start() as server, harness.Load(server) as load:
                server.wait_for_serving(2)
                new = self.begin(server)
                self.assertNotIn("promoted", server.log())
                server.process.send_signal(number)
                server.follow(new)
                server.wait_for_promotion(new)
                load.wait_for(10)
                self.assertEqual(load.lost, [])
                load.over.set()
                self.assertEqual(server.stop(), 0)

    def test_back(self):
        with self.start() as server, harness.Load(server) as load:
            server.wait_for_serving(2)
            for number in signal.SIGTERM, signal.SIGQUIT:
                with self.subTest(number):
                    new = self.begin(server)
                    server.process.send_signal(signal.SIGHUP)
                    self.expect_workers(server.pid, 2, but=new)
                    # TERM lets the requests of the new workers finish; QUIT does not, so there is no load by then.
                    if number == signal.SIGQUIT:
                        load.over.set()
                        for client in load.clients:
                            client.join()
                    os.kill(new, number)
                    harness.wait_until(lambda pid=new: harness.start_time(pid) is None, "the new arbiter exits")
                    server.wait_for_log(f"New arbiter has exited, this one keeps serving: new arbiter (pid:{new})")
                    self.assertEqual(server.get().status, 200)
            self.assertEqual(load.lost, [])
            self.assertEqual(len(server.wait_for_serving(2)), 2)
            self.assertEqual(server.stop(), 0)

    def test_the_new_arbiter_takes_over_when_the_old_one_is_killed(self):
        with self.start() as server:
            server.wait_for_serving(2)
            new = server.request_upgrade()
            server.workers()
            server.process.kill()
            server.process.wait()
            server.process = Process(new)
            server.wait_for_promotion(new)
            self.assertEqual(server.get().status, 200)
            server.upgrade()
            self.assertEqual(server.stop(), 0)

    def test_one_upgrade_at_a_time(self):
        with self.start() as server:
            server.wait_for_serving(2)
            new = server.request_upgrade()
            server.request_upgrade("refused")
            server.wait_for_log(f"child exists: the new arbiter (pid:{new}) is ready")
            os.kill(new, signal.SIGUSR2)
            server.wait_for_log(f"parent exists: the old arbiter (pid:{server.pid}) has not stopped yet")
            self.assertEqual(harness.children(new), self.workers_of(new))
            server.process.send_signal(signal.SIGTERM)
            server.follow(new)
            self.assertEqual(server.stop(), 0)


class Bad(Case):
    """The program is replaced by one that cannot run: the old arbiter is unaffected."""
    flags = ("--workers", "2", "--canary-time", "0", *PATIENT)

    def check(self, replace, expected, *flags):
        with tempfile.TemporaryDirectory() as name:
            program = pathlib.Path(name) / "hello"
            program.symlink_to(HELLO)
            with Server([program, *self.flags, *flags], cwd=name) as server:
                server.wait_for_serving(2)
                with harness.Load(server, clients=2) as single, harness.Load(server, clients=2, kept=True) as kept:
                    program.unlink()
                    replace(program)
                    for _ in range(2):
                        began = time.monotonic()
                        server.request_upgrade("failed")
                        took = time.monotonic() - began
                        server.wait_for_log(expected)
                        self.assertLess(took, 5 * harness.PATIENCE)
                    self.assertIn("this arbiter keeps serving", server.log())
                    server.reload()
                    with contextlib.suppress(FileNotFoundError):
                        program.unlink()
                    program.symlink_to(HELLO)
                    server.upgrade()  # the next one works
                    self.assertEqual([verdict for verdict, _ in server.verdicts()], ["failed", "failed", "done"])
                    single.wait_for(10)
                    kept.wait_for(10)
                self.assertEqual(single.lost + kept.lost, [])
                self.assertEqual(server.stop(), 0)
        self.assertEqual(no_zombies(), [])

    @staticmethod
    def script(text):
        def write(path):
            path.write_text(text)
            path.chmod(0o755)
        return write

    def test_missing(self):
        self.check(lambda path: None, "No such file or directory")

    def test_no_program(self):
        self.check(self.script("this is no program\n"), "Exec format error")

    def test_not_executable(self):
        def write(path):
            path.write_text("#!/bin/sh\n")
            path.chmod(0o644)
        self.check(write, "Permission denied")

    def test_exits_with_an_error(self):
        self.check(self.script("#!/bin/sh\nexit 7\n"), "exited with status 7")

    def test_exits_without_one(self):
        self.check(self.script("#!/bin/sh\nexit 0\n"), "exited with status 0")

    def test_crashes(self):
        self.check(self.script("#!/bin/sh\nkill -SEGV $$\n"), "was ended by signal 11")

    def test_hangs(self):
        limit = 2 * harness.PATIENCE  # the next program has it, too
        self.check(self.script("#!/bin/sh\nexec sleep 1000\n"), f"was not ready within {limit:.1f} s (boot_timeout)",
                   "--boot-timeout", f"{limit}s")

    def test_cannot_bind(self):
        """Its reason reaches the verdict."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = "127.0.0.1:%d" % other.getsockname()[1]
            self.check(self.script(f"#!/bin/sh\nexec {HELLO} --bind {taken}\n"), f"exited with status 1: cannot listen on {taken}")


class Nothing(Case):
    """What 20 upgrades leave behind."""

    def environment_size(self, pid):
        """In bytes, as the kernel has it (proc_pid_stat(5)): the title is written over the strings themselves."""
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return int(fields[48]) - int(fields[47])

    def descriptors(self, server):
        """Of the arbiter, after the turn in which the line about the end of the upgrade was written: the second signal is
        logged when the turn of the first one is over."""
        for _ in range(2):
            before = server.log().count("Handling signal: usr1")
            server.send_signal(signal.SIGUSR1)
            harness.wait_until(lambda count=before: server.log().count("Handling signal: usr1") > count, "a turn")
        return harness.wait_for_quiet(lambda: harness.fd_count(server.pid))

    def test_no_descriptor_process_file_or_variable(self):
        with tempfile.TemporaryDirectory() as name:
            with Server([HELLO, "--workers", "1", "--canary-time", "0"], cwd=name, bind=f"unix:{name}/socket") as server:
                server.wait_for_log("1 of 1 workers ready")
                inode = os.stat(f"{name}/socket").st_ino
                server.upgrade()
                before = self.descriptors(server), self.environment_size(server.pid)
                self.assertGreater(before[1], 100)
                pids = []
                for _ in range(19):
                    pids += harness.tree(server.pid)
                    server.upgrade()
                self.assertEqual(self.descriptors(server), before[0])
                self.assertLess(abs(self.environment_size(server.pid) - before[1]), 20)  # pids and numbers of descriptors
                self.assertEqual([pid for pid in pids if harness.start_time(pid) is not None and
                                  pid not in harness.tree(server.pid)], [])
                worker = server.wait_for_workers(1)[0]
                self.assertEqual(os.stat(f"{name}/socket").st_ino, inode)
                self.assertEqual(os.listdir(name), ["socket"])
                self.assertEqual(server.get().status, 200)
                self.assertIsNotNone(harness.start_time(worker))
                self.assertEqual(no_zombies(), [])
                self.assertEqual(server.stop(), 0)
            self.assertEqual(os.listdir(name), [])

    def test_workers_do_not_see_the_variables_of_the_upgrade(self):
        with Server([harness.program("prefork-wsgi"), "surroundings:app", "--upgrade", "automatic", "--canary-time", "0"],
                    cwd=APPS) as server:
            server.wait_for_serving(1)
            server.upgrade()
            self.assertEqual(server.get().body, b"")
            self.assertEqual(server.stop(), 0)


class Generations(Case):
    """Old arbiters that still drain."""

    def test_they_do_not_block_the_next_upgrade_and_are_bounded(self):
        with Server([harness.program("prefork-wsgi"), "sleeper:app", "--upgrade", "automatic", "--canary-time", "0",
                     "--generations-max", "3", "--timeout", "100", "--graceful-timeout", "100", "-k", "sync"], cwd=APPS) as server:
            server.wait_for_serving(1)
            first, held, olds = server.pid, [], []
            for _ in range(2):  # each old arbiter has one request that does not end
                client = server.connect()
                client.send(b"GET /90 HTTP/1.1\r\nHost: x\r\n\r\n")
                held.append(client)
                harness.wait_until(lambda: server.log().count("sleeping") == len(held), "the request")
                new = server.request_upgrade()
                olds.append(server.process)
                server.workers()
                server.process = Process(new)
                server.wait_for_promotion(new)
                server.wait_for_serving(1)
            self.assertEqual([old.poll() for old in olds], [None, None])
            new = server.request_upgrade()  # the fourth: the first is aborted
            server.wait_for_log(f"Old arbiter (pid:{first}) still drains and is aborted")
            olds.append(server.process)
            server.process = Process(new)
            self.assertEqual(olds[0].wait(20 * harness.PATIENCE), 0)
            self.assertIsNone(olds[1].poll())
            held[1].socket.close()
            olds[1].send_signal(signal.SIGQUIT)
            for old in olds[1:]:  # reaped by the arbiter that it has replaced, or by the test
                harness.wait_until(lambda one=old: harness.start_time(one.pid) is None, "the old arbiters exit")
            self.assertNotIn("[ERROR]", server.log().replace("[ERROR] Worker", ""))
            held[0].socket.close()
            self.assertEqual(server.get("/0").status, 200)
            self.assertEqual(server.stop(), 0)


class Outside(Case):
    """What the outside sees of the change: the pid file, and the service manager."""

    def receive(self, manager):
        """The pid of the sender and the message."""
        manager.receive()
        return manager.messages[-1]

    def test_the_pid_file_names_the_arbiter_in_charge(self):
        with tempfile.TemporaryDirectory() as name:
            file, beside = pathlib.Path(name) / "pid", pathlib.Path(name) / "pid.2"
            with Server([HELLO, "--upgrade", "manual", "--canary-time", "0", "--pid", file]) as server:
                server.wait_for_log("1 of 1 workers ready")
                new = server.request_upgrade()
                self.assertEqual([int(file.read_text()), int(beside.read_text())], [server.pid, new])
                os.kill(new, signal.SIGQUIT)
                server.wait_for_log("New arbiter has exited")
                self.assertEqual([path.name for path in pathlib.Path(name).iterdir()], ["pid"])
                for _ in range(2):
                    server.upgrade()
                    self.assertEqual([path.name for path in pathlib.Path(name).iterdir()], ["pid"])
                    self.assertEqual(int(file.read_text()), server.pid)
                self.assertEqual(server.stop(), 0)
                self.assertEqual(list(pathlib.Path(name).iterdir()), [])

    def test_a_daemon_stays_one(self):
        """The new arbiter does not fork again: its pid is what the sockets were handed over to."""
        with tempfile.TemporaryDirectory() as name:
            file, log = pathlib.Path(name) / "pid", pathlib.Path(name) / "log"
            subprocess.run([HELLO, "--daemon", "--pid", file, "--error-logfile", log, "--canary-time", "0",
                            "--bind", f"unix:{name}/socket"], check=True, timeout=60 * harness.PATIENCE)
            for number in 1, 2:
                old = int(file.read_text())
                os.kill(old, signal.SIGUSR2)
                harness.wait_until(lambda: log.read_text().count("Master has been promoted.") == number, "a promotion")
                harness.wait_until(lambda pid=old: file.read_text() not in ("", f"{pid}\n"), "the pid file of the new arbiter")
                new = int(file.read_text())
                self.assertIn(f"event=upgrade_end verdict=done new={new}", log.read_text())
                harness.wait_until(lambda pid=old: harness.start_time(pid) is None, "the old arbiter exits")
            os.kill(new, signal.SIGTERM)
            harness.wait_until(lambda: not os.path.exists(f"{name}/socket") and harness.start_time(new) is None, "the end")

    def test_the_service_manager_gets_the_new_main_pid_from_the_old_arbiter(self):
        with tempfile.TemporaryDirectory() as name, notify.Manager() as manager:
            file = pathlib.Path(name) / "pid"
            with Server([HELLO, "--canary-time", "0", "--pid", file], env=manager.environment()) as server:
                sender, message = self.receive(manager)
                while "READY=1" not in message:
                    sender, message = self.receive(manager)
                self.assertEqual(sender, server.pid)
                for _ in range(2):
                    old, seen = server.pid, []
                    server.upgrade()
                    while not seen or f"MAINPID={server.pid}" not in seen[-1][1]:
                        seen.append(self.receive(manager))
                        self.assertEqual(seen[-1][0], old, seen)
                        self.assertNotIn("STOPPING", seen[-1][1])
                    self.assertEqual(int(file.read_text()), server.pid)
                    sender, message = self.receive(manager)
                    self.assertEqual((sender, "READY=1" in message), (server.pid, True), message)
                self.assertEqual(server.stop(), 0)

    def test_an_arbiter_that_is_stopped_too_early_names_the_new_one_all_the_same(self):
        with tempfile.TemporaryDirectory() as name, notify.Manager() as manager:
            program = pathlib.Path(name) / "hello"
            program.symlink_to(HELLO)
            with Server([program, "--canary-time", "0"], env=manager.environment()) as server:
                server.wait_for_log("1 of 1 workers ready")
                program.unlink()
                program.write_text("#!/bin/sh\nexec sleep 1000\n")
                program.chmod(0o755)
                server.process.send_signal(signal.SIGUSR2)
                server.wait_for_log("Upgrade: new arbiter")
                new = int(re.search(r"Upgrade: new arbiter .pid:(\d+)", server.log())[1])
                server.process.send_signal(signal.SIGTERM)
                server.wait_for_log("Upgrade stopped: this arbiter stops; the new one continues by itself")
                sender, message = self.receive(manager)
                while "MAINPID" not in message:
                    self.assertNotIn("STOPPING", message)
                    sender, message = self.receive(manager)
                self.assertIn(f"MAINPID={new}", message)
                self.assertEqual(sender, server.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(new, signal.SIGKILL)
                self.assertEqual(server.wait(), 0)


class Command(Case):
    """--send-upgrade: the verdict as an exit status."""

    @contextlib.contextmanager
    def served(self, *flags):
        with tempfile.TemporaryDirectory() as name:
            self.pidfile, self.program = f"{name}/pid", pathlib.Path(name) / "hello"
            self.program.symlink_to(HELLO)
            with Server([self.program, "--pid", self.pidfile, "--canary-time", "0", *flags]) as server:
                server.wait_for_serving(1)
                yield server

    def begin(self):
        return harness.begin_command(HELLO, "--send-upgrade", self.pidfile)

    def test_done(self):
        with self.served() as server:
            for _ in range(2):
                before = len(server.verdicts())
                self.assertEqual(harness.end_command(self.begin()), (0, ""))
                verdict, new = server.verdicts()[before]
                self.assertEqual(verdict, "done")
                server.follow(int(new))
                harness.wait_until(lambda: server.log().count("Master has been promoted.") > before, "the promotion")
            self.assertIn("Upgrade requested by a command", server.log())
            self.assertEqual(server.stop(), 0)

    def test_a_new_program_that_is_missing(self):
        with self.served() as server:
            self.program.unlink()
            status, errors = harness.end_command(self.begin())
            self.assertEqual(status, 1)
            self.assertRegex(errors, "upgrade failed: .*No such file or directory; this arbiter keeps serving")
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)

    def test_another_one_under_way_is_unaffected_by_the_refusal(self):
        with self.served("--canary-time", "30s", "--upgrade", "manual") as server:
            first = self.begin()
            server.wait_for_log("Upgrade: new arbiter")
            new = int(re.search(r"Upgrade: new arbiter .pid:(\d+)", server.log())[1])
            status, errors = harness.end_command(self.begin())
            self.assertEqual(status, 1)
            self.assertRegex(errors, f"upgrade refused: child exists: the new arbiter .pid:{new}. is (booting|proving)")
            self.assertIsNone(first.poll())
            server.process.send_signal(signal.SIGUSR2)  # neither by a signal
            harness.wait_until(lambda: len(server.verdicts()) == 2, "the second refusal")
            self.assertIsNone(first.poll())
            os.kill(new, signal.SIGKILL)
            status, errors = harness.end_command(first)
            self.assertEqual(status, 1)
            self.assertRegex(errors, "upgrade failed: .*was ended by signal 9")
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

"""State inherited from the starter of the process, or set by an application in the arbiter: signals, limits, environment."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import harness

APPS = pathlib.Path(__file__).resolve().parent / "apps"
WSGI = harness.program("prefork-wsgi")


class FatalSignals(harness.Case):
    """Signals that end a process by default, and that Python ignores."""

    def serve(self, *flags):
        with harness.Server([WSGI, "pipes:app", *flags], cwd=APPS) as server:
            expected = b"socket pipe " * 3 + b"[True, True]"
            self.assertEqual(server.get().body, expected)
            server.send_signal(signal.SIGPIPE)
            server.send_signal(signal.SIGXFSZ)
            server.send_signal(signal.SIGTTIN)
            server.wait_for_serving(2)
            self.assertEqual(server.stop(), 0)

    def test_a_preloaded_application_may_write_to_closed_pipes(self):
        self.serve("--preload")

    def test_an_application_loaded_in_workers_may_write_to_closed_pipes(self):
        self.serve()

    def test_a_log_at_the_file_size_limit_loses_lines_only(self):
        limit = ("/bin/sh", "-c", 'ulimit -f 6; exec "$@"', "sh")
        with harness.Server([WSGI, "pipes:app", "--preload"], cwd=APPS, prefix=limit) as server:
            for _ in range(10):
                server.send_signal(signal.SIGTTIN)
                server.wait_for_serving(2)
                server.send_signal(signal.SIGTTOU)
                server.wait_for_serving(1)
            self.assertEqual(os.fstat(server.output.fileno()).st_size, 3072)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)


class Blocked(harness.Case):
    """A signal mask survives exec: like nginx and HAProxy, the server unblocks the signals that it handles."""

    def test_signals_that_the_starter_blocked_are_handled(self):
        prefix = (harness.need_program("env"), "--block-signal=TERM,HUP,TTIN")
        with harness.Server([WSGI, "pipes:app"], cwd=APPS, prefix=prefix) as server:
            server.send_signal(signal.SIGTTIN)
            server.wait_for_serving(2)
            server.reload()
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)


class Environment(harness.Case):
    """Variables of service managers that are meant for one process."""

    def serve(self, *flags):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "127.0.0.1:%d" % listener.getsockname()[1]
            variables = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "NOTIFY_SOCKET": "/nowhere",
                    "WATCHDOG_USEC": "1", "FDSTORE": "4", "WATCHDOG_PID": "1", "SERVER_STARTER_PORT": "",
                    "PREFORK_FDS": f"{address}={listener.fileno()}"}
            with harness.Server([WSGI, "surroundings:app", *flags], bind=address, cwd=APPS, env=variables,
                                fds=[listener.fileno()]) as server:
                server.port = int(address.rpartition(":")[2])
                self.assertEqual(server.get().body, b"")
                self.assertIn("inherited as", server.log())
                self.assertEqual(server.stop(), 0)

    def test_a_preloaded_application_does_not_see_them(self):
        self.serve("--preload")

    def test_an_application_loaded_in_workers_does_not_see_them(self):
        self.serve()


class Symlink(harness.Case):
    """`current` is a symbolic link to the release in use."""

    def release(self, directory, name):
        (directory / name).mkdir()
        (directory / name / "where.py").write_text(
            "import os\n"
            "def app(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            f"    return [b'{name} ' + os.getcwd().encode()]\n")
        (directory / name / "prefork.ini").write_text("[prefork]\ncanary_time = 0\n")
        with contextlib.suppress(FileNotFoundError):
            (directory / "current").unlink()
        (directory / "current").symlink_to(name)

    def test_a_reload_starts_in_the_current_release(self):
        harness.need_files()
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(os.path.realpath(name))
            current = directory / "current"
            self.release(directory, "one")
            with harness.Server([WSGI, "where:app", "-c", "prefork.ini"], cwd=current, env={"PWD": str(current)}) as server:
                self.assertEqual(server.get().body, f"one {directory}/one".encode())
                self.release(directory, "two")
                server.reload()
                self.assertEqual(server.get().body, f"two {directory}/two".encode())
                shutil.rmtree(directory / "one")  # removes the release in use, without a reload
                shutil.rmtree(directory / "two")
                self.release(directory, "three")
                os.kill(server.workers()[0], signal.SIGKILL)
                server.wait_for_log("was removed: its next workers start in the directory that has the name now")
                server.wait_for_serving(1)
                self.assertEqual(server.get().body, f"three {directory}/three".encode())
                current.unlink()
                server.reload("failed")  # its prefork.ini is removed, too
                self.assertEqual(server.get().status, 200)


    def test_python_of_the_arbiter_follows_when_the_first_release_was_removed(self):
        """A configuration file, which names a directory, and the class of a logger."""
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(os.path.realpath(name))
            current = directory / "current"

            def release(name):
                self.release(directory, name)
                (directory / name / "own.py").write_text("from gunicorn.glogging import Logger\n")
                (directory / name / "conf.py").write_text(
                    f"chdir = '.'\npythonpath = 'lib'\nlogger_class = 'own.Logger'\nraw_env = ['RELEASE={name}']\n")

            release("one")
            with harness.Server([WSGI, "where:app", "-c", "conf.py"], cwd=current, env={"PWD": str(current)}) as server:
                self.assertEqual(server.get().body, f"one {directory}/one".encode())
                for name, before in ("two", "one"), ("three", "two"):
                    release(name)
                    shutil.rmtree(directory / before)
                    server.reload()
                    self.assertEqual(server.get().body, f"{name} {directory}/{name}".encode())


class NameServer(harness.Case):
    """A name server that never replies: a socket that is not read, in a new network namespace."""
    SWALLOW = ("import os, socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 53)); "
               "s.set_inheritable(True); os.execv(sys.argv[1], sys.argv[1:])")
    SETTINGS = "[prefork]\nlookup_timeout = {limit}\ntimeout = 500ms\nworkers = 2\nbind = unix:{directory}/socket"

    def serve(self, directory, *arguments):
        unshare = harness.need_program("unshare")
        harness.need_program("ip")
        if subprocess.run([unshare, "-n", "-m", "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("this user may not create a network namespace")
        script = f'ip link set lo up && mount --bind {directory}/resolv.conf /etc/resolv.conf && exec "$@"'
        prefix = (unshare, "-n", "-m", "/bin/sh", "-c", script, "sh", sys.executable, "-c", self.SWALLOW)
        server = harness.Server([WSGI, *arguments], bind=None, cwd=directory, prefix=prefix)
        server.path, server.wait_for_it = f"{directory}/socket", True
        return server

    def test_a_silent_name_server_delays_only_the_reload(self):
        harness.need_files()
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)

            def write(limit, more=""):
                (directory / "prefork.ini").write_text(self.SETTINGS.format(limit=limit, directory=directory) + more + "\n")

            (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
            (directory / "slow.py").write_text("import time\ndef app(environ, start_response):\n    time.sleep(30)\n")
            write("1m")
            with self.serve(directory, "slow:app", "-c", "prefork.ini") as server:
                first = server.wait_for_serving(2)
                write("1m", ", new.example:8000")  # all that follows takes less
                server.send_signal(signal.SIGHUP)
                server.wait_for_log("looks up the host name new.example")
                os.kill(first[0], signal.SIGKILL)
                server.wait_for_log("event=worker_exit")
                # The process that looks up the name is a child of the arbiter, too.
                harness.wait_until(lambda: any(harness.title(pid).endswith("] serving")
                                               for pid in set(server.workers()) - set(first)), "another worker")
                with server.connect() as stuck:
                    stuck.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    server.wait_for_log("WORKER TIMEOUT")
                self.assertNotIn("Reload ", server.log(), "it waits")
                write("1s", ", new.example:8000")
                server.send_signal(signal.SIGHUP)
                server.wait_for_log("Reload superseded")
                server.wait_for_log("Reload failed: no name server has responded for the host name new.example within 1.0 s")
                write("1m", ", new.example:8000")
                server.send_signal(signal.SIGHUP)
                harness.wait_until(lambda: server.log().count("looks up the host name") == 3, "another look-up")
                server.send_signal(signal.SIGTERM)
                server.wait_for_log("Shutting down: Master")
                server.send_signal(signal.SIGINT)
                server.wait_for_log("Reload stopped")  # not "Reload failed", after the time limit
                self.assertEqual(server.wait(), 0)
                self.assertEqual(server.log().count("Reload "), 3)

    def test_a_reload_that_waits_keeps_its_hooks_when_the_one_before_is_done(self):
        # The first reload is done while the name is resolved for the second one.
        conf = (f"bind = 'unix:{{}}/socket'\ncanary_time = 0\nlookup_timeout = '{6 * harness.PATIENCE}s'\nimport os\n"
                "def post_fork(server, worker):\n    os.environ['HOOK'] = 'called'\n")
        app = ("import os, time\n"
               "while not os.path.exists('go'):\n    time.sleep(0.01)\n"
               "def app(environ, start_response):\n"
               "    start_response('200 OK', [])\n"
               "    return [os.environ.get('HOOK', 'not called').encode()]\n")
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
            (directory / "conf.py").write_text(conf.format(directory))
            (directory / "slow.py").write_text(app)
            (directory / "go").touch()
            with self.serve(directory, "slow:app", "-c", "conf.py") as server:
                first = server.wait_for_serving(1)
                (directory / "go").unlink()
                server.send_signal(signal.SIGHUP)
                server.wait_for_log("generation=2", 20)
                (directory / "conf.py").write_text(conf.format(directory) + "statsd_host = 'new.example:8125'\n")
                server.send_signal(signal.SIGHUP)
                server.wait_for_log("looks up the host name new.example", 20)
                (directory / "go").touch()
                server.wait_for_exit(first)
                self.assertNotIn("Host name new.example has no address", server.log(), "the other reload waits")
                harness.wait_until(lambda: server.log().count("verdict=done") == 2, "both reloads", 20)
                harness.wait_until(lambda: len(server.workers()) == 1, "the exit of the others", 20)
                self.assertEqual(server.get("/").body, b"called")


if __name__ == "__main__":
    harness.main()

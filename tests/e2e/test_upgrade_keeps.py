#!/usr/bin/python3
"""What stays as it was through binary upgrades: environment, sockets of other programs, kept connections, the watchdog."""
import concurrent.futures
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading

import harness
import test_drain as drain
import test_notify as notify
import test_upgrade as upgrade

HELLO = upgrade.HELLO
setUpModule = upgrade.setUpModule

# It changes the environment of the arbiter, as it is loaded before the fork.
CHANGES = """
import os
found = [os.environ.get(name, "-") for name in ("MARK", "ADDED")]
os.environ.update(MARK="changed", ADDED="too")
del os.environ["PATH"]
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(found).encode()]
"""


class Start(upgrade.Case):
    """The new program has what the first was started with."""

    def test_links_are_followed_anew(self):
        """`current` is a link to the release; directory and program are those of the moment of the upgrade."""
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(os.path.realpath(name))
            for release in "one", "two":
                (root / release).mkdir()
                (root / release / "hello").symlink_to(HELLO)
            (root / "current").symlink_to("one")
            current = root / "current"
            with upgrade.Server(["./hello", "--workers", "1", "--canary-time", "0", "--name", "a b"], cwd=current,
                        env={"PWD": str(current), "MARK": "first"}) as server:
                server.wait_for_log("1 of 1 workers ready")
                (root / "next").symlink_to("two")
                (root / "next").rename(current)
                server.upgrade()
                self.assertEqual(os.readlink(f"/proc/{server.pid}/cwd"), str(root / "two"))
                self.assertIn("a b: arbiter", harness.title(server.pid))
                self.assertIn("started from ./hello", server.log())
                self.assertEqual(server.stop(), 0)

    def test_a_directory_that_is_gone_fails_the_upgrade(self):
        with tempfile.TemporaryDirectory() as name:
            release = pathlib.Path(os.path.realpath(name)) / "release"
            release.mkdir()
            with upgrade.Server([HELLO, "--canary-time", "0"], cwd=release, env={"PWD": str(release)}) as server:
                server.wait_for_log("1 of 1 workers ready")
                release.rmdir()
                server.request_upgrade("failed")
                server.wait_for_log(f"cannot change to the working directory of the start, {release}: No such file or directory")
                self.assertEqual(server.get().status, 200)
                release.mkdir()
                server.upgrade()
                self.assertEqual(os.readlink(f"/proc/{server.pid}/cwd"), str(release))
                self.assertEqual(server.stop(), 0)

    def test_process_1_is_not_replaced(self):
        unshare = harness.need_program("unshare")
        probe = subprocess.run([unshare, "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False)
        if probe.returncode != 0:
            self.skipTest("no pid namespace here: " + probe.stderr.decode().strip())
        with harness.Server([HELLO, "--workers", "1"], prefix=(unshare, "--pid", "--fork", "--kill-child", "--mount-proc")) as server:
            server.wait_for_log("1 of 1 workers ready")
            first = harness.children(server.pid)[0]
            os.kill(first, signal.SIGUSR2)
            server.wait_for_log("Upgrade refused: process 1 cannot be replaced")
            self.assertEqual(server.get().status, 200)
            os.kill(first, signal.SIGTERM)
            self.assertEqual(server.wait(), 0)

    def test_the_environment_is_that_of_the_start(self):
        with self.directory(changes_py=CHANGES) as directory, upgrade.Server(
                [harness.program("prefork-wsgi"), "changes:app", "--preload", "--upgrade", "automatic", "--canary-time", "0"],
                cwd=directory, env={"MARK": "first"}) as server:
            for _ in range(3):
                server.wait_for_serving(1)
                self.assertEqual(server.get().body, b"first -")
                server.upgrade()
            self.assertEqual(server.stop(), 0)

    def test_a_socket_that_another_program_has_bound_is_left_to_it(self):
        with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
            path = f"{name}/socket"
            listener.bind(path)
            listener.listen(16)
            with upgrade.Server([HELLO, "--canary-time", "0"], bind=f"fd://{listener.fileno()}",
                                fds=[listener.fileno()]) as server:
                server.path = path
                for _ in range(2):
                    server.wait_for_log("1 of 1 workers ready")
                    server.upgrade()
                    self.assertEqual(server.get().status, 200)
                self.assertEqual(server.stop(), 0)
            self.assertTrue(os.path.exists(path))
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                listener.accept()[0].close()


@harness.every_worker_class
class Kept(upgrade.Case):
    def serve(self, *flags):
        return upgrade.Server([HELLO, *self.flags, "--keep-alive", "60", "--canary-time", "0", *flags])

    def test_a_request_on_a_kept_connection_is_served_while_the_old_arbiter_drains(self):
        with self.serve("-w", "2", "--drain-idle", str(drain.DRAIN_IDLE)) as server:
            server.wait_for_serving(2)
            kept = [drain.Kept(server) for _ in drain.MOMENTS]
            threads = [threading.Thread(target=client.ask_until_closed, args=(moment, 0.2))
                       for client, moment in zip(kept, drain.MOMENTS)]
            new = server.request_upgrade()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([client.error for client in kept if client.error], [])
            server.follow(new)
            self.assertEqual(server.stop(), 0)

    def test_quit_does_not_wait_for_kept_connections(self):
        with self.serve("--upgrade", "manual", "--drain-idle", "1h", "--graceful-timeout", "0") as server:
            server.wait_for_serving(1)
            with drain.Kept(server) as kept:
                new = server.request_upgrade()
                server.process.send_signal(signal.SIGQUIT)
                self.assertEqual(kept.client.read_all(), b"")
            server.follow(new)
            self.assertEqual(server.stop(), 0)


class Watchdog(upgrade.Case):
    def test_the_new_arbiter_goes_on_though_the_variable_names_the_first_process(self):
        prefix = "/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"
        with notify.Manager() as manager, upgrade.Server([HELLO, "--canary-time", "0"], prefix=prefix,
                                                         env=manager.environment(WATCHDOG_USEC="400000")) as server:
            manager.wait_for("WATCHDOG=1")
            for _ in range(2):
                old = server.pid
                # Read all the time: the queue has space for 10 messages, and pings may fill it before the upgrade is done.
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    upgraded = pool.submit(server.upgrade)
                    manager.wait_for("MAINPID=")
                    upgraded.result()
                self.assertEqual(manager.messages[-1][0], old)
                for _ in range(3):
                    manager.wait_for("WATCHDOG=1")
                    self.assertEqual(manager.messages[-1][0], server.pid)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

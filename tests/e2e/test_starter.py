"""What the process gets from its starter, or from the application in the arbiter: signals, limits, environment."""
import pathlib
import signal
import socket

import harness

APPS = pathlib.Path(__file__).resolve().parent / "apps"
WSGI = harness.program("prefork-wsgi")


class Deadly(harness.Case):
    """Signals whose default action ends a process, and that Python ignores."""

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

    def test_so_may_one_that_the_workers_load(self):
        self.serve()

    def test_a_log_that_reaches_the_limit_of_file_sizes_costs_lines_only(self):
        limit = ("/bin/sh", "-c", 'ulimit -f 6; exec "$@"', "sh")
        with harness.Server([WSGI, "pipes:app", "--preload"], cwd=APPS, prefix=limit) as server:
            for _ in range(10):
                server.send_signal(signal.SIGTTIN)
                server.wait_for_serving(2)
                server.send_signal(signal.SIGTTOU)
                server.wait_for_serving(1)
            self.assertEqual(len(server.log()), 3072)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)


class Blocked(harness.Case):
    """A signal mask survives exec: nginx and HAProxy unblock what they handle."""

    def test_signals_that_the_starter_blocked_are_handled(self):
        prefix = (harness.need_program("env"), "--block-signal=TERM,HUP,TTIN")
        with harness.Server([WSGI, "pipes:app"], cwd=APPS, prefix=prefix) as server:
            server.send_signal(signal.SIGTTIN)
            server.wait_for_serving(2)
            server.send_signal(signal.SIGHUP)
            server.wait_for_log("Reload done")
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(), 0)


class Environment(harness.Case):
    """What service managers say to one process, for that process alone."""

    def serve(self, *flags):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "127.0.0.1:%d" % listener.getsockname()[1]
            told = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "NOTIFY_SOCKET": "/nowhere",
                    "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "SERVER_STARTER_PORT": "",
                    "PREFORK_FDS": f"{address}={listener.fileno()}"}
            with harness.Server([WSGI, "surroundings:app", *flags], bind=address, cwd=APPS, env=told,
                                fds=[listener.fileno()]) as server:
                server.port = int(address.rpartition(":")[2])
                self.assertEqual(server.get().body, b"")
                self.assertIn("handed over", server.log())
                self.assertEqual(server.stop(), 0)

    def test_a_preloaded_application_does_not_see_it(self):
        self.serve("--preload")

    def test_nor_does_one_that_the_workers_load(self):
        self.serve()


if __name__ == "__main__":
    harness.main()

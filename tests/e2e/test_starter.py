"""What the process gets from its starter, or from the application in the arbiter: signals, limits, environment."""
import pathlib
import signal

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


if __name__ == "__main__":
    harness.main()

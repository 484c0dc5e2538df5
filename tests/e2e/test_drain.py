#!/usr/bin/python3
"""Kept connections while workers drain: the setting drain_idle, under a reload, recycling, a scale-down and a stop."""
import contextlib
import pathlib
import signal
import threading
import time

import harness

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
DRAIN_IDLE = 10 * harness.PATIENCE  # at most 22.5 s, by graceful_timeout
GRACEFUL = 3 * harness.PATIENCE  # a quarter of it is what a stalled worker has between drain_idle and the abort
MOMENTS = [number * 0.1 for number in range(8)]  # after the signal, in seconds: well within drain_idle


class Kept:
    """A client with one response, on a connection that the server keeps."""

    def __init__(self, server, client=None):
        self.client = client or server.connect(seconds=30)
        self.responses, self.error = [], None
        self.ask()

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.client.socket.close()

    def ask(self):
        self.client.send(REQUEST)
        self.responses.append(self.client.read_response())
        return self.responses[-1].headers.get("connection", "").lower() == "close"

    def ask_until_closed(self, moment, period):
        """Ask at `moment` and then again every `period`, until the server announces the end; read the end."""
        try:
            time.sleep(moment)
            while not self.ask():
                time.sleep(period)
            if self.client.read_all() != b"":
                raise AssertionError("bytes after the last response")
        except (OSError, AssertionError) as error:
            self.error = f"{error!r} after {len(self.responses)} responses"
        finally:
            self.client.socket.close()


def is_accepted(server, client):
    """Whether a process has accepted this connection: in /proc/net/tcp it has an inode then, before that it has 0."""
    def address(port):
        return f"0100007F:{port:04X}"
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
    wanted = [address(server.port), address(client.socket.getsockname()[1])]
    return any(row[1:3] == wanted and row[9] != "0" for row in rows[1:])


def kept_in_each(server, workers):
    """Kept connections, of which each of these workers has at least one: who accepts is up to the kernel."""
    before, kept = [harness.fd_count(pid) for pid in workers], []
    while len(kept) < 1000:
        kept += [Kept(server, client) for client in [server.connect(seconds=30) for _ in range(20)]]
        if all(harness.fd_count(pid) > count for pid, count in zip(workers, before)):
            return kept
    raise AssertionError("one worker has accepted all connections")


@harness.every_worker_class
class Drain(harness.Case):
    def serve(self, *flags):
        return harness.Server([harness.program("http_hello"), *self.flags, "--keep-alive", "60", "--canary-time", "0.1",
                               "--drain-idle", str(DRAIN_IDLE), *flags])

    def check(self, server, act):
        """Clients on kept connections that ask at different moments of a drain: no response is missing."""
        kept = [Kept(server) for _ in MOMENTS for _ in range(2)]
        threads = [threading.Thread(target=client.ask_until_closed, args=(MOMENTS[number % len(MOMENTS)], 0.2))
                   for number, client in enumerate(kept)]
        act()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([client.error for client in kept if client.error], [])
        self.assertEqual({response.status for client in kept for response in client.responses}, {200})

    def test_no_kept_connection_loses_a_request(self):
        for flags in (), ("--reuse-port",):
            with self.subTest(flags=flags), self.serve("-w", "2", *flags) as server:
                first = server.wait_for_serving(2)
                self.check(server, lambda: server.send_signal(signal.SIGHUP))
                server.wait_for_log("Reload done")
                server.wait_for_exit(first)
                self.check(server, lambda: server.send_signal(signal.SIGTERM))
                self.assertEqual(server.wait(), 0)
                self.assertEqual([line for line in server.log().splitlines() if "[ERROR]" in line or "[CRITICAL]" in line], [])

    def test_a_worker_that_is_recycled_or_scaled_down_serves_kept_connections(self):
        with self.serve("-w", "1", "--max-requests", "10") as server:
            old = server.wait_for_serving(1)
            with Kept(server) as kept:
                while server.workers() == old:
                    self.assertEqual(server.get().status, 200)
                harness.wait_until(lambda: harness.title(old[0]).endswith("draining"), "the old worker drains")
                self.assertTrue(kept.ask())
                self.assertEqual(kept.client.read_all(), b"")
            self.assertEqual(server.stop(signal.SIGINT), 0)
        with self.serve("-w", "2") as server:
            workers = server.wait_for_serving(2)
            with contextlib.ExitStack() as stack:
                kept = [stack.enter_context(one) for one in kept_in_each(server, workers)]
                server.send_signal(signal.SIGTTOU)
                harness.wait_until(lambda: any(harness.title(pid).endswith("draining") for pid in workers), "one drains")
                self.assertTrue(any([client.ask() for client in kept]))
            self.assertEqual(server.stop(signal.SIGINT), 0)

    def test_idle_connections_do_not_prolong_a_drain(self):
        """They are closed after drain_idle, and before graceful_timeout would abort the worker."""
        for flags, least in ((("--drain-idle", "0.5"), 0.5), (("--graceful-timeout", str(GRACEFUL)), GRACEFUL * 0.75)):
            with self.subTest(flags=flags), self.serve("-w", "1", *flags) as server, contextlib.ExitStack() as stack:
                kept = [stack.enter_context(Kept(server)) for _ in range(3)]
                began = time.monotonic()
                server.send_signal(signal.SIGHUP)
                for idle in kept:
                    self.assertEqual(idle.client.read_all(), b"")
                self.assertGreater(time.monotonic() - began, least)
                server.wait_for_log("Reload done")
                self.assertNotIn("graceful_timeout", server.log())
                self.assertEqual(server.stop(), 0)
                self.assertNotIn("[CRITICAL]", server.log())

    def test_a_reload_that_shortens_graceful_timeout_applies_to_old_workers(self):
        harness.need_files()
        flags = "-w", "1", "--drain-idle", "60", "--header-timeout", "20", "--defer-accept", "off"
        with self.directory(server_ini="[prefork]\ngraceful_timeout = 60\n") as directory, self.serve(
                *flags, "--config", str(directory / "server.ini")) as server, Kept(server) as kept:
            server.wait_for_serving(1)
            with server.connect(seconds=30) as silent:
                harness.wait_until(lambda: is_accepted(server, silent), "the old worker accepts it")
                (directory / "server.ini").write_text(f"[prefork]\ngraceful_timeout = {GRACEFUL}\n")
                server.send_signal(signal.SIGHUP)
                self.assertEqual(kept.client.read_all(), b"")
                self.assertEqual(silent.read_all(), b"")
            server.wait_for_log("Reload done")
            self.assertNotIn("[CRITICAL]", server.log())
            self.assertEqual(server.stop(), 0)

    def test_a_quick_stop_does_not_wait(self):
        with self.serve("-w", "1", "--drain-idle", "1h", "--graceful-timeout", "0") as server, Kept(server) as kept:
            self.assertEqual(server.stop(signal.SIGQUIT), 0)
            self.assertEqual(kept.client.read_all(), b"")


if __name__ == "__main__":
    harness.main()

"""--statsd-host: metrics as datagrams, exactly one set for each response, and receivers that are gone delay nothing."""
import collections
import contextlib
import os
import re
import signal
import socket
import tempfile
import threading
import unittest

import harness

HELLO = harness.program("http_hello")
LINE = re.compile(r"([\w.-]+):([\d.]+)\|(c|g|ms|h)(?:\|#(.*))?")


class Receiver:
    """Metrics by name: sums of counters, lists of values of the others."""

    def __init__(self, where=("127.0.0.1", 0)):
        self.counts, self.values, self.sizes, self.tags = collections.Counter(), collections.defaultdict(list), [], set()
        self.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(where)
        self.socket.setblocking(False)
        self.address = f"unix:{where}" if isinstance(where, str) else "localhost:%d" % self.socket.getsockname()[1]

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram = self.socket.recv(65536).decode()
                self.sizes.append(len(datagram))
                for line in datagram.split("\n"):
                    name, value, kind, tags = LINE.fullmatch(line).groups()
                    self.tags.add(tags)
                    if kind == "c":
                        self.counts[name] += int(value)
                    else:
                        self.values[name].append(float(value))
        return self

    def wait_for(self, name, count):
        harness.wait_until(lambda: self.read().counts[name] >= count, f"{name} {count}")

    def close(self):
        self.socket.close()


class Statsd(harness.Case):
    @contextlib.contextmanager
    def served(self, receiver, *flags, program=HELLO, cwd=None):
        with harness.Server([program, *self.flags, "--statsd-host", receiver.address, *flags], cwd=cwd) as server:
            yield server
        receiver.close()


def send(server, count):
    for _ in range(count):
        if server.get("/").status >= 300:
            raise AssertionError("an error response")


def send_kept(server, count):
    """On one connection, or several if the server closes it."""
    client = None
    for _ in range(count):
        client = client or server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        if client.read_response().headers.get("connection") == "close":
            client.socket.close()
            client = None
    if client:
        client.socket.close()


@harness.every_worker_class
class Counts(Statsd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.flags and cls.flags[1] in harness.LOOPS:
            raise unittest.SkipTest("http_hello has no loop of Python: see class Python")

    def test_each_response_once_across_a_reload_and_a_stop(self):
        receiver = Receiver()
        with self.served(receiver, "--workers", "2", "--keep-alive", "5", "--statsd-prefix", "shop..",
                         "--dogstatsd-tags", "env:test,a:b", "--canary-time", "10ms") as server:
            server.wait_for_serving(2)
            clients = [threading.Thread(target=send_kept, args=(server, 300)) for _ in range(4)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            with server.connect() as client:  # without a handler, and without a complete header
                client.send(b"GET / HTTP/1.1\r\n\r\n")
                client.read_all()
            receiver.wait_for("shop.prefork.requests", 1201)  # without a stop, within a second
            harness.wait_until(lambda: receiver.read().values["shop.prefork.workers"][-1:] == [2], "the gauge")
            server.reload()
            send(server, 7)
            self.assertEqual(server.stop(), 0)
            receiver.read()
        self.assertEqual(receiver.counts["shop.prefork.requests"], 1208)
        self.assertEqual(receiver.counts["shop.prefork.request.status.200"], 1207)
        self.assertEqual(receiver.counts["shop.prefork.request.status.400"], 1)
        durations = receiver.values["shop.prefork.request.duration"]
        self.assertEqual(len(durations), 1208)
        self.assertEqual(min(durations), 0)  # of the header that was refused
        self.assertLess(max(durations), 60000)
        self.assertEqual(receiver.values["shop.prefork.workers"][-1], 0)
        self.assertEqual(receiver.tags, {"env:test,a:b"})
        self.assertLessEqual(max(receiver.sizes), 1432)
        self.assertLess(len(receiver.sizes), 400)  # several in each

    def test_a_receiver_that_starts_late_and_restarts(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            path = f"{directory}/statsd"
            with harness.Server([HELLO, *self.flags, "--statsd-host", f"unix://{path}"]) as server:
                send(server, 5)
                server.wait_for_log("event=statsd_failed")
                receiver = Receiver(path)
                os.chmod(path, 0o777)
                for count in 3, 4:
                    receiver.read()  # what was under way from before
                    before = receiver.counts["prefork.requests"]
                    harness.wait_until(lambda: (send(server, 1), receiver.read().counts["prefork.requests"])[1] > before,
                                       "metrics")
                    receiver.close()
                    os.unlink(path)
                    send(server, count)
                    receiver = Receiver(path)
                    os.chmod(path, 0o777)
                self.assertEqual(server.stop(), 0)
                receiver.close()
                self.assertEqual(server.log().count("statsd"), 2)  # in one line

    def test_receivers_that_do_not_read(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            receiver = Receiver(f"{directory}/statsd")
            os.chmod(f"{directory}/statsd", 0o777)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
                other.setblocking(False)
                while True:
                    other.sendto(b"x:1|c", f"{directory}/statsd")
            with self.served(receiver, "--workers", "1") as server:
                send(server, 20)
                self.assertEqual(server.stop(), 0)
                self.assertLessEqual(server.log().count("event=statsd_failed"), 1)


class Names(Statsd):
    def test_a_host_name_without_an_address_is_logged_and_a_reload_looks_it_up_again(self):
        harness.need_files()
        with self.directory(settings_ini="[prefork]\nstatsd_host = none.invalid:8125\n") as directory:
            receiver = Receiver()
            path = directory / "settings.ini"
            with harness.Server([HELLO, "--config", path, "--canary-time", "10ms"]) as server:
                server.wait_for_log("event=lookup_failed host=none.invalid")
                send(server, 3)
                path.write_text(f"[prefork]\nstatsd_host = {receiver.address}\nstatsd_name = api\n")
                server.reload()
                send(server, 2)
                receiver.wait_for("api.requests", 2)
                path.write_text("[prefork]\n")
                server.reload()
                send(server, 2)
                self.assertEqual(server.stop(), 0)
                self.assertEqual(receiver.read().counts["api.requests"], 2)
            receiver.close()

    def test_lines_of_the_log_and_the_backlog(self):
        receiver = Receiver()
        with self.served(receiver, "--enable-backlog-metric", "--log-level", "critical") as server:
            harness.wait_until(lambda: 0 in receiver.read().values["prefork.backlog"], "the backlog")
            os.kill(server.wait_for_serving(1)[0], signal.SIGKILL)
            harness.wait_until(lambda: sum(n for name, n in receiver.read().counts.items() if ".log." in name),
                               "a line about the exit")  # counted, though it is not written
            self.assertEqual(server.stop(), 0)

    def test_an_upgrade(self):
        receiver = Receiver()
        with self.served(receiver, "--workers", "2", "--upgrade", "automatic") as server:
            server.wait_for_serving(2)
            harness.wait_until(lambda: receiver.read().values["prefork.workers"][-1:] == [2], "the gauge")
            server.send_signal(signal.SIGUSR2)
            server.wait_for_log("event=upgrade_end")
            send(server, 1)
            receiver.wait_for("prefork.requests", 1)
            harness.wait_until(lambda: not os.path.exists(f"/proc/{server.pid}/fd") or server.process.poll() is not None,
                               "the old arbiter has exited")
            self.assertNotIn(0, receiver.read().values["prefork.workers"][2:])
            pid = int(re.search(r"event=upgrade_end .*new=(\d+)", server.log())[1])
            os.kill(pid, signal.SIGTERM)
            harness.wait_until(lambda: harness.start_time(pid) is None, "the new arbiter has exited")

    def test_an_upgrade_that_is_rolled_back(self):
        receiver = Receiver()
        with self.served(receiver, "--workers", "2", "--upgrade", "manual", "--enable-backlog-metric") as server:
            server.wait_for_serving(2)
            server.send_signal(signal.SIGUSR2)
            server.wait_for_log("event=upgrade_end")
            os.kill(int(re.search(r"event=upgrade_end .*new=(\d+)", server.log())[1]), signal.SIGTERM)
            server.wait_for_log("event=upgrade_new_exit")
            gauges = receiver.values["prefork.workers"]
            harness.wait_until(lambda: receiver.read() and 0 in gauges, "the last gauge of the new arbiter")
            harness.wait_until(lambda: receiver.read() and 2 in gauges[gauges.index(0):], "the gauge of the old arbiter")
            self.assertEqual(server.stop(), 0)

    def test_wrong_settings_are_named(self):
        for flags, why in ((("--statsd-host", "localhost"), "--statsd-host"), (("--statsd-host", "unix:"), "path"),
                           (("--statsd-host", "a:b"), "port"), (("--statsd-host", "fd://3"), "expected HOST:PORT"),
                           (("--statsd-host", "127.0.0.256:8125"), "statsd_host (--statsd-host): bad address"),
                           (("--statsd-host", "localhost:99999"), "65535"), (("--statsd-host", "localhost:0"), "port 0"),
                           (("--statsd-host", "my host:8125"), "host name"),
                           (("--statsd-prefix", "a:b"), "--statsd-prefix"), (("--dogstatsd-tags", "a|b"), "dogstatsd_tags")):
            status, output = harness.end_command(harness.begin_command(HELLO, *flags, "--check-config"))
            self.assertEqual(status, 2, output)
            self.assertIn(why, output)


@harness.every_worker_class
class Python(Statsd):
    """The names are gunicorn's."""

    def test_names_and_log_lines(self):
        app = ("def app(environ, start_response):\n"
               "    if environ['PATH_INFO'] == '/bad': raise ValueError\n"
               "    start_response('204 No Content', [])\n    return []\n")
        receiver = Receiver()
        with self.directory(app_py=app) as directory:
            with self.served(receiver, "--workers", "1", "app:app", program=harness.program("prefork-wsgi"),
                             cwd=directory) as server:
                send(server, 5)
                self.assertEqual(server.get("/bad").status, 500)
                self.assertEqual(server.stop(), 0)
                receiver.read()
        self.assertEqual(receiver.counts["gunicorn.requests"], 6)
        self.assertEqual(receiver.counts["gunicorn.request.status.204"], 5)
        self.assertEqual(receiver.counts["gunicorn.request.status.500"], 1)
        self.assertEqual(len(receiver.values["gunicorn.request.duration"]), 6)
        self.assertEqual(receiver.counts["gunicorn.log.exception"], 1)
        self.assertEqual(receiver.values["gunicorn.workers"][-1], 0)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""Examples that are not plain servers: jobs, an accept loop, long polling, applications with an event loop."""
import contextlib
import os
import pathlib
import queue
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading

import harness
import test_notify as notify


class Jobs(harness.Case):
    def setUp(self):
        self.spool = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def serve(self, *words, **more):
        return harness.Server([harness.program("jobs"), "--spool", self.spool, *words], bind=None, **more)

    def put(self, name, script):
        """Write a job completely before it gets its name."""
        (self.spool / f"{name}.tmp").write_text(script)
        (self.spool / f"{name}.tmp").rename(self.spool / f"{name}.job")

    def wait_for(self, name):
        harness.wait_until((self.spool / name).exists, f"{name} in {sorted(os.listdir(self.spool))}")

    def test_every_job_runs_once_including_queued_ones(self):
        for n in range(10):
            self.put(f"early{n}", f"echo {n} >> {self.spool}/out\n")
        with self.serve("--workers", "3") as server:
            server.wait_for_serving(3)
            for n in range(10, 20):
                self.put(f"late{n}", f"echo {n} >> {self.spool}/out\n")
            self.put("bad", "exit 7\n")
            self.wait_for("bad.failed")
            harness.wait_until(lambda: len(list(self.spool.glob("*.done"))) == 20, "20 jobs")
            self.assertEqual(sorted(map(int, (self.spool / "out").read_text().split())), list(range(20)))
            self.assertEqual(server.stop(), 0)

    def test_a_stop_finishes_the_running_job_and_starts_no_other(self):
        os.mkfifo(self.spool / "gate")
        with notify.Manager() as manager, self.serve(env=manager.environment()) as server:
            server.wait_for_serving(1)
            self.put("slow", f"touch {self.spool}/begun; read line < {self.spool}/gate\n")
            self.wait_for("begun")
            self.put("next", "true\n")
            server.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")  # sent when the worker has been told to drain
            (self.spool / "gate").write_text("on\n")
            self.assertEqual(server.wait(), 0)
        self.assertTrue((self.spool / "slow.done").exists())
        self.assertTrue((self.spool / "next.job").exists())

    def test_a_job_that_times_out_is_named_and_its_worker_replaced(self):
        with self.serve("--timeout", str(harness.PATIENCE), "--abort-timeout", "100ms") as server:
            first, = server.wait_for_serving(1)
            self.put("stuck", f"echo $$ > {self.spool}/pid; exec sleep 600\n")
            server.wait_for_log("stuck")
            harness.wait_until(lambda: server.workers() and first not in server.workers(), "another worker")
            self.put("after", "true\n")
            self.wait_for("after.done")
            with contextlib.suppress(ProcessLookupError):
                os.kill(int((self.spool / "pid").read_text()), signal.SIGKILL)
        self.assertTrue((self.spool / "stuck.run").exists())

    def test_a_missing_spool_fails_the_start_with_a_message(self):
        with harness.Server([harness.program("jobs"), "--spool", self.spool / "none"], bind=None) as server:
            self.assertEqual(server.wait(), 3)
            self.assertIn("cannot watch", server.log())


class Echo:
    """Sends one line to an echo server. Returns the echo, or nothing if the connection was closed."""

    @staticmethod
    def send(port, text=b"hello\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10 * harness.PATIENCE) as client:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                client.sendall(text)
                return client.recv(100)
        return b""


class Turnstile(harness.Case):
    def serve(self, *words):
        return harness.Server([harness.program("turnstile"), *words])

    def test_the_next_connection_waits_until_the_first_is_closed(self):
        with self.serve() as server, server.dial(10 * harness.PATIENCE) as first:
            first.sendall(b"first")
            self.assertEqual(first.recv(100), b"first")
            with server.dial(10 * harness.PATIENCE) as second:
                second.sendall(b"second")
                first.sendall(b"still")
                self.assertEqual(first.recv(100), b"still")
                second.setblocking(False)
                self.assertRaises(BlockingIOError, second.recv, 100)
                second.settimeout(10 * harness.PATIENCE)
                first.close()
                self.assertEqual(second.recv(100), b"second")
            self.assertEqual(server.stop(), 0)

    def test_a_stop_closes_idle_connections(self):
        with self.serve() as server, server.dial(10 * harness.PATIENCE) as first:
            first.sendall(b"first")
            self.assertEqual(first.recv(100), b"first")
            server.send_signal(signal.SIGTERM)
            self.assertEqual(first.recv(100), b"")
            self.assertEqual(server.wait(), 0)


class Console:
    """embed_poll with its standard input and output."""

    def __init__(self, *words):
        self.port = harness.free_port()
        self.process = subprocess.Popen([harness.program("embed_poll"), "--bind", f"127.0.0.1:{self.port}",
                                         "--canary-time", "50ms", *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=lambda: [self.lines.put(line.strip()) for line in self.process.stdout])
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    def write(self, line):
        print(line, file=self.process.stdin)

    def read(self, pattern):
        """The next line that matches."""
        while True:
            found = re.fullmatch(pattern, self.lines.get(timeout=20 * harness.PATIENCE))
            if found:
                return found


class EmbedPoll(harness.Case):
    def test_the_loop_of_the_program_runs_arbiter_and_console(self):
        with Console("--workers", "2") as host:
            first = host.read(r"ready (\d+)")[1], host.read(r"ready (\d+)")[1]
            self.assertEqual(Echo.send(host.port), b"hello\n")
            host.write("status")
            host.read("workers 2")
            host.write("scale 3")
            host.read(r"ready \d+")
            os.kill(int(first[0]), signal.SIGKILL)
            host.read(f"exited {first[0]}")
            host.read(r"ready \d+")
            host.write("reload")
            host.read(r"reloaded 0 *")
            # An old worker may still accept a connection, and exit before its first request.
            harness.wait_until(lambda: Echo.send(host.port) == b"hello\n", "an echo")
            host.write("stop")
            self.assertEqual(host.process.wait(20 * harness.PATIENCE), 0)

    def test_end_of_input_stops_it(self):
        with Console() as host:
            host.read(r"ready \d+")
            host.process.stdin.close()
            self.assertEqual(host.process.wait(20 * harness.PATIENCE), 0)


@harness.every_worker_class
class LongPoll(harness.Case):
    MANY = 1000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))

    GET = b"GET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n"

    def serve(self, *words):
        return harness.Server([harness.program("long_poll"), "--worker-connections", "2000", "--header-timeout", "10m",
                               "--suspend-timeout", "1h", *self.flags, *words])

    def wait_in(self, server, count):
        """Connections of `count` waiting clients."""
        clients = [self.enterContext(server.connect(60)) for _ in range(count)]
        for client in clients:
            client.send(self.GET)
        return clients

    def assert_no_message(self, clients):
        self.assertEqual({client.read_response().status for client in clients}, {204})

    def test_a_message_reaches_all_that_wait(self):
        with self.serve("--workers", "1") as server:
            clients, reached = self.wait_in(server, 20), 0
            while reached < 20:  # a client that has not been suspended yet gets the next message
                reached += int(server.request("POST", body=b"news").body.split()[2])
            for client in clients:
                response = client.read_response()
                self.assertEqual((response.status, response.body), (200, b"news"))
            self.assertEqual(server.stop(), 0)

    def test_a_client_that_leaves_is_forgotten(self):
        with self.serve("--workers", "1", "--access-logfile", "-") as server:
            client, = self.wait_in(server, 1)
            client.socket.close()
            server.wait_for_log('"GET / HTTP/1.1" 204')
            self.assertEqual(server.request("POST", body=b"news").body, b"sent to 0\n")
            self.assertEqual(server.stop(), 0)

    def test_each_waiting_client_is_answered_when_its_worker_leaves(self):
        for words in ([], ["--reuse-port"]):
            for number in (signal.SIGHUP, signal.SIGTERM):
                with self.subTest(words=words, number=number), self.serve("--workers", "2", *words) as server:
                    server.wait_for_serving(2)
                    clients = self.wait_in(server, self.MANY)
                    server.send_signal(number)
                    if number == signal.SIGHUP:
                        server.wait_for_log("Reload done", 20)
                        server.send_signal(signal.SIGTERM)  # the last of them wait in new workers
                    self.assert_no_message(clients)
                    self.assertEqual(server.wait(), 0)

    def test_each_waiting_client_is_answered_when_workers_are_recycled(self):
        with self.serve("--workers", "2", "--max-requests", "200") as server:
            clients = self.wait_in(server, self.MANY)
            server.wait_for_log("max_requests", 20)
            server.send_signal(signal.SIGTERM)
            self.assert_no_message(clients)
            self.assertEqual(server.wait(), 0)


class EmbedLibev(harness.Case):
    def test_watchers_of_the_program_and_the_arbiter_share_a_loop(self):
        for words in (), ("-k", "libev"):
            with self.subTest(words), harness.Server([harness.program("embed_libev"), *words]) as server:
                server.wait_for_log("tick 2")
                self.assertEqual(Echo.send(server.port), b"hello\n")
                ticks = server.log().count("tick")
                first, = server.wait_for_workers(1)
                os.kill(first, signal.SIGKILL)  # usually the default loop reaps it before the arbiter does
                server.wait_for_log(str(first))
                harness.wait_until(lambda: server.workers() and first not in server.workers(), "another worker")
                self.assertEqual(Echo.send(server.port), b"hello\n")
                harness.wait_until(lambda: server.log().count("tick") > ticks, "more ticks")
                self.assertEqual(server.stop(), 0)


class Loops:
    """Workers inside the loop of another library, which also has a timer and a datagram socket of the program."""
    name = None
    shares_evenly = False

    def status(self, server):
        """(ticks, port) of the worker that serves the request."""
        found = re.search(r"ticks=(\d+) port=(\d+)", server.get("/status").body.decode())
        return int(found[1]), int(found[2])

    def test_the_loop_has_our_connections_and_its_own_timer_and_socket(self):
        with harness.Server([harness.program(self.name), "--keep-alive", "1h"]) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get("/").body, b"Hello, world!\n")
            first, port = self.status(server)
            harness.wait_until(lambda: self.status(server)[0] > first, "a tick")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(10 * harness.PATIENCE)
                client.sendto(b"?", ("127.0.0.1", port))
                self.assertGreater(int(client.recv(100)), first)
            with server.dial(10 * harness.PATIENCE) as kept:  # more than one request, and the drain closes it
                for _ in range(3):
                    kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertIn(b"Hello", kept.recv(4096))
                self.assertEqual(server.stop(), 0)

    def test_a_reload_replaces_workers_and_requests_are_served_meanwhile(self):
        with harness.Server([harness.program(self.name), "--workers", "2", "--canary-time", "50ms"]) as server:
            before = server.wait_for_serving(2)
            self.assertEqual(server.log().count("listeners_nested"), 0 if self.shares_evenly else 1)
            server.send_signal(signal.SIGHUP)
            harness.wait_until(lambda: self.assertEqual(server.get("/").body, b"Hello, world!\n") or
                               not set(before) & set(server.workers()), "other workers")
            self.assertEqual(server.stop(), 0)

    def test_reuseport_sockets_and_threads_work(self):
        for words in (["--reuse-port"], ["--threads", "2"], ["--reuse-port", "--threads", "2"]):
            with self.subTest(words), harness.Server([harness.program(self.name), "--workers", "2", *words]) as server:
                server.wait_for_serving(2)
                for _ in range(20):
                    self.assertEqual(server.get("/").body, b"Hello, world!\n")
                if "--reuse-port" in words:
                    self.assertNotIn("listeners_nested", server.log())
                self.assertEqual(server.stop(), 0)

    def test_connections_above_the_limit_wait(self):
        with harness.Server([harness.program(self.name), "--worker-connections", "2"]) as server:
            server.wait_for_serving(1)
            clients = [server.dial(10 * harness.PATIENCE) for _ in range(6)]
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for client in clients:
                self.assertIn(b"Hello", client.recv(4096))
                client.close()
            self.assertEqual(server.stop(), 0)

    def test_a_stop_by_sigint_does_not_wait_for_connections(self):
        with harness.Server([harness.program(self.name), "--workers", "2"]) as server:
            server.wait_for_serving(2)
            with server.dial(10 * harness.PATIENCE) as kept:
                kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"Hello", kept.recv(4096))
                server.send_signal(signal.SIGINT)
                self.assertEqual(server.wait(), 0)


class WorkerGlib(Loops, harness.Case):
    name = "worker_glib"


class WorkerUv(Loops, harness.Case):
    name = "worker_uv"
    shares_evenly = True


class WorkerPoll(harness.Case):
    def test_a_loop_around_one_descriptor_serves_and_drains(self):
        with harness.Server([harness.program("worker_poll"), "--workers", "2"]) as server:
            server.wait_for_serving(2)
            for _ in range(5):
                self.assertEqual(server.get("/").body, b"Hello, world!\n")
            self.assertEqual(server.stop(), 0)


class WorkerTasks(harness.Case):
    """One worker with one thread: slow clients delay no other one."""

    def test_slow_uploads_and_slow_readers_share_a_thread(self):
        with harness.Server([harness.program("worker_tasks"), "--spool-limit", "0"]) as server:
            server.wait_for_serving(1)
            uploads = [server.dial(20 * harness.PATIENCE) for _ in range(20)]
            readers = [server.dial(20 * harness.PATIENCE) for _ in range(3)]
            for client in uploads:
                client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\nConnection: close\r\n\r\n")
            for client in readers:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for _ in range(4):
                for client in uploads:
                    client.sendall(b"x" * 1000)
                self.assertEqual(server.request("POST", body=b"y" * 5000).body, b"5000\n")
            for client in uploads:
                self.assertTrue(b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"\r\n\r\n4000\n"))
                client.close()
            for client in readers:
                response = b"".join(iter(lambda: client.recv(65536), b""))
                self.assertTrue(response.endswith(b"00000000099999\n\r\n0\r\n\r\n"))
                self.assertEqual(response.count(b"\n\r\n"), 2 + 100000)  # the ends of head and response, and the pieces
                client.close()
            self.assertEqual(server.stop(), 0)

    def test_a_drain_waits_for_suspended_handlers(self):
        with harness.Server([harness.program("worker_tasks")]) as server:
            server.wait_for_serving(1)
            with server.dial(20 * harness.PATIENCE) as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n1")
                self.assertEqual(server.request("POST", body=b"").body, b"0\n")
                server.send_signal(signal.SIGTERM)
                server.wait_for_log("Handling signal: term")
                client.sendall(b"23")
                self.assertIn(b"\r\n\r\n3\n", b"".join(iter(lambda: client.recv(4096), b"")))
            self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    harness.main()

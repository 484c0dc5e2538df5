#!/usr/bin/python3
"""Worker classes whose event loop is Python's: requests in greenlets of gevent and eventlet."""
import concurrent.futures
import re
import signal
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
GREEN = ("gevent", "eventlet")


def every_loop(case):
    """Decorator of a Case: runs it for each worker class with greenlets, as NAME_gevent and so on."""
    for name in GREEN:
        harness.add_variant(case, name, flags=("-k", name), loop=name)


class Server(harness.Server):
    """A server whose workers serve. The import of eventlet takes more than 1 s of processor time in each."""

    def wait_for_start(self):
        super().wait_for_start()
        self.wait_for_serving(int(self.arguments[self.arguments.index("-w") + 1]), 60)


class InTasks(harness.Case):
    loop = None

    def serve(self, *flags, workers=1, **more):
        return Server([harness.program("prefork-wsgi"), *self.flags, "-w", str(workers), *flags, "in_tasks:app"], cwd=APPS,
                      env={"LOOP": self.loop}, **more)


@every_loop
class Requests(harness.Shared, InTasks):
    """One server for all of them."""

    @classmethod
    def make(cls):
        return cls.serve(cls(), "--stream-uploads", "--keep-alive", "20", "--timeout", "20",
                         "--response-memory", "64k", "--spool-limit", "1m")

    def at_once(self, *paths):
        with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
            return [response.body for response in pool.map(self.server.get, paths)]

    def test_requests_run_at_the_same_time(self):
        self.assertEqual(self.at_once(*["/meet?8"] * 8), [b"met"] * 8)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.server.connect() as client:
            client.send(b"".join(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d" % number for number in range(20)))
            self.assertEqual([client.read_response().body for _ in range(20)], [b"%02d" % number for number in range(20)])

    def test_the_environ_says_what_the_class_does(self):
        self.assertRegex(self.server.get("/about").body, rb"\(True, False, \d+\)")

    def test_each_request_has_fresh_context_and_locals(self):
        self.assertEqual(set(self.at_once(*[f"/fresh?{number}" for number in range(12)])), {b"fresh fresh"})
        with self.server.connect() as client:  # and those on one connection
            for number in range(4):
                client.send(b"GET /fresh?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
                self.assertEqual(client.read_response().body, b"fresh fresh")

    def test_threads_of_the_library_work_beside_the_loop(self):
        marks = [f"{number}" for number in range(6)]
        self.assertEqual(self.at_once(*[f"/in-pool?{mark}" for mark in marks]), [mark.encode() for mark in marks])

    def test_a_loop_that_is_destroyed_is_not_the_worker_s(self):
        if self.loop != "gevent":
            self.skipTest("eventlet has no loop that could be destroyed")
        for _ in range(3):
            self.assertEqual(self.server.get("/end-other-loop").body, b"destroyed")
            self.assertEqual(self.server.get("/").body, b"hello")

    def test_greenlets_of_the_application_can_be_linked_and_pooled(self):
        if self.loop != "gevent":
            self.skipTest("link() and these pools are gevent's")
        self.assertEqual(self.server.get("/own-greenlets").body, b"([True], [0, 1, 4, 9, 16])")

    def test_sockets_of_the_application_send_files(self):
        self.assertEqual(self.at_once("/sendfile", "/sendfile", "/meet?1")[:2], [b"2000000 2000000"] * 2)

    def test_iterables_are_closed_once(self):
        before = int(self.server.get("/closed").body)
        self.assertEqual(len(self.server.get("/pieces?20").body), 20 * 4096)
        with self.server.connect() as client:
            client.send(b"GET /pieces?100000 HTTP/1.1\r\nHost: x\r\n\r\n")
            client.read_until(b"x")
            client.reset()
        harness.wait_until(lambda: int(self.server.get("/closed").body) == before + 2, "both are closed")

    def test_a_forked_child_does_no_harm(self):
        worker, = self.server.wait_for_serving(1)
        with harness.Load(self.server, clients=2) as load:
            self.assertEqual(self.server.get("/fork").body, b"7")
            self.assertEqual(self.server.get("/fork-and-return").body, b"of the parent")
            load.wait_for(3)
        self.assertEqual(load.lost, [])
        self.assertEqual(self.server.wait_for_serving(1), [worker])
        self.assertNotIn("[WARNING]", self.server.log())

    def test_a_read_can_have_a_time_limit(self):
        with self.server.connect() as client:
            for number in range(2):  # the connection is used again
                client.send(b"POST /read-in-time?%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab" % number)
                self.server.wait_for_log(f"read {number}: too late")
                client.send(b"cd")
                self.assertIn(client.read_response().body, (b"too late abcd", b"too late cd"))

    def test_a_write_can_have_a_time_limit(self):
        with self.server.connect() as client:
            client.send(b"GET /write-in-time HTTP/1.1\r\nHost: x\r\n\r\n")
            self.server.wait_for_log("write: too late")
            self.assertTrue(client.read_until(b"<the end>"))
        self.assertEqual(self.server.get("/").body, b"hello")

    def test_a_reader_that_is_left_behind_is_cancelled(self):
        with self.server.connect() as client:
            client.send(b"POST /leave-reader HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            self.assertEqual(client.read_response().body, b"left")
        self.server.wait_for_log("reader: OSError")
        self.assertEqual(self.server.get("/").body, b"hello")

    def test_early_hints_reach_their_own_request(self):
        with self.server.connect() as one, self.server.connect() as other:
            one.send(b"GET /hint?one HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            other.send(b"GET /hint?other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for client, mark in ((one, b"one"), (other, b"other")):
                everything = client.read_all()
                self.assertIn(b"HTTP/1.1 103", everything)
                self.assertEqual(everything.count(b"</" + mark + b">"), 1)
                self.assertTrue(everything.endswith(b"\r\n\r\n" + mark))

    def test_the_application_s_own_tasks_run_under_load(self):
        before = int(self.server.get("/ticks").body)
        with harness.Load(self.server, clients=8, kept=True) as load:
            harness.wait_until(lambda: int(self.server.get("/ticks").body) >= before + 20, "the application ticks")
        self.assertEqual(load.lost, [])


@every_loop
class Supervised(InTasks):
    def test_a_loop_that_is_blocked_is_dumped_with_its_request(self):
        with self.serve("--timeout", "1", "--abort-timeout", "20") as server:
            worker, = server.wait_for_serving(1)
            with server.connect(60) as client:
                client.send(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
                harness.wait_until(lambda: re.search("WORKER TIMEOUT.*GET /block", server.log()), "the request is named")
                harness.wait_until(lambda: re.search(r"in_tasks.py.* in block\n(.*\n)*.*in_tasks.py.* in app", server.dumps()),
                                   "the traceback of the greenlet")
                client.read_all()
            harness.wait_until(lambda: server.wait_for_serving(1, 60) != [worker], "a replacement")
            self.assertEqual(server.get("/").body, b"hello")

    def test_a_task_that_sleeps_longer_than_the_timeout_is_not_stuck(self):
        timeout = 0.5 * harness.PATIENCE
        with self.serve("--timeout", f"{timeout:g}") as server:
            self.assertEqual(server.get(f"/nap?{3000 * timeout:.0f}").body, b"slept")
            self.assertNotIn("TIMEOUT", server.log())

    def test_tasks_end_in_order_at_a_stop(self):
        for number, flags in ((signal.SIGQUIT, ()), (signal.SIGTERM, ("--graceful-timeout", "1.5"))):
            with self.subTest(signal=number), self.serve("--abort-timeout", "20", *flags) as server:
                with server.connect(30) as client:
                    client.send(b"GET /finally HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(server.get("/gate").body, b"True")
                    server.send_signal(number)
                    client.read_all()
                self.assertEqual(server.wait(), 0)
                self.assertIn("finally ran", server.log())
                self.assertNotRegex(server.log(), "Traceback|CRITICAL")

    def test_a_task_that_does_not_end_delays_no_stop(self):
        for path in ("/stubborn", "/big"):  # the latter waits for its client
            abort = f"{2 * harness.PATIENCE:g}"  # the worker exits after half of it
            with self.subTest(path=path), self.serve("--response-memory", "64k", "--spool-limit", "1m", "--abort-timeout",
                                                     abort) as server, server.connect(30) as client:
                client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                self.assertEqual(server.get("/gate").body, b"True")
                self.assertEqual(server.stop(signal.SIGQUIT), 0)
                self.assertRegex(server.log(), r"\[INFO\] Worker \(pid:\d+\) exited with code 0")
                self.assertNotRegex(server.log(), "Traceback|CRITICAL|SystemError")

    def test_a_drain_waits_for_tasks(self):
        with self.serve() as server, server.connect(30) as client:
            client.send(b"GET /nap?700 HTTP/1.1\r\nHost: x\r\n\r\n")
            harness.wait_until(lambda: server.get("/ticks").status == 200, "the server responds")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(client.read_response().body, b"slept")

    def test_the_number_of_tasks_is_bounded(self):
        with self.serve("--worker-connections", "3") as server, server.connect(30) as first, server.connect(30) as second, \
                server.connect(30) as third, server.connect(30) as fourth:
            started = time.monotonic()
            for client in (first, second, third):
                client.send(b"GET /nap?400 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            fourth.send(b"GET /about HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"200 OK", fourth.read_all())
            self.assertGreater(time.monotonic() - started, 0.38)

    def test_preloaded_and_reloaded(self):
        with self.serve("--preload", workers=2) as server:
            self.assertEqual(server.get("/nap?1").body, b"slept")
            with harness.Load(server, clients=3) as load:
                server.reload(seconds=60)
                load.wait_for(3)
            self.assertEqual(load.lost, [])

    def test_workers_are_replaced_after_max_requests(self):
        with self.serve("--max-requests", "20", workers=2) as server:
            first = set(server.workers())
            harness.wait_until(lambda: self.assertEqual(server.get("/", seconds=60).body, b"hello") or not first & set(server.workers()),
                               "all workers are replaced", 60)

    def test_connections_are_shared(self):
        with self.serve(workers=2) as server:
            shares = harness.shares(server, 64)
            self.assertNotIn("listeners_nested", server.log())
        self.assertGreaterEqual(min(shares), 16, shares)

    def test_a_missing_package_is_refused_at_the_start(self):
        with self.directory(sitecustomize_py="import sys\nsys.path[:] = [d for d in sys.path if 'dist-packages' not in d "
                                             "and 'site-packages' not in d]\n") as directory:
            for flags in ((), ("--preload",), ("--check-config",)):
                with self.subTest(flags=flags), harness.Server(
                        [harness.program("prefork-wsgi"), *self.flags, *flags, "hello:app"], wait=False,
                        env={"PYTHONPATH": str(directory)}) as server:
                    self.assertEqual(server.wait(), 2)
                    self.assertRegex(server.log(), f"-k: the worker class {self.loop} needs the Python package {self.loop}")
                    self.assertNotIn("Booting worker", server.log())


if __name__ == "__main__":
    harness.main()

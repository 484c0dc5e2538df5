#!/usr/bin/python3
"""The worker class tornado, and classes of the user's: applications in a loop of asyncio."""
import concurrent.futures
import signal
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
EXAMPLES = harness.SOURCE_ROOT / "examples/wsgi"
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Served(harness.Case):
    app = "in_loop:app"
    flags = ("-k", "tornado")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        harness.need_speed()

    def serve(self, *flags, workers=1, app=None, **more):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", str(workers), *flags, app or self.app],
                              cwd=APPS, env={"PYTHONPATH": str(EXAMPLES)}, **more)


class Common:
    """For the loop itself, with the library's HTTP and with that of tornado."""

    def test_a_loop_that_is_blocked_is_dumped_and_replaced(self):
        with self.serve("--timeout", "1", "--abort-timeout", "20") as server:
            worker, = server.wait_for_serving(1)
            with server.connect(60) as client:
                client.send(GET % b"/block")
                server.wait_for_log("WORKER TIMEOUT")
                server.wait_for_log("/tests/e2e/apps/")
                client.read_all()
            harness.wait_until(lambda: server.wait_for_serving(1) != [worker], "a replacement")
            self.assertEqual(server.get("/ticks").status, 200)

    def test_workers_are_replaced_after_max_requests(self):
        with self.serve("--max-requests", "20", workers=2) as server:
            first = set(server.wait_for_serving(2))
            with harness.Load(server, clients=3) as load:
                harness.wait_until(lambda: not first & set(server.workers()), "all workers are replaced")
                load.wait_for(3)
        self.assertEqual(load.lost, [])

    def test_preloaded_and_reloaded(self):
        with self.serve("--preload", workers=2) as server:
            self.assertEqual(server.get("/").status, 200)
            server.wait_for_serving(2)
            with harness.Load(server, clients=3) as load:
                server.reload()
                load.wait_for(3)
            self.assertEqual(load.lost, [])

    def test_connections_are_shared(self):
        with self.serve(workers=2) as server:
            server.wait_for_serving(2)
            shares = harness.shares(server, 64)
            self.assertNotIn("listeners_nested", server.log())
        self.assertGreaterEqual(min(shares), 16, shares)

    def test_the_application_s_callbacks_run_under_load(self):
        with self.serve("--keep-alive", "20") as server:
            before = int(server.get("/ticks").body)
            with harness.Load(server, clients=4, kept=True) as load:
                harness.wait_until(lambda: int(server.get("/ticks").body) >= before + 10, "the application ticks")
            self.assertEqual(load.lost, [])

    def test_a_forked_child_does_no_harm(self):
        with self.serve() as server:
            worker, = server.wait_for_serving(1)
            with harness.Load(server, clients=2) as load:
                for _ in range(3):
                    self.assertEqual(server.get("/fork").status, 200)
                load.wait_for(3)
            self.assertEqual(load.lost, [])
            self.assertEqual(server.wait_for_serving(1), [worker])
            self.assertNotIn("[WARNING]", server.log())

    def test_a_loop_at_rest_does_not_wake_up(self):
        with self.serve(app=self.quiet) as server:
            server.get("/")
            worker, = server.wait_for_serving(1)

            def wakes_up():
                """How often in a second. A worker that has just begun to wait may check its descriptors once more."""
                before = harness.context_switches(worker)
                time.sleep(1)
                return harness.context_switches(worker) - before

            harness.wait_until(lambda: wakes_up() <= 1, "a second at rest, after what the worker had to do")


class Wsgi(Common, Served):
    quiet = "in_loop:app"

    def test_requests_run_in_the_loop_each_with_a_fresh_context(self):
        with self.serve("--keep-alive", "20") as server:
            self.assertEqual(server.get("/about").body, b"(False, '_UnixSelectorEventLoop')")
            with server.connect() as client:
                for number in range(4):
                    client.send(GET % (b"/fresh?%d" % number))
                    self.assertEqual(client.read_response().body, b"fresh")
                client.send(GET % b"/hint?one")
                self.assertEqual(client.read_response().headers["link"], "</one>")
                self.assertEqual(client.read_response().body, b"one")
                client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
                self.assertEqual(server.get("/fork").body, b"0")  # the loop is free until the body is complete
                client.send(b"cd")
                self.assertEqual(client.read_response().body, b"abcd")

    def test_tasks_of_the_application_end_in_order_at_a_stop(self):
        for number in (signal.SIGQUIT, signal.SIGTERM):
            with self.subTest(signal=number), self.serve("--abort-timeout", "20") as server:
                server.get("/ticks")
                self.assertEqual(server.stop(number), 0)
                self.assertIn("finally ran", server.log())
                self.assertNotRegex(server.log(), "Traceback|CRITICAL")


class OwnServer(Common, Served):
    """An application of tornado."""
    app, quiet = "own_server:app", "own_container:app"

    def test_its_handlers_serve(self):
        with self.serve() as server:
            self.assertRegex(server.get("/").headers["server"], "Tornado")
            with server.connect() as client:
                for number in range(3):
                    client.send(GET % (b"/?%d" % number))
                    self.assertEqual(client.read_response().body, b"%d" % number)
                client.send(GET % b"/pieces?500")
                self.assertEqual(client.read_response().body, b"".join(b"%04095d\n" % number for number in range(500)))
            self.assertEqual(server.request("POST", "/echo", b"x" * 3000000).body, b"3000000")
            self.assertEqual(server.get("/wsgi").body, b"wsgi\n")

    def test_a_wsgi_container_serves(self):
        with self.serve(app="own_container:app") as server:
            self.assertEqual(server.get("/").body, b"hello")

    def test_requests_run_at_the_same_time_and_longer_than_the_timeout(self):
        timeout = 0.5 * harness.PATIENCE
        with self.serve("--timeout", f"{timeout:g}") as server, concurrent.futures.ThreadPoolExecutor(20) as pool:
            started = time.monotonic()
            self.assertEqual({response.body for response in pool.map(server.get, [f"/nap?{2000 * timeout:.0f}"] * 20)}, {b"slept"})
            self.assertLess(time.monotonic() - started, 20 * 2 * timeout)
            self.assertNotIn("TIMEOUT", server.log())

    def test_a_drain_waits_for_requests_and_closes_idle_connections(self):
        idle_time = 2 * harness.PATIENCE  # enough for the second request of `late`
        with self.serve("--drain-idle", f"{idle_time:g}", "--keep-alive", "20") as server, server.connect(30) as running, \
                server.connect() as idle, server.connect() as late:
            for client in (idle, late):
                client.send(GET % b"/?1")
                self.assertEqual(client.read_response().status, 200)
            running.send(GET % b"/nap?%d" % (1000 * idle_time + 500))
            server.get("/")
            worker, = server.wait_for_serving(1)
            server.send_signal(signal.SIGTERM)
            harness.wait_until(lambda: "draining" in harness.title(worker), "the worker drains")
            late.send(GET % b"/?2")
            response = late.read_response()
            self.assertEqual((response.body, response.headers.get("connection")), (b"2", "close"))
            self.assertEqual((late.read_all(), idle.read_all()), (b"", b""))
            self.assertEqual(running.read_response().body, b"slept")
            self.assertEqual(server.wait(), 0)

    def test_pending_connections_are_served_at_a_stop(self):
        with self.serve("--drain-idle", "5") as server:
            worker, = server.wait_for_serving(1)
            responses, status = server.stop_with_pending(worker, b"GET /?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for response in responses:
                self.assertTrue(response.endswith(b"\r\n\r\nx"))
            self.assertEqual(status, 0)

    def test_handlers_end_in_order_at_a_stop(self):
        for number, flags in ((signal.SIGQUIT, ()), (signal.SIGTERM, ("--graceful-timeout", "2"))):
            with self.subTest(signal=number), self.serve("--abort-timeout", "20", *flags) as server, server.connect(30) as client:
                client.send(GET % b"/finally")
                server.wait_for_log("waits")
                self.assertEqual(server.stop(number), 0)
                self.assertIn("finally ran", server.log())
                self.assertNotRegex(server.log(), "CRITICAL")

    def test_connections_that_the_client_resets_leave_nothing_behind(self):
        with self.serve() as server:
            worker, = server.wait_for_serving(1)
            server.get("/")
            before = harness.wait_for_quiet(lambda: harness.fd_count(worker))  # its connection may still be open
            for path in (b"/nap?50", b"/pieces?20000", b"/"):
                client = server.connect()
                client.send(GET % path)
                client.reset()
            harness.wait_until(lambda: harness.fd_count(worker) <= before, "all descriptors are closed")
            self.assertEqual(server.stop(), 0)


class OfUser(Wsgi):
    """The example of the documentation, without what the class tornado adds."""
    flags = ("-k", "asyncio_loop:Loop")
    test_tasks_of_the_application_end_in_order_at_a_stop = None

    def test_the_documentation_shows_it(self):
        code = (EXAMPLES / "asyncio_loop.py").read_text().partition("import asyncio")[2]
        self.assertIn(code, (harness.SOURCE_ROOT / "docs/loops-in-python.md").read_text())

    def test_errors_name_the_class(self):
        for name, message in (("no_such:Loop", "No module named 'no_such'"), ("asyncio_loop:None_such", "has no attribute 'None_such'"),
                              ("json:JSONDecoder", "The event loop does not start")):
            with self.subTest(name=name), self.directory() as directory, harness.Server(
                    [harness.program("prefork-wsgi"), "-k", name, "in_loop:app"], cwd=APPS, wait=False,
                    env={"PYTHONPATH": str(EXAMPLES)}) as server:
                self.assertNotEqual(server.wait(), 0)
                self.assertIn(message, server.log())


class Refused(Served):
    def test_tornado_s_own_server_ignores_no_protocol(self):
        for flags in ("--proxy-protocol", "v2"), ("--protocol", "uwsgi"):
            with self.subTest(flags=flags), self.serve(*flags, app="own_server:app", wait=False) as server:
                self.assertNotEqual(server.wait(), 0)
                self.assertIn("has no TLS, PROXY headers, or uwsgi protocol", server.log())

    def test_a_missing_package_is_refused_at_the_start(self):
        with self.directory(sitecustomize_py="import sys\nsys.path[:] = [d for d in sys.path if 'dist-packages' not in d "
                                             "and 'site-packages' not in d]\n") as directory, harness.Server(
                [harness.program("prefork-wsgi"), "-k", "tornado", "hello:app"], wait=False,
                env={"PYTHONPATH": str(directory)}) as server:
            self.assertEqual(server.wait(), 2)
            self.assertIn("the worker class tornado needs the Python package tornado", server.log())


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""Worker classes of third parties, which serve by themselves: uvicorn's, aiohttp's, and a user's own."""
import concurrent.futures
import http.client
import os
import signal
import ssl
import time

import harness
import harness_tls

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
UVICORN = ("-k", "uvicorn.workers.UvicornWorker")


class Served(harness.Case):
    app = "own_asgi:app"
    flags = ()
    package = None

    @classmethod
    def setUpClass(cls):
        harness.program("prefork-wsgi")
        if cls.package:  # in C, a class of a third party is what one of the user's is
            harness.need_module(cls.package)
            harness.need_speed()

    def serve(self, *flags, workers=1, app=None, **more):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", str(workers), *flags, app or self.app],
                              cwd=APPS, **more)

    def get_to_the_end(self, server):
        """The response to a request whose handler has returned: the connection is closed after that. A quick stop raises
        SystemExit in what runs, and uvicorn catches it if that is a handler."""
        with server.connect(60) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = client.read_response()
            self.assertEqual(client.read_all(), b"")
            return response


class Common:
    """What holds for each of them."""

    def test_a_reload_loses_no_request(self):
        for flags in (), ("--preload",), ("--reuse-port",):
            with self.subTest(flags=flags), self.serve(*flags, workers=2) as server:
                server.wait_for_serving(2, 30)
                with harness.Load(server, clients=3) as load:
                    load.wait_for(3)
                    server.reload()
                    load.wait_for(3)
                self.assertEqual(load.lost, [])
                self.assertEqual(server.stop(), 0)
                self.assertNotRegex(server.log(), r"Traceback|\[(ERROR|CRITICAL)\]")

    def test_a_worker_that_gets_term_finishes_its_request(self):
        with self.serve() as server, server.connect(60) as client:
            first, = server.wait_for_serving(1, 30)
            client.send(GET % self.slow)
            server.get("/")
            os.kill(first, signal.SIGTERM)
            self.assertEqual(client.read_response().status, 200)
            harness.wait_until(lambda: first not in server.workers(), "the worker exits")
            self.assertEqual(server.get("/").status, 200)

    def test_pending_connections_are_served_at_a_stop(self):
        with self.serve() as server:
            worker, = server.wait_for_serving(1, 30)
            responses, status = server.stop_with_pending(worker, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for response in responses:
                self.assertRegex(response, rb"^HTTP/1.1 200 ")
            self.assertEqual(status, 0)

    def test_a_quick_stop_ends_it_at_once(self):
        with self.serve("--abort-timeout", "20") as server, server.connect(60) as client:
            server.wait_for_serving(1, 30)
            client.send(GET % self.endless)
            self.get_to_the_end(server)
            self.assertEqual(server.stop(signal.SIGQUIT), 0)
            self.assertNotRegex(server.log(), "SIGKILL|SIGABRT|CRITICAL")

    def test_a_loop_that_hangs_is_dumped_and_replaced(self):
        with self.serve("--timeout", "1", "--abort-timeout", "20") as server:
            worker, = server.wait_for_serving(1, 30)
            with server.connect(60) as client:
                client.send(GET % b"/block")
                server.wait_for_log("WORKER TIMEOUT")
                server.wait_for_log("/tests/e2e/apps/")
                client.read_all()
            harness.wait_until(lambda: server.wait_for_serving(1, 30) != [worker], "a replacement")
            self.assertEqual(server.get("/").status, 200)

    def test_a_loop_at_rest_is_not_taken_for_one_that_hangs(self):
        with self.serve("--timeout", f"{1.5 * harness.PATIENCE:g}") as server:
            worker, = server.wait_for_serving(1, 30)
            time.sleep(4 * harness.PATIENCE)
            self.assertEqual(server.workers(), [worker])
            self.assertNotIn("TIMEOUT", server.log())

    def test_it_ends_after_the_arbiter(self):
        with self.serve() as server:
            worker, = server.wait_for_serving(1, 30)
            server.send_signal(signal.SIGKILL)
            harness.wait_until(lambda: harness.start_time(worker) is None, "the worker has exited")
            server.wait()


class Asgi:
    """uvicorn's classes."""
    package, slow, endless = "uvicorn", b"/nap?1500", b"/nap?600000"

    def test_requests_and_responses(self):
        with self.serve("--keep-alive", "20", workers=2) as server, concurrent.futures.ThreadPoolExecutor(20) as pool:
            words = server.get("/").body.split()
            self.assertEqual(words[1:], [b"http", b"<prefork-wsgi>/gunicorn/__init__.py", b"127.0.0.1"])
            self.assertIn(int(words[0]), server.workers())
            self.assertEqual(server.request("POST", "/body", b"x" * 3000000).body, b"3000000")
            self.assertEqual(len(server.get("/pieces?50").body), 50 * 4096)
            with server.connect() as client:
                for number in range(4):
                    client.send(GET % (b"/echo?%d" % number))
                    self.assertEqual(client.read_response().body, b"%d" % number)
            started = time.monotonic()
            self.assertEqual({response.body for response in pool.map(server.get, ["/nap?900"] * 20)}, {b"slept"})
            self.assertLess(time.monotonic() - started, 20 * 0.9)
            self.assertEqual(server.stop(), 0)
            self.assertIn("lifespan startup", server.log())
            self.assertIn("lifespan shutdown", server.log())
            self.assertIn("the package gunicorn is prefork-wsgi's own", server.log())

    def test_access_lines_are_written_where_they_are_asked_for(self):
        with self.serve() as server:
            server.get("/")
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("GET /", server.log())
        with self.directory() as directory, self.serve("--access-logfile", str(directory / "access")) as server:
            server.get("/")
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("GET /", server.log())
            self.assertIn('"GET / HTTP/1.1" 200', (directory / "access").read_text())

    def test_workers_are_replaced_after_max_requests(self):
        with self.serve("--max-requests", "20", workers=2) as server:
            first = set(server.wait_for_serving(2, 30))
            with harness.Load(server, clients=3) as load:
                harness.wait_until(lambda: not first & set(server.workers()), "all workers are replaced", 30)
                load.wait_for(3)
        # uvicorn closes connections that it has accepted and not read from when it stops by itself, under gunicorn as here.
        self.assertEqual([error for error in load.lost if not isinstance(error, ConnectionResetError)], [])


class Uvicorn(Common, Asgi, Served):
    flags = UVICORN

    def test_a_quick_stop_ends_it_although_it_catches_what_is_raised_in_a_request(self):
        with self.serve("--abort-timeout", "20") as server, server.connect(60) as client:
            client.send(GET % b"/block")
            server.wait_for_log("blocks")
            self.assertEqual(server.stop(signal.SIGQUIT), 0)
            self.assertIn("SystemExit", server.log())  # in uvicorn's report of the request
            self.assertNotRegex(server.log(), "SIGKILL|SIGABRT|CRITICAL")

    def test_it_serves_tls_with_the_settings_of_the_server(self):
        with self.directory() as directory:
            files = [str(directory / name) for name in ("a.pem", "a.key")]
            harness_tls.Authority(directory).issue(*files, "localhost")
            with self.serve("--certfile", files[0], "--keyfile", files[1]) as server:
                server.wait_for_serving(1, 30)
                connection = http.client.HTTPSConnection(server.host, server.port, timeout=60,
                                                         context=ssl._create_unverified_context())
                connection.request("GET", "/echo?secret")
                self.assertEqual(connection.getresponse().read(), b"secret")
                connection.close()


class UvicornH11(Asgi, Served):
    flags = ("-k", "uvicorn.workers.UvicornH11Worker")
    test_workers_are_replaced_after_max_requests = None


class OfUser(Common, Served):
    """A class of the user's with a loop that checks self.alive."""
    app, flags = "worker_classes:app", ("-k", "worker_classes.Plain")
    slow, endless = b"/", b"/"
    test_a_worker_that_gets_term_finishes_its_request = None

    def test_its_methods_are_called(self):
        with self.serve() as server:
            server.wait_for_serving(1, 30)
            self.assertEqual(server.get("/").body, b"served by a loop of its own")
            self.assertEqual(server.stop(), 0)
            log = server.log()
            self.assertIn(f"init_process of Plain 1 False ['http://127.0.0.1:{server.port}']", log)
            self.assertIn("application of Plain worker_classes:app\n", log)
            self.assertRegex(log, "(?s)handle_exit 15.*the loop ends")
        with self.serve() as server:
            server.wait_for_serving(1, 30)
            self.assertEqual(server.stop(signal.SIGQUIT), 0)
            self.assertIn("handle_quit 3", server.log())


class DerivedFromSync(Common, Served):
    """The server's HTTP with methods of the user's."""
    app, flags = "worker_classes:app", ("-k", "worker_classes.OwnSync")
    slow, endless = b"/", b"/"
    test_a_worker_that_gets_term_finishes_its_request = None

    def test_its_methods_are_called(self):
        with self.serve("--keep-alive", "5", "--access-logfile", "-") as server, server.connect() as client:
            for number in range(3):
                client.send(b"GET /a?%d HTTP/1.1\r\nHost: x\r\nX-Name: me\r\n\r\n" % number)
                response = client.read_response()
                self.assertRegex(response.body, rb"^\d+ GET /a %d me$" % number)
                self.assertEqual(response.headers["x-outer"], "yes")
            server.wait_for_log('"GET /a?2 HTTP/1.1" 200')  # written after the response
            self.assertIn("before the application: True", server.log())
            self.assertEqual(server.stop(), 0)
            self.assertIn("handle_exit 15", server.log())

    def test_it_is_replaced_when_it_is_not_alive(self):
        with self.serve() as server:
            first = set(server.wait_for_serving(1, 30))
            with harness.Load(server, clients=2) as load:
                server.get("/recycle")
                harness.wait_until(lambda: not first & set(server.workers()), "the worker is replaced", 30)
                load.wait_for(2)
            self.assertEqual(load.lost, [])


class Aiohttp(Common, Served):
    app, flags, package = "own_aiohttp:app", ("-k", "aiohttp.GunicornWebWorker"), "aiohttp"
    slow, endless = b"/nap?1500", b"/"

    def test_requests_and_responses(self):
        with self.serve(app="own_aiohttp:make") as server:
            self.assertEqual(server.get("/echo?a").body, b"a")


CONFIG = """
from uvicorn.workers import UvicornWorker


class Own(UvicornWorker):
    CONFIG_KWARGS = {"loop": "asyncio", "http": "h11", "headers": [["x-own", "yes"]]}


worker_class = Own


def say(*words):
    import sys
    print(*words, file=sys.stderr, flush=True)


def pre_fork(server, worker):
    worker.mark = "marked"


def post_worker_init(worker):
    say("post_worker_init:", type(worker).__name__, worker.mark, worker.age, callable(worker.wsgi), worker.alive)


def worker_int(worker):
    say("worker_int:", worker.mark)


def worker_exit(server, worker):
    say("worker_exit:", worker.mark)
"""


class InConfigFile(Served):
    """A class object in a configuration file, with hooks."""
    package = "uvicorn"

    def test_the_class_of_the_file_runs_with_its_hooks(self):
        with self.directory(conf_py=CONFIG) as directory, self.serve("-c", str(directory / "conf.py")) as server:
            server.wait_for_serving(1, 30)
            self.assertEqual(self.get_to_the_end(server).headers["x-own"], "yes")
            self.assertEqual(server.stop(signal.SIGQUIT), 0)
            log = server.log()
            for line in ("post_worker_init: Own marked 1 True True", "worker_int: marked", "worker_exit: marked"):
                self.assertEqual(log.count(line), 1, log)


# A logger that writes which process has configured it.
COUNTED = """
import os
from gunicorn import glogging
class Logger(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        with open(os.environ["SETUPS"], "a") as file:
            file.write(f"{os.getpid()}\\n")
"""


class Names(Served):
    """Which class a name means, and what is wrong with others."""
    app = "worker_classes:app"

    def test_gunicorn_s_own_paths_are_classes_of_the_server(self):
        for path, name in (("gunicorn.workers.sync.SyncWorker", "sync"), ("gunicorn.workers.gthread.ThreadWorker", "threads")):
            with self.subTest(path=path), self.serve("-k", path) as server:
                server.get("/")
                self.assertIn(f"Using worker: {name} ", server.log())

    def test_a_reload_changes_the_class_of_a_preloaded_application(self):
        app = ("import os\n"
               "def app(environ, start_response):\n"
               "    start_response('200 OK', [])\n"
               "    return [os.environ.get('HOOK', 'not called').encode() + os.environ.get('CLASS', ' the server').encode()]\n")
        own = ("import os\nfrom gunicorn.workers.sync import SyncWorker\n"
               "class {0}(SyncWorker):\n"
               "    def init_process(self):\n        os.environ['CLASS'] = ' {0}'\n        super().init_process()\n")
        conf = "import os\npreload_app = True\ndef post_worker_init(worker):\n    os.environ['HOOK'] = 'called'\nworker_class = "
        with self.directory(app_py=app, own_py=own.format("One") + own.format("Two"), conf_py=conf + "'own.One'\n") as directory:
            with harness.Server([harness.program("prefork-wsgi"), "-c", "conf.py", "app:app"], cwd=directory) as server:
                self.assertEqual(server.get("/").body, b"called One")
                for name, expected in ("own.Two", b"called Two"), ("sync", b"called the server"), ("own.One", b"called One"):
                    (directory / "conf.py").write_text(f"{conf}'{name}'\n")
                    server.reload()
                    self.assertEqual(server.get("/").body, expected)

    def test_errors_name_the_place_and_the_nearest_class(self):
        for name, message in (
                ("uvicorn.workers.UvicornWorkr", r"-k.*did you mean uvicorn\.workers\.UvicornWorker\?"),
                ("worker_classes.Plan", r"-k.*did you mean worker_classes\.Plain\?"),
                ("no_such.Class", "-k.*No module named 'no_such'"),
                ("worker_classes.NotOne", "-k.*does not derive from gunicorn.workers.base.Worker"),
                ("egg:no-such#worker", "-k.*no distribution no-such is installed"),
                ("refused_thread.Own", "-k.*derives from ThreadWorker, which prefork-wsgi does not run in Python"),
                ("refused_sync.Own", "-k.*overrides accept.. of SyncWorker"),
                ("worker_classes.Raises", "the worker class has ended by an exception: ValueError: run raises"),
                ("worker_classes.Leaves", "it has exited with status 3 before it served")):
            with self.subTest(name=name), self.serve("-k", name, wait=False) as server:
                self.assertNotEqual(server.wait(60), 0)
                self.assertRegex(server.log(), message)

    def test_logging_is_configured_once(self):
        """In the arbiter, whose logger the worker has after the fork."""
        with self.directory(counted_py=COUNTED) as directory, \
                self.serve("-k", "worker_classes.Plain", "--logger-class", "counted.Logger",
                           env={"PYTHONPATH": str(directory), "SETUPS": str(directory / "setups")}) as server:
            self.assertEqual(server.get("/").body, b"served by a loop of its own")
            self.assertEqual((directory / "setups").read_text().split(), [str(server.pid)])

    def test_an_application_that_does_not_load_ends_the_start(self):
        with self.serve("-k", "worker_classes.Plain", app="no_such_module:app", wait=False) as server:
            self.assertEqual(server.wait(60), 4)
            self.assertIn("The application no_such_module:app does not load", server.log())

    def test_an_entry_point_is_found(self):
        with self.directory() as directory:
            info = directory / "own_dist-1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-dist\nVersion: 1\n")
            (info / "entry_points.txt").write_text("[gunicorn.workers]\nplain = worker_classes:Plain\n")
            with self.serve("-k", "egg:own-dist#plain", env={"PYTHONPATH": str(directory)}) as server:
                self.assertEqual(server.get("/").body, b"served by a loop of its own")
            with self.serve("-k", "egg:own-dist#plan", env={"PYTHONPATH": str(directory)}, wait=False) as server:
                self.assertNotEqual(server.wait(60), 0)
                self.assertIn("has egg:own-dist#plain", server.log())


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""prefork-wsgi: applications that respond, that fail, and that do not load."""
import json
import re
import socket

import harness

HELLO = harness.SOURCE_ROOT / "examples/wsgi/hello"
APPS = harness.SOURCE_ROOT / "tests/e2e/apps"


def serve(*words, directory=APPS, **more):
    return harness.Server([harness.program("prefork-wsgi"), "--workers", "1", *words], cwd=directory, **more)


class Hello(harness.Case):
    def test_a_get_gets_a_response(self):
        with serve("hello:app", directory=HELLO) as server:
            response = server.get("/")
            self.assertEqual((response.status, response.body), (200, b"Hello, world!\n"))
            self.assertEqual(response.headers["Content-Length"], "14")
            self.assertEqual(server.stop(), 0)

    def test_the_application_gets_the_complete_body_of_a_post(self):
        body = bytes(range(256)) * 1024
        with serve("hello:app", directory=HELLO) as server:
            self.assertEqual(server.request("POST", body=body).body, b"You sent: " + body)

    def test_the_client_is_logged_by_its_address(self):
        with serve("kitchen:app") as server:
            for address in ("127.0.0.1", "127.255.255.254", "127.1.22.203", "127.10.100.9", "127.99.101.200"):
                with socket.create_connection((server.host, server.port), source_address=(address, 0)) as client:
                    client.sendall(b"GET /environment HTTP/1.0\r\n\r\n")
                    response = b"".join(iter(lambda: client.recv(65536), b"")).decode()
                    self.assertIn(f"REMOTE_ADDR='{address}'\nREMOTE_PORT='{client.getsockname()[1]}'\n", response)

    def test_a_preloaded_application_is_served_by_every_worker(self):
        with serve("--preload", "-w", "2", "kitchen:app") as server:
            self.assertEqual(server.get("/hello").body, b"Hello, world!\n")
            workers = server.wait_for_workers(2)
            self.assertIn(int(server.get("/pid").body), workers)
            self.assertEqual(server.stop(), 0)

    def test_chdir_and_env_are_in_force_before_the_import(self):
        with serve("--chdir", HELLO, "--env", "SCRIPT_NAME=/shop", "hello:app", directory="/") as server:
            self.assertEqual(server.get("/shop/").body, b"Hello, world!\n")


    def test_an_empty_response_to_head_has_no_length(self):
        """Bottle returns an empty list for HEAD, whatever the body of a GET is."""
        with serve("kitchen:app") as server:
            response = server.request("HEAD", "/empty")
            self.assertEqual((response.status, response.headers["Content-Length"]), (200, None))
            self.assertEqual(server.get("/empty").headers["Content-Length"], "0")
            self.assertEqual(server.request("HEAD", "/no-length").headers["Content-Length"], "11")

    def test_pythonpath_is_absolute_whatever_the_directory(self):
        with self.directory(app_py="import os\nos.chdir('/')\ndef app(e, s):\n import late\n return late.app(e, s)\n"
                         ) as directory:
            (directory / "lib").mkdir()
            (directory / "lib/late.py").write_text("from wsgiref.simple_server import demo_app as app\n")
            with serve("--pythonpath", "lib", "app:app", directory=directory) as server:
                self.assertEqual(server.get("/").status, 200)


@harness.every_worker_class
class Laxities(harness.Case):
    """Errors of applications that gunicorn tolerates, and its settings for them."""

    def test_hop_by_hop_headers_are_dropped_with_one_warning(self):
        with serve(*self.flags, "kitchen:app") as server:
            for _ in range(3):
                response = server.get("/lax-head?hop", {"Connection": "close"})
                self.assertEqual((response.status, response.body, response.headers["X-A"]), (200, b"lax", "b"))
                self.assertEqual((response.headers["Connection"], response.headers["Keep-Alive"]), ("close", None))
                self.assertIsNone(response.headers["Transfer-Encoding"])
            self.assertEqual(server.get("/lax-head?length").headers["Content-Length"], "3")
            self.assertEqual(server.get("/buffers").body, b"bytearray memoryview written")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.log().count("The application sets the header Connection"), 1)

    def test_header_map_selects_the_handling_of_underscores(self):
        for choice, status, seen in ("drop", 200, False), ("refuse", 400, False), ("dangerous", 200, True):
            with self.subTest(choice=choice), serve(*self.flags, "--header-map", choice, "kitchen:app") as server:
                response = server.get("/environment", {"X_Under": "1", "Content_Length": "7"})
                self.assertEqual(response.status, status)
                self.assertEqual(b"HTTP_X_UNDER='1'" in response.body, seen)
                self.assertEqual(b"HTTP_CONTENT_LENGTH='7'" in response.body, seen)
                self.assertNotIn(b"\nCONTENT_LENGTH='7'", response.body)


class Surroundings(harness.Case):
    """Variables that describe threads and processes of the server."""

    def test_multithread_and_multiprocess_are_correct(self):
        for words, threads, processes in (((), False, False), (("-w", "2"), False, True),
                                          (("-k", "threads", "--threads", "2"), True, False),
                                          (("-k", "libev", "-w", "3"), False, True)):
            with self.subTest(words=words), serve(*words, "kitchen:app") as server:
                lines = server.get("/environment").body.decode().splitlines()
                self.assertIn(f"wsgi.multithread={threads}", lines)
                self.assertIn(f"wsgi.multiprocess={processes}", lines)

    def test_the_main_thread_is_the_first_thread_in_every_class(self):
        for words in ("-k", "sync"), ("-k", "threads", "--threads", "2"), ("-k", "libev", "--threads", "2"):
            with self.subTest(words=words), serve(*words, "kitchen:app") as server:
                self.assertEqual(int(server.get("/main-thread").body), server.workers()[0])


    def test_a_process_forked_by_the_import_is_no_worker(self):
        text = ("import os, sys\nif os.fork() == 0:\n    sys.exit(5)\nCODE = os.wait()[1] >> 8\n"
                "def app(environ, start):\n    start('200 OK', [])\n    return [b'%d' % CODE]\n")
        with self.directory(app_py=text) as directory, serve("app:app", directory=directory) as server:
            self.assertEqual(server.get("/").body, b"5")
            self.assertNotIn("does not load", server.log())
            self.assertEqual(server.log().count("Booting worker"), 1)


class Information(harness.Case):
    def test_help_and_version_are_printed_once(self):
        for words, once in ((("--help",), "Usage: prefork-wsgi"), (("-h",), "Usage: prefork-wsgi"),
                            (("--version",), "prefork-wsgi "), (("-v",), "prefork-wsgi ")):
            with self.subTest(words=words), serve(*words, wait=False) as server:
                self.assertEqual(server.wait(), 0)
                self.assertEqual(len(re.findall(f"(?m)^{once}", server.log())), 1)


class Frameworks(harness.Case):
    def test_flask_serves(self):
        harness.need_module("flask")
        with serve("hello_flask:app", directory=HELLO) as server:
            self.assertEqual(server.get("/").body, b"Hello from Flask!\n")
            response = server.request("POST", body=json.dumps([1, 2]), headers={"Content-Type": "application/json"})
            self.assertEqual(json.loads(response.body), {"sent": [1, 2]})
            self.assertEqual(server.get("/nowhere").status, 404)

    def test_django_serves(self):
        harness.need_module("django")
        with serve("hello_django:app", directory=HELLO) as server:
            response = server.get("/")
            self.assertEqual((response.status, response.body), (200, b"Hello from Django!\n"))
            self.assertEqual(server.get("/nowhere").status, 404)


class Failures(harness.Case):
    def test_an_exception_gets_500_and_logs_a_traceback(self):
        with serve("kitchen:app") as server:
            before = server.get("/pid").body
            response = server.get("/fails")
            self.assertEqual(response.status, 500)
            self.assertNotIn(b"before the head", response.body)
            server.wait_for_log("KeyError: 'before the head'")
            self.assertEqual(server.log().count("Error handling request GET /fails"), 1)
            self.assertEqual(server.get("/pid").body, before)

    def test_an_application_that_does_not_load_ends_the_server_with_status_4(self):
        for name, message in (("broken:app", "SyntaxError"), ("leaves:app", "SystemExit: not today"),
                               ("nowhere:app", "No module named 'nowhere'"),
                               ("factories:number", "is not callable")):
            for words in ((), ("--preload",)):
                with self.subTest(name=name, words=words), serve(*words, name, wait=False) as server:
                    self.assertEqual(server.wait(), 4)
                    self.assertIn(message, server.log())

    def test_check_config_loads_the_application_and_sets_the_status(self):
        for name, status in (("kitchen:app", 0), ("broken:app", 4)):
            with self.subTest(name=name), serve("--check-config", name, wait=False) as server:
                self.assertEqual(server.wait(), status)

    def test_wrong_settings_are_refused_before_the_start(self):
        for words, status, message in (((), 2, "no application: name it"),
                                        (("-c", "conf.py", "hello:app"), 2, "-c: .*conf.py: No such file"),
                                        (("--log-syslog", "--log-syslog-to", "tcp://x:1", "hello:app"), 2, "TCP is not supported"),
                                        (("--worker-class=geventwebsocket", "hello:app"), 2, "--worker-class: .*'geventwebsocket'.*: threads, or"),
                                        (("-k", "uvicorn", "hello:app"), 2, "'uvicorn', .*: name its worker class: uvicorn.workers.UvicornWorker"),
                                        (("-k", "theards", "hello:app"), 2, "did you mean 'threads'"),
                                        (("--threads", "4"), 2, "no application: name it"),
                                        (("--config", "/nowhere.ini", "hello:app"), 2, "--config: /nowhere.ini: No such file"),
                                        (("--reload", "--preload", "hello:app"), 2, "remove one of them"),
                                        (("--env", "NAME", "hello:app"), 2, "is not NAME=VALUE"),
                                        (("--workers=2", "--dirty-app", "a:B", "hello:app"), 2, "--dirty-app is gunicorn's"),
                                        (("--wrokers=2", "hello:app"), 2, "--workers"),
                                        (("--chdir", "/nowhere", "hello:app"), 2, "--chdir: /nowhere")):
            with self.subTest(words=words), serve(*words, wait=False) as server:
                self.assertEqual(server.wait(), status)
                self.assertRegex(server.log(), message)

    def test_an_error_message_names_the_variable(self):
        for flags, message in (("--dirty-app a:B", "GUNICORN_CMD_ARGS: --dirty-app is gunicorn's"),
                                ("-k geventwebsocket", "GUNICORN_CMD_ARGS: -k: .*'geventwebsocket', which is gunicorn's"),
                                ("--workers many", "GUNICORN_CMD_ARGS: --workers: expected"),
                                ("-c conf.py", "GUNICORN_CMD_ARGS: -c: .*conf.py: No such file"),
                                ("--reload --preload", "GUNICORN_CMD_ARGS: --reload: a reload does not change code"),
                                ("--chdir /nowhere", "GUNICORN_CMD_ARGS: --chdir: /nowhere: "),
                                ("--env NAME", "GUNICORN_CMD_ARGS: --env: \"NAME\" is not")):
            with self.subTest(flags=flags), serve("hello:app", env={"GUNICORN_CMD_ARGS": flags}, wait=False) as server:
                self.assertEqual(server.wait(), 2)
                self.assertRegex(server.log(), message)
        with serve("hello:app", env={"FORWARDED_ALLOW_IPS": "invalid"}, wait=False) as server:
            self.assertEqual(server.wait(), 2)
            self.assertIn("FORWARDED_ALLOW_IPS: ", server.log())

    def test_threads_select_the_class_threads(self):
        for words, name in ((("--threads", "4"), "threads"), (("--threads", "1"), "sync"),
                            (("--threads", "4", "-k", "libev"), "libev"), ((), "sync"), (("-k", "gthread"), "threads")):
            with self.subTest(words=words), serve("--print-config", *words, "hello:app", wait=False) as server:
                server.wait()
                self.assertIn(f"worker_class = {name}\n", server.log())


@harness.every_worker_class
class Family(harness.Shared, harness.Case):
    """Applications that start programs, and fork."""

    @classmethod
    def make(cls):
        return serve(*cls.flags, "family:app")

    def body(self, path):
        return self.server.get(path).body.decode()

    def test_a_program_starts_with_the_signal_state_of_a_shell(self):
        self.assertEqual(self.body("/signals"), repr(["SigBlk:\t" + "0" * 16, "SigIgn:\t" + "0" * 16]))

    def test_the_application_gets_the_exit_status_of_its_children(self):
        self.assertEqual(self.body("/statuses"), "[7, -15, 3]")
        if "tornado" not in self.flags:  # where a loop runs already
            self.assertEqual(self.body("/loop"), "[5, 6]")

    def test_children_of_multiprocessing_run_and_end_as_usual(self):
        self.assertEqual(self.body("/terminated"), "-15")
        if self.flags not in harness.GREENLETS:  # multiprocessing.Pool has threads that read from pipes
            self.assertEqual(self.body("/spawned"), "'b'")

    def test_threads_of_the_application_are_waited_for_at_the_end(self):
        if self.flags in harness.GREENLETS:
            self.skipTest("threads are greenlets there, which end with the hub")
        with serve(*self.flags, "family:app") as server:
            server.get("/keeps_running")
            self.assertEqual(server.stop(), 0)
            self.assertIn("the thread of the application is done\n", server.log())

    def test_a_forked_child_that_returns_sends_no_response(self):
        for path, status in ("/exits", 3), ("/complains", 1), ("/fails", 1), ("/returns", 0):
            with self.subTest(path=path), self.server.connect() as client:
                client.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                self.assertEqual(client.read_response().body.decode(), repr(f"its status was {status}"))
        self.assertIn("an error message of the child\n", self.server.log())
        self.assertIn("ZeroDivisionError", self.server.log())
        self.assertNotIn("Exception ignored", self.server.log())
        self.assertEqual(len(self.server.workers()), 1)


if __name__ == "__main__":
    harness.main()

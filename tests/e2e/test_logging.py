#!/usr/bin/python3
"""The lines of the server through Python's logging: logger_class, logconfig, logconfig_json, logconfig_dict."""
import contextlib
import json
import os
import pathlib
import signal
import time

import harness

APP = """
import logging, os, sys, threading

def app(environ, start):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise RuntimeError("spilled")
    if path == "/print":
        print("printed", file=sys.stderr, flush=True)
    if path == "/errors":
        print("to wsgi.errors", file=environ["wsgi.errors"])
    if path == "/own":
        logging.getLogger("gunicorn.error").warning("by the application")
    if path == "/threads":
        def much():
            for i in range(200):
                logging.getLogger("gunicorn.error").info("line %d", i)
        threads = [threading.Thread(target=much) for _ in range(8)]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
    start("200 OK", [("Content-Length", "2"), ("X-Kind", "tea")])
    if path == "/pieces":
        return iter([b"o", b"k"])
    if path == "/file":
        return environ["wsgi.file_wrapper"](open("two", "rb"))
    return [b"ok"]
"""

# Formatters, handlers and classes of loggers, as an application has them.
OWN = """
import json, logging, os, time
from gunicorn import glogging

class Json(logging.Formatter):
    def format(self, record):
        fields = dict(logger=record.name, level=record.levelname, message=record.getMessage(), pid=record.process,
                      event=getattr(record, "event", None), created=record.created)
        if record.exc_text:
            fields["trace"] = record.exc_text
        return json.dumps(fields)

class Raising(logging.Handler):
    def emit(self, record):
        raise ValueError("the handler is broken")

class Slow(logging.Handler):
    def emit(self, record):
        if os.path.exists("slow"):
            time.sleep(2)

class Stuck(logging.Handler):
    # It does not return from a record of an event that a file names.
    def emit(self, record):
        while os.path.exists("stuck-" + str(getattr(record, "event", None))):
            time.sleep(1000)

class Forking(logging.Handler):
    def emit(self, record):
        if getattr(record, "event", None) == "worker_spawn":
            pid = os.fork()
            if pid == 0:
                return  # the child goes on where the process was
            os.waitpid(pid, 0)

class Logger(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(lambda record: "Using worker" not in record.getMessage())
        for handler in self.error_log.handlers:
            handler.setFormatter(logging.Formatter("own %(levelname)s %(message)s"))

    def info(self, msg, *args, **kwargs):
        super().info("(" + msg + ")", *args, **kwargs)

    def access(self, resp, req, environ, request_time):
        self.access_log.info("own access %s %s %s %s %s %s", req.method, req.path, resp.status_code, resp.sent,
                             dict(resp.headers).get("X-Kind"), request_time.total_seconds() >= 0)
"""


INI = """
[loggers]
keys = root, error
[handlers]
keys = file
[formatters]
keys = own
[logger_root]
handlers =
[logger_error]
qualname = gunicorn.error
level = INFO
handlers = file
propagate = 0
[handler_file]
class = FileHandler
args = ("out",)
formatter = own
[formatter_own]
class = own.Json
"""


def config(formatter="own.Json", handlers=(), path="out", **more):
    """A dictionary for logconfig_dict and logconfig_json: all lines in JSON to one file."""
    own = {name: {"class": "own." + name} for name in handlers}
    return {"version": 1, "disable_existing_loggers": False, "formatters": {"own": {"()": formatter}},
            "handlers": {"file": {"class": "logging.FileHandler", "filename": path, "formatter": "own"}, **own},
            "root": {"handlers": []},
            "loggers": {name: {"level": "INFO", "handlers": ["file", *own], "propagate": False}
                        for name in ("gunicorn.error", "gunicorn.access")}, **more}


class Case(harness.Case):
    @contextlib.contextmanager
    def serve(self, *arguments, settings=None, own=OWN, conf="", log=None, app=APP, **options):
        if settings is not None:
            arguments += ("--log-config-json", "log.json")
        with self.directory(app_py=app, own_py=own, conf_ini=conf, log_json=json.dumps(settings or log)) as self.place:
            with harness.Server([harness.program("prefork-wsgi"), *self.flags, *arguments, "app:app"], cwd=self.place,
                                **options) as server:
                yield server

    def text(self, path="out"):
        file = pathlib.Path(self.place, path)
        return file.read_text() if file.exists() else ""

    def lines(self):
        """All but one that is being written."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]

    def has(self, **fields):
        return any(all(line.get(key) == value for key, value in fields.items()) for line in self.lines())

    def wait_for(self, **fields):
        harness.wait_until(lambda: self.has(**fields), f"a line {fields}")


class Classes(Case):
    """Under each worker class."""

    @staticmethod
    def send_nonsense(server):
        with server.dial(5 * harness.PATIENCE) as connection:
            connection.sendall(b"NONSENSE\r\n\r\n")
            while connection.recv(4096):
                pass

    def test_all_lines_are_in_the_form_of_the_configuration(self):
        with self.serve("--workers", "2", settings=config()) as server:
            server.wait_for_serving(2)
            for path in "/", "/own", "/fail":
                server.get(path)
            self.wait_for(logger="gunicorn.access", level="INFO")
            self.wait_for(logger="gunicorn.error", message="by the application")
            self.wait_for(event="request_failed")
            failure = next(line for line in self.lines() if line["event"] == "request_failed")
            self.assertIn("RuntimeError: spilled", failure["trace"])
            self.assertIn(failure["pid"], server.workers())
            self.wait_for(event="worker_spawn", pid=server.pid)
            self.wait_for(event="pool_ready", pid=server.pid)
            self.assertEqual(server.stop(), 0)
            self.assertTrue(self.has(event="stop", message="Shutting down: Master"))
            ends = [line for line in self.lines() if line["event"] == "worker_exit"]
            self.assertEqual(len(ends), 2, "the last lines of the arbiter")
            self.assertNotIn("event=", server.log().replace("event=package_replaced", ""))

    def test_a_class_of_the_application(self):
        with self.serve("--logger-class", "own.Logger", "--access-logfile", "access") as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "two").write_text("ok")
            for path in "/tea", "/pieces", "/file", "/fail":
                server.get(path)
            self.send_nonsense(server)
            lines = [f"own access GET {path} 200 2 tea True" for path in ("/tea", "/pieces", "/file")]
            lines += ["own access GET /fail 500 0 None True"]
            access = pathlib.Path(self.place, "access")
            harness.wait_until(lambda: access.exists() and len(access.read_text().splitlines()) >= 5, "lines of the access log")
            found = access.read_text().splitlines()  # access() follows the response: the order may differ
            self.assertEqual(sorted(line for line in found if line.startswith("own")), sorted(lines))
            self.assertIn('"NONSENSE" 400 ', "".join(found))
            server.wait_for_log("own INFO (Booting worker with pid: ")
            self.assertNotIn("Using worker", server.log())

    def test_many_threads_log_at_once(self):
        with self.serve(settings=config()) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get("/threads").status, 200)
            self.assertEqual(sum(line["message"].startswith("line ") for line in self.lines()), 8 * 200)


harness.every_worker_class(Classes)


class Logging(Case):
    def test_a_handler_that_raises_costs_no_line(self):
        with self.serve(settings=config(handlers=["Raising"])) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get("/").status, 200)
            self.wait_for(event="pool_ready")

    def test_a_class_that_raises_leaves_the_lines_to_the_log_file(self):
        own = OWN + "\n    def warning(self, *args, **kwargs):\n        raise KeyError('broken')\n    info = error = warning\n"
        with self.serve("--logger-class", "own.Logger", own=own) as server:
            server.wait_for_serving(1)
            server.wait_for_log("event=python_log_failed")
            server.wait_for_log("event=worker_spawn")
            self.assertEqual(server.stop(), 0)
            self.assertIn("KeyError: 'broken'", server.log())
            self.assertIn("event=worker_exit", server.log())

    def test_a_handler_that_blocks_does_not_stop_the_arbiter(self):
        with self.serve("--workers", "2", settings=config(handlers=["Slow"])) as server:
            server.wait_for_serving(2)
            pathlib.Path(self.place, "slow").touch()
            before = server.workers()
            os.kill(before[0], signal.SIGKILL)
            server.wait_for_log("event=python_log_slow")
            began = time.monotonic()
            os.kill(before[1], signal.SIGKILL)
            harness.wait_until(lambda: len(server.workers()) == 2 and not set(before) & set(server.workers()), "replacements")
            self.assertLess(time.monotonic() - began, 5 * harness.PATIENCE)
            server.wait_for_log("event=worker_exit")
            pathlib.Path(self.place, "slow").unlink()
            self.assertEqual(server.get("/").status, 200)

    def test_a_handler_that_does_not_return_prevents_neither_a_reload_nor_the_end(self):
        with self.serve(settings=config(handlers=["Stuck"])) as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "stuck-signal").touch()
            server.reload(log=self.text)
            server.wait_for_log("TimeExpired")
        with self.serve(settings=config(handlers=["Stuck"])) as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "stuck-worker_exit").touch()  # the last line
            self.assertEqual(server.stop(), 0)

    def test_a_handler_that_does_not_return_does_not_delay_the_exit_of_a_worker(self):
        settings = config(handlers=["Stuck"])
        settings["loggers"]["gunicorn.access"]["handlers"].remove("Stuck")  # the request would wait for it, as with gunicorn
        with self.serve("--graceful-timeout", "100", settings=settings) as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "stuck-request_failed").touch()
            self.assertEqual(server.get("/fail").status, 500)
            self.wait_for(event="request_failed")
            worker = server.workers()
            os.kill(worker[0], signal.SIGTERM)
            server.wait_for_exit(worker)

    def test_a_configuration_that_does_not_return_fails_the_reload(self):
        stuck = ("\n    def __init__(self, cfg):\n        super().__init__(cfg)\n"
                 "        while os.path.exists('stuck'):\n            time.sleep(1000)\n")
        limit = 2 * harness.PATIENCE  # the last reload must not take longer
        conf = f"[prefork]\nlogger_class = own.Logger\nconfig_timeout = {limit}s\n"
        with self.serve("-c", "conf.ini", own=OWN + stuck, conf=conf) as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "stuck").touch()
            pathlib.Path(self.place, "conf.ini").write_text(conf + "loglevel = debug\n")
            self.assertIn(f"longer than {limit:g} s", server.reload("failed"))
            self.assertEqual(server.get("/").status, 200)
            pathlib.Path(self.place, "stuck").unlink()
            server.reload()

    def test_a_handler_must_not_fork_in_the_arbiter(self):
        with self.serve(settings=config(handlers=["Forking"])) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get("/").status, 200)
            server.wait_for_workers(1)  # the child may exit after the worker serves
            self.assertEqual(server.stop(), 0)

    def test_a_configuration_that_is_wrong_ends_the_start_with_the_reason(self):
        for settings, why in (({"handlers": {"h": {"class": "no.Such"}}}, "handler 'h'"), ([], "TypeError")):
            with self.serve(settings=settings, wait=False) as server:
                self.assertEqual(server.wait(), 1)
                self.assertIn(why, server.log())
        with self.serve("--logger-class", "own.Missing", wait=False) as server:
            self.assertEqual(server.wait(), 1)
            self.assertIn("own.Missing", server.log())
        with self.serve("--log-config", "missing.ini", wait=False) as server:
            self.assertEqual(server.wait(), 1)
            self.assertIn("'missing.ini' not found", server.log())

    def test_a_configuration_that_is_wrong_fails_the_reload(self):
        with self.serve(settings=config()) as server:
            server.wait_for_serving(1)
            worker = server.workers()
            pathlib.Path(self.place, "log.json").write_text(json.dumps(config(formatter="own.Missing")))
            self.assertIn("own.Missing", server.reload("failed", log=self.text))
            self.assertTrue(self.has(event="reload_end", level="ERROR"))
            self.assertEqual(server.workers(), worker)
            self.assertEqual(server.get("/own").status, 200)
            pathlib.Path(self.place, "log.json").write_text(json.dumps(config(path="second")))
            server.reload(log=lambda: self.text("second"))
            self.assertEqual(server.get("/").status, 200)

    def test_a_dictionary_with_objects_in_a_configuration_file(self):
        own = OWN + f"\nlogconfig_dict = {config()!r}\nlogconfig_dict['formatters']['own']['()'] = Json\n"
        with self.serve("-c", "own.py", own=own) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get("/own").status, 200)
            self.wait_for(event="pool_ready", pid=server.pid)
            self.wait_for(logger="gunicorn.error", message="by the application")
            self.wait_for(logger="gunicorn.access")

    def test_a_file_in_the_form_of_the_module(self):
        with self.serve("--log-config", "log.json", "--log-level", "critical", wait=False) as server:
            self.assertEqual(server.wait(), 1)  # it is JSON
            self.assertIn("logging: ", server.log())
        with self.directory(app_py=APP, own_py=OWN, log_ini=INI) as self.place, harness.Server(
                [harness.program("prefork-wsgi"), "--log-config", "log.ini", "app:app"], cwd=self.place) as server:
            server.wait_for_serving(1)
            server.get("/own")
            self.wait_for(event="worker_spawn", pid=server.pid)
            self.wait_for(message="by the application")

    def reloaded(self, before, after):
        """What the access log, and Python's, have of a request after a reload from one file to another one."""
        with self.serve("-c", "conf.ini", own=OWN, conf=before, log=config()) as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get("/before").status, 200)
            pathlib.Path(self.place, "conf.ini").write_text(after)
            server.reload(log=self.text)
            self.assertEqual(server.get("/tea").status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertTrue(self.has(event="stop"))
            return self.text("access").count("/tea"), sum("/tea" in line["message"] for line in self.lines()), server.log()

    def test_a_reload_can_turn_it_on_and_no_line_is_written_twice(self):
        access, logging = "accesslog = access\n", "logconfig_json = log.json\n"
        for before, after, expected in (("", logging, (0, 1)), (access, access + logging, (0, 1)),
                                        ("", access + logging, (1, 0))):
            with self.subTest((before, after)):
                *found, log = self.reloaded("[prefork]\n" + before, "[prefork]\n" + after)
                self.assertEqual(tuple(found), expected)
                self.assertEqual("event=python_access_bypassed" in log, expected == (1, 0))

    def test_a_class_that_adds_a_handler_writes_each_line_once_after_reloads(self):
        added = ("        handler = logging.FileHandler('out')\n        handler.setFormatter(Json())\n"
                 "        self.error_log.addHandler(handler)\n")
        own = OWN.replace("\n    def info(self", added + "\n    def info(self")
        conf = "[prefork]\nlogger_class = own.Logger\nloglevel = "
        with self.serve("-c", "conf.ini", own=own, conf=conf + "info\n") as server:
            server.wait_for_serving(1)
            for level in "info", "info", "debug", "info":
                pathlib.Path(self.place, "conf.ini").write_text(conf + level + "\n")
                server.reload(log=self.text)
            paths = [os.path.basename(os.path.realpath(each)) for each in pathlib.Path(f"/proc/{server.pid}/fd").iterdir()]
            self.assertEqual(paths.count("out"), 1)
            self.assertEqual(server.get("/own").status, 200)
            self.wait_for(message="by the application")
            self.assertEqual(server.stop(), 0)
            lines = [line["message"] for line in self.lines()]
            for text, count in ("(Shutting down: Master)", 1), ("by the application", 1), ("(Reload done)", 4):
                self.assertEqual(lines.count(text), count, text)

    def test_a_reload_keeps_the_logging_of_a_preloaded_application(self):
        app = APP + ("\nimport logging.config\n"
                     "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False, 'root': {'handlers': ['file']},\n"
                     "    'handlers': {'file': {'class': 'logging.FileHandler', 'filename': 'of-app'}}})\n")
        app = app.replace('if path == "/own":', 'logging.getLogger("shop").warning(path)\n    if path == "/own":')
        conf = OWN + f"\nlogconfig_dict = {config()!r}\nlogconfig_dict['formatters']['own']['()'] = Json\npreload_app = True\n"
        with self.serve("-c", "own.py", own=conf, app=app) as server:
            server.wait_for_serving(1)
            server.get("/before")
            server.reload(log=self.text)
            server.get("/after")
            pathlib.Path(self.place, "own.py").write_text(conf + "raise ValueError('it fails')\n")
            server.reload("failed", log=self.text)
            server.get("/later")
            self.assertEqual(self.text("of-app"), "/before\n/after\n/later\n")

    def test_a_reload_that_turns_it_off_brings_the_level_back(self):
        log = config()
        log["loggers"]["gunicorn.error"]["level"] = "CRITICAL"
        with self.serve("-c", "conf.ini", conf="[prefork]\nlogconfig_json = log.json\n", log=log) as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "conf.ini").write_text("[prefork]\n")
            server.reload()
            self.assertNotIn("Reload done", self.text())

    def test_loglevel_changes_nothing_while_a_configuration_has_a_level(self):
        conf = "[prefork]\nloglevel = critical\n"
        with self.serve("-c", "conf.ini", conf="[prefork]\nlogconfig_json = log.json\n", log=config()) as server:
            server.wait_for_serving(1)
            pathlib.Path(self.place, "conf.ini").write_text(conf + "logconfig_json = log.json\n")
            server.reload(log=self.text)
            server.get("/own")
            self.wait_for(message="by the application")
            self.wait_for(event="worker_exit")
            pathlib.Path(self.place, "conf.ini").write_text(conf)
            first = server.wait_for_serving(1)
            server.send_signal(signal.SIGHUP)
            server.wait_for_exit(first)
            pathlib.Path(self.place, "conf.ini").write_text("[prefork]\nloglevel = info\n")
            server.reload()
            self.assertEqual(server.log().count("event=reload_end"), 1)  # that of the last one

    def test_files_of_handlers_are_opened_again(self):
        with self.serve(settings=config()) as server:
            server.wait_for_serving(1)
            server.get("/own")
            self.wait_for(message="by the application")
            os.rename(pathlib.Path(self.place, "out"), pathlib.Path(self.place, "old"))
            server.send_signal(signal.SIGUSR1)
            harness.wait_until(lambda: server.get("/own") and self.has(message="by the application"), "a line in the new file")
            self.wait_for(event="signal", pid=server.pid)

    def test_a_preloaded_application(self):
        with self.serve("--preload", "--workers", "2", settings=config()) as server:
            server.wait_for_serving(2)
            self.assertEqual(server.get("/own").status, 200)
            self.wait_for(logger="gunicorn.error", message="by the application")
            self.wait_for(logger="gunicorn.access")

    def test_output_is_captured_beside_it(self):
        with self.serve("--capture-output", "--error-logfile", "errors", "--log-level", "critical", settings=config()) as server:
            server.wait_for_serving(1)
            server.get("/print")
            server.get("/errors")
            self.wait_for(logger="gunicorn.access")
            text = pathlib.Path(self.place, "errors").read_text()
            self.assertIn("\nprinted\n", "\n" + text)
            self.assertIn("\nto wsgi.errors\n", "\n" + text, "as written")

    def test_gunicorn_s_own_class_is_no_reason_for_python_in_the_arbiter(self):
        with self.serve("--logger-class", "gunicorn.glogging.Logger") as server:
            server.wait_for_serving(1)
            self.assertNotIn("lib-dynload", pathlib.Path(f"/proc/{server.pid}/maps").read_text())
            server.wait_for_log("event=worker_spawn")
            before = self.eventfds(server)
        with self.serve(settings=config()) as server:
            server.wait_for_serving(1)
            self.assertIn("lib-dynload", pathlib.Path(f"/proc/{server.pid}/maps").read_text())
            self.assertEqual(self.eventfds(server), before + 1)

    @staticmethod
    def eventfds(server):
        return sum("eventfd" in name for name in harness.open_files(server.pid))


if __name__ == "__main__":
    harness.main()

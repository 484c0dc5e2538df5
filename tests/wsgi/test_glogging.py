#!/usr/bin/python3
"""gunicorn.glogging of the program, imported from its source: levels, files, configurations, lines of the access log."""
import datetime
import io
import json
import logging
import os
import pathlib
import tempfile
import time
import types
import unittest

from gunicorn import glogging
from prefork_wsgi import loggers as program
from prefork_wsgi.log_lines import LineFormatter

DEFAULTS = dict(loglevel="info", errorlog="-", accesslog=None, access_log_format="%(h)s %(s)s", capture_output=False, syslog=False,
                disable_redirect_access_to_syslog=False, logconfig=None, logconfig_dict={}, logconfig_json=None)
ENVIRON = {"REQUEST_METHOD": "GET", "RAW_URI": "/a?b=1", "PATH_INFO": "/a", "QUERY_STRING": "b=1", "SERVER_PROTOCOL": "HTTP/1.1",
           "REMOTE_ADDR": "::1", "HTTP_USER_AGENT": 'a "quoted"\nagent', "HTTP_AUTHORIZATION": "Basic YW5uOmI6Yw=="}


def config(**settings):
    return types.SimpleNamespace(**{**DEFAULTS, **settings})


def response(**attributes):
    return types.SimpleNamespace(**{**dict(status="200 OK", sent=12, headers=[("X-Kind", "tea")]), **attributes})


REQUEST = types.SimpleNamespace(headers=[("ACCEPT", "*/*")])
TOOK = datetime.timedelta(days=1, seconds=2, microseconds=345678)


class Handler(logging.Handler):
    lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


class GloggingTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = pathlib.Path(place.name)
        self.addCleanup(program.State.files.clear)
        self.addCleanup(Handler.lines.clear)
        for name in None, "gunicorn.error", "gunicorn.access":
            self.addCleanup(logging.getLogger(name).handlers.clear)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def test_levels_are_those_of_the_settings_in_any_case(self):
        for text, number in ("debug", 10), ("INFO", 20), ("Critical", 50):
            log = glogging.Logger(config(loglevel=text))
            self.assertEqual((log.loglevel, log.error_log.level, log.access_log.level), (number, number, 20))

    def test_methods_write_to_gunicorn_error(self):
        path = str(self.directory / "log")
        log = glogging.Logger(config(loglevel="debug", errorlog=path))
        for name in "critical", "error", "warning", "info", "debug":
            getattr(log, name)("at %s", name)
            log.log(name, "by %s", name)
        log.log(35, "between")
        try:
            raise KeyError("lost")
        except KeyError:
            log.exception("caught")
        text = pathlib.Path(path).read_text()
        for name in "critical", "error", "warning", "info", "debug":
            self.assertRegex(text, rf"\[\d+\] \[{name.upper()}\] at {name}\n.*\[{name.upper()}\] by {name}\n")
        self.assertIn("between", text)
        self.assertIn("[ERROR] caught\nTraceback", text)

    def test_the_log_files_of_the_program_are_used_where_the_settings_name_them(self):
        error, access = io.StringIO(), io.StringIO()
        program.add_file("gunicorn.error", "-", error)
        program.add_file("gunicorn.access", "/access", access)
        log = glogging.Logger(config(accesslog="/access"))
        log.info("first")
        log.access(response(), REQUEST, ENVIRON, TOOK)
        log.setup(config(accesslog="/access"))
        log.info("second")
        self.assertEqual(error.getvalue().count("first"), 1)
        self.assertEqual(error.getvalue().count("second"), 1, "one handler after a second setup")
        self.assertEqual(access.getvalue(), "::1 200\n")

    def test_pairs_of_a_line_follow_its_message(self):
        record = logging.makeLogRecord({"msg": "Booting", "levelname": "INFO", "process": 7,
                                        "pairs": {"event": "worker_spawn", "name": 'a "b"', "empty": ""}})
        self.assertTrue(LineFormatter(program.ERROR_FORMAT).format(record).endswith(
            r'[7] [INFO] Booting event=worker_spawn name="a \"b\"" empty=""'))

    def test_atoms(self):
        log = glogging.Logger(config())
        atoms = log.atoms(response(), REQUEST, ENVIRON, TOOK)
        micros = 86402345678
        expected = dict(h="::1", l="-", u="ann", r="GET /a?b=1 HTTP/1.1", s="200", m="GET", U="/a", q="b=1", H="HTTP/1.1",
                        b="12", B=12, f="-", T=86402, D=micros, M=micros // 1000, L="86402.345678", p=f"<{os.getpid()}>")
        self.assertEqual({key: atoms[key] for key in expected}, expected)
        self.assertEqual([atoms[key] for key in ("{accept}i", "{x-kind}o", "{path_info}e")], ["*/*", "tea", "/a"])
        self.assertEqual(datetime.datetime.strptime(atoms["t"], "[%d/%b/%Y:%H:%M:%S %z]").year, time.localtime().tm_year)
        self.assertEqual(log.atoms(response(sent=0, status=204), {"Accept": "x"}, {}, TOOK)["b"], "-")

    def test_a_client_cannot_forge_a_line(self):
        atoms = glogging.SafeAtoms(glogging.Logger(config()).atoms(response(), REQUEST, ENVIRON, TOOK))
        self.assertEqual(atoms["a"], r'a \"quoted\"\nagent')
        self.assertEqual((atoms["{ACCEPT}i"], atoms["{missing}i"], atoms["z"]), ("*/*", "-", "-"))

    def test_the_access_log_is_off_without_a_setting(self):
        log = glogging.Logger(config())
        log.access_log.addHandler(Handler())
        log.access(response(), REQUEST, ENVIRON, TOOK)
        self.assertEqual(Handler.lines, [])
        log.cfg = config(syslog=True)
        log.access(response(), REQUEST, ENVIRON, TOOK)
        self.assertEqual(Handler.lines, ["::1 200"])

    def test_an_access_line_that_fails_is_an_error(self):
        log = glogging.Logger(config(accesslog="-"))
        log.error_log.addHandler(Handler())
        log.access(response(status=None, headers=None), REQUEST, ENVIRON, TOOK)
        self.assertIn("TypeError", Handler.lines[0])

    def test_configurations_and_their_order(self):
        def logging_to(format):
            return {"handlers": {"own": {"()": Handler, "formatter": "own"}}, "formatters": {"own": {"format": format}},
                    "root": {"handlers": []}, "loggers": {"gunicorn.error": {"handlers": ["own"], "level": "INFO"}}}
        text = json.dumps({**logging_to("json %(message)s"), "handlers": {"own": {"class": f"{__name__}.Handler", "formatter": "own"}}})
        ini = self.write("log.ini", "[loggers]\nkeys=root,e\n[handlers]\nkeys=own\n[formatters]\nkeys=own\n[logger_root]\nhandlers=\n"
                         "[logger_e]\nqualname=gunicorn.error\nlevel=INFO\nhandlers=own\npropagate=0\n"
                         "[handler_own]\nclass=logging.FileHandler\nargs=('%(here)s/out','a')\nformatter=own\n"
                         "[formatter_own]\nformat=ini %(message)s\n")
        all_three = dict(logconfig=ini, logconfig_json=self.write("log.json", text), logconfig_dict=logging_to("dict %(message)s"))
        glogging.Logger(config(**all_three)).info("one")
        glogging.Logger(config(**{**all_three, "logconfig_dict": {}})).info("two")
        self.assertEqual(Handler.lines, ["dict one", "json two"])
        log = glogging.Logger(config(logconfig=ini))
        log.info("three")
        os.rename(self.directory / "out", self.directory / "old")
        log.reopen_files()
        log.info("four")
        self.assertEqual([(self.directory / name).read_text() for name in ("old", "out")], ["ini three\n", "ini four\n"])

    def test_a_configuration_that_fails_says_why(self):
        for settings, why in ((dict(logconfig="/missing"), "'/missing' not found"),
                              (dict(logconfig_json=self.write("a", "{")), "JSONDecodeError"),
                              (dict(logconfig=self.write("b", "[loggers]\n")), "KeyError: .formatters"),
                              (dict(logconfig_dict={"handlers": {"h": {"class": "no.Such"}}}), "handler 'h'.*no")):
            with self.assertRaisesRegex(RuntimeError, why):
                glogging.Logger(config(**settings))


if __name__ == "__main__":
    unittest.main()

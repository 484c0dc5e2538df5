#!/usr/bin/python3
"""prefork-wsgi with a configuration file in Python, executed as gunicorn executes it."""
import collections
import contextlib
import os
import re
import subprocess

import harness
import test_statsd as statsd
from harness import wait_until

APP = '''
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("WORD", "none").encode()]
'''

# A line of a file, and what --print-config has of it.
VALUES = (
    ("workers = '3'", "workers = 3"),
    ("workers = 2 * 2 + 1", "workers = 5"),
    ("timeout = 120", "timeout = 2m"),
    ("timeout = '0'", "timeout = 0"),
    ("keepalive = True", "keepalive = 1s"),
    ("loglevel = 'INFO'", "loglevel = info"),
    ("loglevel = 'Warning'", "loglevel = warning"),
    ("bind = ['127.0.0.1:8001', '127.0.0.1:8002']", "bind = 127.0.0.1:8001\nbind = 127.0.0.1:8002"),
    ("bind = '127.0.0.1:8001,127.0.0.1:8002'", "bind = 127.0.0.1:8001\nbind = 127.0.0.1:8002"),
    ("bind = f'127.0.0.1:{8000 + 3}'", "bind = 127.0.0.1:8003"),
    ("reuse_port = 'true'", "reuse_port = yes"),
    ("daemon = False", "daemon = no"),
    ("umask = 0o27", "umask = 0027"),
    ("umask = '027'", "umask = 0027"),
    ("pidfile = None", "workers = 1"),
    ("user = None", "workers = 1"),
    ("accesslog = None", "workers = 1"),
    ("forwarded_allow_ips = '*'", "forwarded_allow_ips = *"),
    ("forwarded_allow_ips = ['10.0.0.1', '10.0.0.2']", "forwarded_allow_ips = 10.0.0.1\nforwarded_allow_ips = 10.0.0.2"),
    ("raw_env = ['A=1', 'B=2']", "raw_env = A=1\nraw_env = B=2"),
    ("secure_scheme_headers = {'X-FORWARDED-PROTO': 'https'}", "secure_scheme_headers = X-FORWARDED-PROTO=https"),
    ("worker_class = 'sync'\nthreads = 4", "worker_class = threads"),
    ("threads = 2", "worker_class = threads"),
    ("worker_class = 'gthread'", "worker_class = threads"),
    ("soft_timeout = 5", "soft_timeout = 5s"),
    ("globals()['workers'] = 6", "workers = 6"),
    ("locals()['workers'] = 6", "workers = 6"),
    ("globals().update(workers=7)", "workers = 7"),
    ("import own\nworkers = own.number", "workers = 8"),
    ("import os\nraw_env = ['N=' + __name__, 'F=' + os.path.basename(__file__)]", "raw_env = N=__config__\nraw_env = F=conf.py"),
    ("backlog = '0x40'", "backlog = 64"),
    ("sendfile = True", "workers = 1"),
    ("upgrade = __import__('os')", "workers = 1"),
)

# A line of a file that is refused, and the error message.
ERRORS = (
    ("workers = 'many'", r"conf\.py: workers: expected a whole number from 1 to 4096, not 'many'"),
    ("workers = 0", r"conf\.py: workers: expected a whole number from 1 to 4096, not '0'"),
    ("workers = -1", r"conf\.py: workers: expected a number from 0, not -1"),
    ("workers = 1.5", r"conf\.py: workers: expected a whole number, not 1\.5"),
    ("workers = None", r"conf\.py: workers: expected a whole number, not None"),
    ("bind = 8000", r"conf\.py: bind: expected a list of texts, not 8000"),
    ("pidfile = 3", r"conf\.py: pidfile: expected a text, not 3"),
    ("daemon = 'perhaps'", r"conf\.py: daemon: expected True or False, not 'perhaps'"),
    ("loglevel = 'loud'", r"conf\.py: loglevel: expected one of debug, info"),
    ("secure_scheme_headers = 'x'", r"conf\.py: secure_scheme_headers: expected a dictionary, not 'x'"),
    ("http2_cleartext = 'both'", r"conf\.py: http2_cleartext"),
    ("raise KeyError('x')", r"File \".*conf\.py\", line 1(?s:.*)conf\.py: KeyError: 'x'"),
    ("import absent_module", r"conf\.py: ModuleNotFoundError: No module named 'absent_module'"),
    ("workers = (", r"conf\.py: SyntaxError"),
    ("import sys\nsys.exit(0)", r"conf\.py: it exits \(sys\.exit\(0\)\)"),
)


def files_of(values):
    """The rows in as few files as possible, each of which has a setting once: a server starts for each."""
    files = []
    for row in values:
        names = set(re.findall("[a-z_]{4,}", row[0])) | set(re.findall("(?m)^[a-z_]+", row[1]))
        for have, rows in files:
            if not have & names:
                have |= names
                rows.append(row)
                break
        else:
            files.append((names, [row]))
    return [rows for have, rows in files]


class Print(harness.Case):
    """What --print-config and --check-config have of a file."""

    def run_it(self, *words, cwd, **env):
        # Of ASan: the interpreter keeps what it has allocated.
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env}
        return subprocess.run([harness.program("prefork-wsgi"), *words], cwd=cwd, env=env, text=True, capture_output=True,
                              timeout=30 * harness.PATIENCE)

    def in_force(self, *words, cwd, **env):
        done = self.run_it(*words, "--print-config", cwd=cwd, **env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_values_are_converted_to_the_type_of_the_setting(self):
        with self.directory(app_py=APP, own_py="number = 8") as directory:
            for lines in files_of(VALUES):
                with self.subTest(lines):
                    (directory / "conf.py").write_text("\n".join(line for line, expected in lines))
                    found = self.in_force("-c", "conf.py", "app:app", cwd=directory)
                    for line, expected in lines:
                        for each in expected.split("\n"):
                            self.assertRegex(found, f"(?m)^{re.escape(each)}$")

    def test_errors_name_the_file_and_the_setting(self):
        with self.directory(app_py=APP) as directory:
            for line, message in ERRORS:
                with self.subTest(line):
                    (directory / "conf.py").write_text(line)
                    done = self.run_it("-c", "conf.py", "app:app", "--check-config", cwd=directory)
                    self.assertEqual(done.returncode, 2)
                    self.assertRegex(done.stderr, message)
                    self.assertNotIn("config_file.py", done.stderr)  # no frame of ours

    def test_the_file_is_found_as_gunicorn_finds_it(self):
        with self.directory(app_py=APP, conf_py="workers = 2", settings_ini="[prefork]\nworkers = 4\n") as directory:
            (directory / "conf").write_text("# a program\n\nworkers = 3")
            (directory / "settings").write_text("; no program\n[prefork]\nworkers = 5\n")
            (directory / "gunicorn.conf.py").write_text("workers = 6")
            for words, workers in ((["-c", "conf.py"], 2), (["-c", "file:conf.py"], 2), (["-c", "python:conf"], 2), (["-c", "conf"], 3),
                                   (["-c", "settings.ini"], 4), (["-c", "settings"], 5), ([], 6), (["-c", "./gunicorn.conf.py"], 6)):
                with self.subTest(words):
                    self.assertIn(f"workers = {workers}\n", self.in_force(*words, "app:app", cwd=directory))
            self.assertIn("workers = 2\n", self.in_force("--chdir", directory, "-c", "conf.py", "app:app", cwd="/"))
            self.assertIn("workers = 6\n", self.in_force("--chdir", directory, "app:app", cwd="/"))
            done = self.run_it("-c", "absent.py", "app:app", "--check-config", cwd=directory)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"-c: .*absent\.py: No such file")

    def test_sources_have_gunicorns_precedence(self):
        with self.directory(app_py=APP, conf_py="workers = 3\nbind = '127.0.0.1:8003'\nforwarded_allow_ips = '3.3.3.3'\n",
                            other_py="timeout = 9\n") as directory:
            env = {"WEB_CONCURRENCY": "2", "PORT": "8002", "FORWARDED_ALLOW_IPS": "2.2.2.2"}
            for words, more, expected in (
                (["-c", "other.py"], {}, ("workers = 2", "bind = 0.0.0.0:8002", "forwarded_allow_ips = 2.2.2.2")),
                (["-c", "conf.py"], {}, ("workers = 3", "bind = 127.0.0.1:8003", "forwarded_allow_ips = 3.3.3.3")),
                (["-c", "conf.py"], {"GUNICORN_CMD_ARGS": "--workers=4 -b 127.0.0.1:8004"}, ("workers = 4", "bind = 127.0.0.1:8004")),
                (["-c", "conf.py", "-w5", "-b", "127.0.0.1:8005"], {"GUNICORN_CMD_ARGS": "--workers=4"},
                 ("workers = 5", "bind = 127.0.0.1:8005")),
                ([], {"GUNICORN_CMD_ARGS": "-c conf.py"}, ("workers = 3",)),
            ):
                with self.subTest((words, more)):
                    found = self.in_force(*words, "app:app", cwd=directory, **env, **more)
                    for each in expected:
                        self.assertRegex(found, f"(?m)^{re.escape(each)}$")

    def test_unknown_names_are_ignored_and_misspelt_settings_named(self):
        names = "log_level = 'debug'\nkeep_alive = 5\npreload = True\nmy_port = 3\ndebug = True\nimport os\n"
        with self.directory(app_py=APP, conf_py=names) as directory:
            done = self.run_it("-c", "conf.py", "app:app", "--check-config", cwd=directory)
            self.assertEqual(done.returncode, 0, done.stderr)
            for name, near in ("log_level", "loglevel"), ("keep_alive", "keepalive"), ("preload", "preload_app"):
                self.assertIn(f"conf.py: {name} is not a setting, and is ignored; did you mean {near}?", done.stderr)
            self.assertNotRegex(done.stderr, "my_port|debug is")

    def test_the_file_can_ask_for_a_check_of_the_application(self):
        with self.directory(app_py=APP, conf_py="check_config = True\nlog_level = 'info'\n") as directory:
            done = self.run_it("-c", "conf.py", "app:app", cwd=directory)
            self.assertEqual((done.returncode, done.stdout), (0, "prefork-wsgi: the configuration is valid\n"), done.stderr)
            self.assertIn("did you mean loglevel?", done.stderr)
            done = self.run_it("-c", "conf.py", "app:absent", cwd=directory)
            self.assertEqual((done.returncode, done.stdout), (4, ""))
            self.assertIn("The application app:absent does not load", done.stderr)

    def test_a_command_to_a_running_server_does_not_run_the_file(self):
        with self.directory(conf_py="open('ran', 'w')") as directory:
            done = self.run_it("-c", "conf.py", "--send-reload", "absent.pid", cwd=directory)
            self.assertEqual(done.returncode, 2)
            self.assertFalse((directory / "ran").exists())


class Served(harness.Case):
    def server(self, directory, *words, **more):
        return harness.Server([harness.program("prefork-wsgi"), *words], cwd=directory, **more)


class Serve(Served):
    def test_the_application_may_be_named_in_the_file_only(self):
        with self.directory(app_py=APP, conf_py="wsgi_app = 'app:app'\nraw_env = ['WORD=one']\n") as directory:
            with self.server(directory, "-c", "conf.py") as server:
                self.assertEqual(server.get("/").body, b"one")
                (directory / "conf.py").write_text("wsgi_app = 'app:app'\nraw_env = ['WORD=two']\n")
                server.reload()
                self.assertEqual(server.get("/").body, b"two")
                self.assertEqual(server.stop(), 0)

    def test_the_file_runs_once_at_the_start_and_twice_at_a_reload(self):
        counts = "import os\nwith open('runs', 'a') as file:\n    file.write(f'{os.getpid()}\\n')\nwsgi_app = 'app:app'\n"
        with self.directory(app_py=APP, conf_py=counts) as directory:
            with self.server(directory, "-c", "conf.py", "--threads", "2") as server:
                server.get("/")
                self.assertEqual((directory / "runs").read_text().split(), [str(server.pid)])
                server.reload()
                first, trial, second = (directory / "runs").read_text().split()
                self.assertEqual((first, second), (str(server.pid), str(server.pid)))
                self.assertNotEqual(trial, first)

    def test_modules_of_the_file_are_read_again_by_a_reload(self):
        conf = "import own, logging\nlogging.seen = getattr(logging, 'seen', 0) + 1\nraw_env = [f'WORD={own.word}{logging.seen}']\n"
        with self.directory(app_py=APP, own_py="word = 'one'", conf_py=conf) as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                self.assertEqual(server.get("/").body, b"one1")
                (directory / "own.py").write_text("word = 'second'")
                server.reload()
                self.assertEqual(server.get("/").body, b"second2")  # the standard library stays

    def test_check_config_has_no_effect_at_a_reload(self):
        with self.directory(app_py=APP, conf_py="") as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                (directory / "conf.py").write_text("check_config = True\nraw_env = ['WORD=new']\n")
                server.reload()
                self.assertEqual(server.get("/").body, b"new")

    def test_a_stop_and_another_reload_do_not_wait_for_a_trial(self):
        with self.directory(app_py=APP, conf_py="") as directory:
            with self.server(directory, "-c", "conf.py", "--config-timeout", "100", "app:app") as server:
                (directory / "conf.py").write_text("import time; open('began', 'w').close(); time.sleep(1000)")
                first = server.wait_for_serving(1)
                server.send_signal(harness.signal.SIGHUP)
                wait_until((directory / "began").exists, "the file is executed")  # it is read after the line in the log
                (directory / "conf.py").write_text("raw_env = ['WORD=new']")
                server.send_signal(harness.signal.SIGHUP)
                server.wait_for_log("verdict=superseded")
                server.wait_for_log("verdict=done", 20)
                server.wait_for_exit(first)
                self.assertEqual(server.get("/").body, b"new")
                (directory / "conf.py").write_text("import time; time.sleep(1000)")
                server.send_signal(harness.signal.SIGHUP)
                wait_until(lambda: server.log().count("event=reload_trial") == 3, "the trial", 20)
                self.assertEqual(server.stop(), 0)
                self.assertIn("verdict=stopped", server.log())

    def test_without_a_file_in_python_the_arbiter_has_no_interpreter(self):
        with self.directory(app_py=APP) as directory:
            with self.server(directory, "app:app") as server:
                self.assertEqual(server.get("/").status, 200)
                before = harness.memory_kib(server.pid)
                (directory / "gunicorn.conf.py").write_text("raw_env = ['WORD=late']")
                server.reload()
                self.assertEqual(server.get("/").body, b"late")
                self.assertGreater(harness.memory_kib(server.pid), before)
                os.unlink(directory / "gunicorn.conf.py")
                server.reload()
                self.assertEqual(server.get("/").body, b"none")

    def test_threads_and_processes_of_the_file_harm_nothing(self):
        conf = ("import subprocess, threading, time, multiprocessing\n"
                "workers = len(subprocess.check_output(['echo', '1']).split()) + 1\n"
                "threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()\n"
                "child = subprocess.Popen(['true'])\n")
        with self.directory(app_py=APP, conf_py=conf) as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                server.wait_for_serving(2)
                self.assertEqual(server.get("/").body, b"none")
                server.reload()
                self.assertEqual(server.get("/").body, b"none")
                self.assertEqual(server.stop(), 0)

    def test_a_process_that_the_file_forks_is_no_second_server(self):
        conf = "import os\nif os.fork() == 0:\n    open('child', 'w').write(str(os.getpid()))\n"
        with self.directory(app_py=APP, conf_py=conf) as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                self.assertEqual(server.get("/").body, b"none")
                wait_until(lambda: (directory / "child").exists() and (directory / "child").read_text(), "the child", 10)
                child = int((directory / "child").read_text())
                wait_until(lambda: harness.title(child) == "", "its end")
                self.assertEqual(server.log().count("event=start"), 1)

    def test_preload_keeps_the_modules_of_the_application(self):
        app = "import shared\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    return [str(id(shared)).encode()]\n"
        conf = "import shared, own\nraw_env = ['X=' + own.word]\npreload_app = True\n"
        with self.directory(app_py=app, shared_py="", own_py="word = 'a'", conf_py=conf) as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                before = server.get("/").body
                server.reload()
                self.assertEqual(server.get("/").body, before)

    def test_preload_keeps_the_modules_that_objects_of_the_application_are_from(self):
        """They were imported by the file before."""
        shared = "import functools\nclass Kind:\n    pass\n"
        made = {"function": "def made():\n    pass\n", "cached": "@functools.lru_cache\ndef made():\n    pass\n",
                "instance": "made = Kind()\n", "class": "made = Kind\n"}
        app = "".join(f"from shared_{name} import made as made_{name}\n" for name in made) + (
            "import os, sys\n"
            "def app(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            "    return [' '.join(sorted(name for name in sys.modules if name.startswith('shared_'))).encode()]\n")
        files = {f"shared_{name}_py": shared + source for name, source in made.items()}
        conf = "import sys\npreload_app = True\nif 'app' not in sys.modules:\n"
        conf += "".join(f"    import shared_{name}\n" for name in made)
        with self.directory(app_py=app, conf_py=conf, **files) as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                expected = " ".join(sorted(f"shared_{name}" for name in made)).encode()
                self.assertEqual(server.get("/").body, expected)
                server.reload()
                self.assertEqual(server.get("/").body, expected)

    def test_reloads_free_what_earlier_runs_of_the_file_have_made(self):
        own = ("import sys, weakref\n"
               "sys.runs = getattr(sys, 'runs', weakref.WeakSet())\n"
               "class Run:\n    pass\n"
               "run = Run()\n"
               "sys.runs.add(run)\n"
               "def function():\n    return run\n")
        conf = "import own, sys\nraw_env = [f'WORD={len(sys.runs)}']\n"
        with self.directory(app_py=APP, own_py=own, conf_py=conf) as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                for _ in range(5):
                    server.reload()
                self.assertLessEqual(int(server.get("/").body), 3, "the first one, that of before, and this one")

    def test_a_reload_does_not_use_objects_of_a_preloaded_application(self):
        app = ("import sys\n"
               "class Lazy:\n"
               "    @property\n"
               "    def __class__(self):\n"
               "        raise RuntimeError('it would connect')\n"
               "lazy = Lazy()\n"
               "sys.modules['blocked'] = None\n"
               "sys.modules['slots'] = type('Slots', (), {'__slots__': ()})()\n"
               "def app(environ, start_response):\n"
               "    start_response('200 OK', [])\n"
               "    return [b'ok']\n")
        with self.directory(app_py=app, conf_py="preload_app = True\n") as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                server.reload()
                self.assertEqual(server.get("/").body, b"ok")

    def test_preload_keeps_the_modules_of_the_application_when_the_first_file_appears(self):
        app = ("import shared\n"
               "def app(environ, start_response):\n"
               "    import shared as now\n"
               "    start_response('200 OK', [])\n"
               "    return [b'the same' if now is shared else b'another one']\n")
        with self.directory(app_py=app, shared_py="") as directory:
            with self.server(directory, "--preload", "app:app") as server:
                self.assertEqual(server.get("/").body, b"the same")
                (directory / "gunicorn.conf.py").write_text("import shared\n")
                for _ in range(2):
                    server.reload()
                    self.assertEqual(server.get("/").body, b"the same")

    def test_signal_handlers_of_the_file_do_not_outlive_a_reload(self):
        conf = "import signal\nfor each in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):\n    signal.signal(each, signal.SIG_IGN)\n"
        with self.directory(app_py=APP, conf_py="") as directory:
            with self.server(directory, "-c", "conf.py", "app:app") as server:
                (directory / "conf.py").write_text(conf)
                server.reload()
                server.reload()
                self.assertEqual(server.stop(), 0)


class Gevent(Served):
    """The file runs in the arbiter, which then has greenlets with every worker class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        harness.need_loop("gevent")

    def test_a_file_may_patch_the_standard_library(self):
        """monkey.patch_all() at the top, as some files have it; the hub of the arbiter is not that of the workers."""
        app = ("import time, threading\n"
               "def app(environ, start_response):\n"
               "    time.sleep(0.01)\n"
               "    thread = threading.Thread(target=time.sleep, args=(0.01,))\n"
               "    thread.start()\n"
               "    thread.join()\n"
               "    start_response('200 OK', [])\n"
               "    return [time.sleep.__module__.encode()]\n")
        conf = "from gevent import monkey\nmonkey.patch_all()\nimport time\ntime.sleep(0.01)\n"
        for flags in ("-k", "sync"), ("-k", "threads", "--threads", "2"), ("-k", "gevent"):
            with self.subTest(flags), self.directory(app_py=app, conf_py=conf + "config_timeout = 60\n") as directory:
                with self.server(directory, "-c", "conf.py", *flags, "app:app") as server:
                    self.assertEqual(server.get("/").body, b"gevent.hub")
                    (directory / "conf.py").write_text(conf + "config_timeout = 2\n")  # for the reload after this one
                    server.reload()
                    self.assertEqual(server.get("/").body, b"gevent.hub")
                    (directory / "conf.py").write_text(conf + "time.sleep(1000)\n")
                    server.reload("failed")
                    self.assertEqual(server.get("/").body, b"gevent.hub")
                    self.assertEqual(server.stop(), 0)

    CONF = """
from gevent import monkey
monkey.patch_all()
import os, time
def trace(hook):
    time.sleep(0.01)  # in the hub of this process
    with open("trace", "a") as file:
        file.write(f"{os.getpid()} {hook}\\n")
def on_starting(server): trace("on_starting")
def when_ready(server): trace("when_ready")
def pre_fork(server, worker): trace("pre_fork")
def post_fork(server, worker): trace("post_fork")
def post_worker_init(worker): trace("post_worker_init")
def pre_request(worker, req): trace("pre_request")
def post_request(worker, req, environ, resp): trace("post_request")
def worker_exit(server, worker): trace("worker_exit")
def child_exit(server, worker): trace("child_exit")
def on_exit(server): trace("on_exit")
logger = {"handlers": ["file"], "level": "INFO", "propagate": False}
logconfig_dict = {
    "version": 1, "root": {"handlers": []}, "formatters": {"own": {"format": "%(process)d %(name)s %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "out", "formatter": "own"}},
    "loggers": {"gunicorn.error": logger, "gunicorn.access": logger},
}
accesslog = "access"
"""

    def test_hooks_logging_and_metrics_of_a_file_that_patches(self):
        app = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"
        for flags in ("-k", "sync"), ("-k", "threads", "--threads", "2"), ("-k", "libev"), ("-k", "gevent"):
            with self.subTest(flags), self.directory(app_py=app, conf_py=self.CONF) as directory:
                receiver = statsd.Receiver()
                with contextlib.closing(receiver), self.server(
                        directory, "-c", "conf.py", *flags, "--statsd-host", receiver.address, "app:app") as server:
                    (worker,) = server.wait_for_serving(1)
                    for _ in range(5):
                        self.assertEqual(server.get("/").body, b"hello")
                    receiver.wait_for("gunicorn.requests", 5)
                    self.assertEqual(server.stop(), 0)
                    calls = collections.defaultdict(list)
                    for line in (directory / "trace").read_text().splitlines():
                        pid, hook = line.split()
                        calls[int(pid)].append(hook)
                    self.assertEqual(calls[server.pid], ["on_starting", "when_ready", "pre_fork", "child_exit", "on_exit"])
                    self.assertEqual(calls[worker][:2] + calls[worker][-1:], ["post_fork", "post_worker_init", "worker_exit"])
                    self.assertEqual(sorted(calls[worker][2:-1]), ["post_request"] * 5 + ["pre_request"] * 5)
                    out = (directory / "out").read_text()
                    self.assertIn(f"{server.pid} gunicorn.error Booting worker with pid: {worker}", out)
                    self.assertEqual(len(re.findall(f'{worker} gunicorn.access .*"GET / HTTP/1.1" 200', out)), 5)
                    self.assertEqual(receiver.counts["gunicorn.requests"], 5)


class FaultCase(Served):
    # What a file does at a reload, and what the verdict says of it.
    FAULTS = (
        ("raise KeyError('x')", "conf.py: KeyError: 'x'"),
        ("import time; time.sleep(1000)", "not done within 1 s (config_timeout)"),
        ("import sys; sys.exit(3)", "conf.py: it exits (sys.exit(3))"),
        ("import os; os.fork()", "must not fork"),
    )
    RARE_FAULTS = (
        ("import os; os._exit(0)", "exited with status 0, before it was done"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64)); time.sleep(1000)",
         "not read within 1.0 s (config_timeout)"),
        ("import subprocess; subprocess.run(['sleep', '1000'])", "not done within 1 s (config_timeout)"),
        ("import sys; sys.stdout.write('x' * 1000000); workers = 'many'", "conf.py: workers: expected"),
        ("backlog = 77", "backlog cannot be changed by a reload"),
    )

    def check_faults(self, faults, flags):
        """Each fault fails a reload with its verdict, and no request is lost."""
        late = [fault for fault in faults if "(config_timeout)" in fault[1]]
        others = [fault for fault in faults if fault not in late]  # may take longer than 1 s on a busy machine
        log = self.check_verdicts(late, *flags, "--config-timeout", "1") + self.check_verdicts(others, *flags)
        self.assertRegex(log, r"reload_trial_failed\n +Traceback.*\n.*conf\.py\", line 1")

    def check_verdicts(self, faults, *flags):
        with self.directory(app_py=APP, conf_py="") as directory:
            with self.server(directory, "-c", "conf.py", *flags, "app:app") as server, harness.Load(server) as load:
                workers = server.wait_for_serving(1)
                for source, message in faults:
                    (directory / "conf.py").write_text(source)
                    self.assertIn(message, server.reload("failed").partition("; the old")[0], source)
                wait_until(lambda: server.workers() == workers, "only the workers, after the exit of the last trial")
                load.wait_for(10)
                self.assertEqual(load.lost, [])
                return server.log()


class RareFault(FaultCase):
    def test_a_file_with_a_rare_fault_fails_the_reload(self):
        self.check_faults(self.RARE_FAULTS, ("-k", "threads"))


@harness.every_worker_class
class Fault(FaultCase):
    flags = ()

    def test_a_file_that_fails_at_a_reload_changes_nothing(self):
        self.check_faults(self.FAULTS, self.flags)


if __name__ == "__main__":
    harness.main()

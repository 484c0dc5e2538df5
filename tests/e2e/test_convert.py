#!/usr/bin/python3
"""prefork-wsgi --convert-config: a gunicorn.conf.py converted to a configuration file of prefork-wsgi."""
import re
import subprocess

import harness

CONFIG = r'''
import multiprocessing, os

cores = 2  # a helper, no setting
_private = 1
bind = ["127.0.0.1:8000", "unix:/tmp/a socket"]
workers = cores * 2 + 1
worker_class = "gthread"
threads = 4
timeout = 45
keepalive = 5
preload_app = True
raw_env = ["A=1 ; 2", 'QUOTED="x"']
pythonpath = "/one,/two"
accesslog = "-"
access_log_format = '%(h)s "%(r)s" ; %(s)s ' + "\\" * 3 + "x" * 150 + " tail\t"
errorlog = None
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
proc_name = os.path.basename("/srv/shop")
wsgi_app = "shop.wsgi:application"
daemon = False
umask = 0o027
max_requests = 1000
tmp_upload_dir = None
'''

LEFT_OUT = '''
statsd_host = "localhost:8125"
http2_cleartext = "both"
worker_class = "asgi"
worker_tmp_dir = "/dev/shm"
sendfile = False
when_ready = "shop.hooks.when_ready"
workers = 0
def post_fork(server, worker):
    pass
def helper(x):
    pass
on_exit = lambda server: None
'''

LONG_NAME = "a_long_package." * 20 + "wsgi:app"

COMMON = f'''
import multiprocessing, os

os.environ["NAME"] = "shop"
cores = multiprocessing.cpu_count()
def count():
    return min(cores, 4)
workers = count() * 2 + 1
worker_class = "sync"
threads = 2
loglevel = "WARNING"
timeout = int(os.environ.get("LIMIT", "30"))
if os.getenv("KEEP"):
    keepalive = 60
else:
    keepalive = 5
proc_name = os.environ["NAME"]
backlog = 2048
wsgi_app = "{LONG_NAME}"
sendfile = True
'''

MEANT = {
    "bind": ["127.0.0.1:8000", "unix:/tmp/a socket"], "workers": ["5"], "worker_class": ["threads"], "threads": ["4"],
    "max_requests": ["1000"], "timeout": ["45s"], "keepalive": ["5s"], "preload_app": ["yes"], "pythonpath": ["/one", "/two"],
    "accesslog": ["-"], "umask": ["0027"], "secure_scheme_headers": ["X-FORWARDED-PROTO=https"], "proc_name": ["shop"], "wsgi_app": ["shop.wsgi:application"],
}


# The value of worker_class in a file, and what is in force after the conversion: what the server itself accepts.
CLASSES = (
    ("'gthread'", "threads"), ("'libev'", "libev"), ("'gevent_pywsgi'", "gevent"),
    ("'gunicorn.workers.ggevent.GeventWorker'", "gevent"), ("'gunicorn.workers.sync.SyncWorker'", "sync"),
    ("'uvicorn.workers.UvicornWorker'", "uvicorn.workers.UvicornWorker"), ("'own:Loop'", "own:Loop"),
    ("'egg:meinheld#gunicorn_worker'", "egg:meinheld#gunicorn_worker"), ("__import__('own').Loop", "own.Loop"),
)


class Convert(harness.Case):
    def convert(self, path, *more):
        return subprocess.run([harness.program("prefork-wsgi"), "--convert-config", str(path), *more], text=True,
                              capture_output=True, timeout=30 * harness.PATIENCE)

    def in_force(self, path, *more):
        """The settings that a file results in: names and values, and the output of --print-config."""
        done = subprocess.run([harness.program("prefork-wsgi"), "-c", str(path), "--print-config", *more], text=True,
                              capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = {}
        for name, value in re.findall(r"(?m)^([a-z_]+) = (.*)$", done.stdout):
            found.setdefault(name, []).append(value.strip('"'))
        return found, done.stdout

    def test_its_output_is_read_back_with_the_same_meaning(self):
        with self.directory(gunicorn_conf_py="", conf_py=CONFIG) as directory:
            done = self.convert(directory / "conf.py")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            (directory / "prefork.ini").write_text(done.stdout)
            found, text = self.in_force(directory / "prefork.ini")
            for name, values in MEANT.items():
                self.assertEqual(found[name], values, name)
            joined = text.replace('" \\\n\t"', "")
            self.assertIn(r'raw_env = "A=1 \x3b 2"', joined)
            self.assertIn(r'raw_env = QUOTED="x"', joined)
            self.assertRegex(joined, r'access_log_format = "%\(h\)s \\"%\(r\)s\\" \\x3b %\(s\)s \\\\\\\\\\\\x{150} tail\\x09"')
            self.assertNotIn("cores", done.stdout)

    def test_settings_without_a_counterpart_are_named_with_the_remedy(self):
        with self.directory(conf_py=LEFT_OUT) as directory:
            done = self.convert(directory / "conf.py")
            self.assertEqual(done.returncode, 1)
            for message in ("http2_cleartext: not available", "worker_class: expected one of sync, threads", "post_fork: .*Python",
                            "on_exit: .*Python"):
                self.assertRegex(done.stdout, rf"(?m)^# {message}")
                self.assertRegex(done.stderr, rf"(?m)^{re.escape(str(directory))}/conf\.py: {message}")
            self.assertIn("not 'asgi', which is gunicorn's: ASGI is not implemented", done.stderr)
            self.assertNotIn("helper", done.stdout)
            self.assertRegex(done.stdout, "(?m)^# worker_tmp_dir: dropped, without effect: there are no heartbeat files")
            self.assertIn("worker_tmp_dir", done.stderr)
            self.assertIn("sendfile = no\n", done.stdout)
            self.assertIn("when_ready", done.stderr)
            self.assertRegex(done.stderr, "workers: expected a whole number from 1 to 4096, not '0'")
            (directory / "prefork.ini").write_text(done.stdout)
            self.in_force(directory / "prefork.ini", "app:app")

    def test_common_files_are_converted_with_the_same_meaning(self):
        with self.directory(conf_py=COMMON) as directory:
            done = self.convert(directory / "conf.py")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertLessEqual(max(map(len, done.stdout.encode().splitlines())), 185)
            (directory / "prefork.ini").write_text(done.stdout)
            found, text = self.in_force(directory / "prefork.ini", "app:app")
            joined = text.replace('" \\\n\t"', "")
            self.assertIn(f"wsgi_app = {LONG_NAME}\n", joined.replace("\"", ""))
            self.assertEqual((found["loglevel"], found["worker_class"], found["threads"]), (["warning"], ["threads"], ["2"]))
            for remark in (r"workers: value on this machine, from (multiprocessing\.)?cpu_count\(\)",
                           r"timeout: value on this machine, from os\.environ\.get\('LIMIT', '30'\)", r"keepalive: .*os\.getenv\('KEEP'\)",
                           r"proc_name: .*os\.environ\['NAME'\]"):
                self.assertRegex(" ".join(done.stdout.replace("\n#  ", "").split("\n")), "# " + remark)
                self.assertRegex(done.stderr, remark)
            self.assertNotIn("backlog: as", done.stderr)

    def test_worker_classes_are_those_of_the_server(self):
        with self.directory(own_py="class Loop: pass\n") as directory:
            for value, name in CLASSES:
                with self.subTest(value):
                    (directory / "conf.py").write_text(
                        f"import sys\nsys.path.insert(0, {str(directory)!r})\nworker_class = {value}\n")
                    done = self.convert(directory / "conf.py")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    (directory / "prefork.ini").write_text(done.stdout)
                    self.assertEqual(self.in_force(directory / "prefork.ini", "app:app")[0]["worker_class"], [name])

    def test_a_class_that_the_file_defines_cannot_be_named(self):
        with self.directory(conf_py="class Own: pass\nworker_class = Own\nlogger_class = Own\n") as directory:
            done = self.convert(directory / "conf.py")
            self.assertEqual(done.returncode, 1)
            for name in "worker_class", "logger_class":
                self.assertRegex(done.stderr, f"{name}: the class Own is in the file itself: move it to a module")
                self.assertNotRegex(done.stdout, f"(?m)^{name}")

    def test_a_failing_file_is_reported_with_its_line(self):
        with self.directory(conf_py="workers = 2\nbind = undefined_name\n") as directory:
            done = self.convert(directory / "conf.py")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("conf.py", done.stderr)
            self.assertIn("line 2", done.stderr)
            self.assertIn("undefined_name", done.stderr)
        done = self.convert("/nowhere/conf.py")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/conf.py", done.stderr)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""--paste: an application and settings from a file of PasteDeploy."""
import json
import os
import re
import subprocess
import unittest

import harness

APP = """
import json

def make(global_conf, **local_conf):
    def app(environ, start):
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"global": global_conf, "local": local_conf}).encode()]
    return app

def add_name(app, global_conf, name):
    def filtered(environ, start):
        return app(environ, lambda status, headers, *more: start(status, headers + [("X-Filter", name)], *more))
    return filtered
"""
FILE = """
[DEFAULT]
color = green
timeout = 7

[app:main]
paste.app_factory = shop:make
where = %(here)s

[app:admin]
paste.app_factory = shop:make
role = admin

[filter:name]
paste.filter_app_factory = shop:add_name
name = x

[pipeline:filtered]
pipeline = name admin
"""
SERVER = """
[server:main]
use = egg:gunicorn#main
host = 127.0.0.1
port = 1
workers = 3
threads = 2
proc_name = from-%(color)s
raw_env = NAME=a=b
post_fork = shop:make
config = other.py
"""
LOGGERS = """
[loggers]
keys = root, gunicorn.error
[handlers]
keys = own
[formatters]
keys = own
[logger_root]
level = INFO
handlers = own
[logger_gunicorn.error]
level = INFO
handlers = own
propagate = 0
qualname = gunicorn.error
[handler_own]
class = FileHandler
formatter = own
args = ("%(here)s/own.log",)
[formatter_own]
format = own format %(message)s
"""


def command(*words):
    return [harness.program("prefork-wsgi"), *words]


def serve(directory, *words, **more):
    return harness.Server(command(*words), cwd=directory, **more)


def need_paste_deploy():
    """PasteDeploy is a module of /usr/bin/python3, which may not be the interpreter of this test."""
    if subprocess.run(["/usr/bin/python3", "-c", "import paste.deploy"], capture_output=True, check=False).returncode != 0:
        raise unittest.SkipTest("PasteDeploy is not installed")


class Application(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need_paste_deploy()

    def conf(self, server):
        return json.loads(server.get("/").body)

    def test_the_application_has_its_configuration(self):
        with self.directory(shop_py=APP, shop_ini=FILE) as directory, serve(directory, "--paste", "shop.ini") as server:
            conf = self.conf(server)
            self.assertEqual(conf["local"], {"where": str(directory)})
            self.assertEqual(conf["global"], {"color": "green", "timeout": "7", "here": str(directory),
                                              "__file__": str(directory / "shop.ini")})

    def test_a_name_selects_another_application(self):
        with self.directory(shop_py=APP, shop_ini=FILE) as directory:
            with serve(directory, "--paster", directory / "shop.ini#admin") as server:
                self.assertEqual(self.conf(server)["local"], {"role": "admin"})
            with serve(directory, "--paste=shop.ini#filtered") as server:
                self.assertEqual(server.get("/").headers["X-Filter"], "x")

    def test_global_variables_are_those_of_the_command_line(self):
        with self.directory(shop_py=APP, shop_ini=FILE) as directory, \
                serve(directory, "--paste", "shop.ini", "--paste-global", "more=1", "--paste-global", r"a\=b=c\=d=e") as server:
            conf = self.conf(server)["global"]
            self.assertEqual((conf["more"], conf["a=b"]), ("1", "c=d=e"))

    def test_the_file_is_relative_to_the_start_and_the_code_to_chdir(self):
        with self.directory(shop_ini=FILE) as directory:
            (directory / "code").mkdir()
            (directory / "code" / "shop.py").write_text(APP)
            with serve(directory, "--paste", "shop.ini", "--chdir", "code") as server:
                self.assertEqual(self.conf(server)["local"], {"where": str(directory)})

    def test_every_way_to_load_it(self):
        with self.directory(shop_py=APP, shop_ini=FILE, conf_py="paste = 'shop.ini'\nraw_paste_global_conf = ['k=v']\n") as directory:
            for words in (("--preload", "--paste", "shop.ini"), ("-c", "conf.py"), ("-k", "libev", "--paste", "shop.ini"),
                          ("--paste", "shop.ini", "ignored:app")):
                with self.subTest(words=words), serve(directory, *words) as server:
                    conf = self.conf(server)
                    self.assertEqual(conf["global"]["color"], "green")
                    self.assertEqual(conf["global"].get("k"), "v" if "-c" in words else None)
            done = subprocess.run(command("--check-config", "--paste", "shop.ini"), cwd=directory, capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_edit_of_the_file_is_a_reload_with_its_new_settings(self):
        with self.directory(shop_py=APP, shop_ini=FILE + SERVER) as directory, \
                serve(directory, "--reload", "--canary-time", "20ms", "--paste", "shop.ini") as server:
            server.wait_for_serving(4)  # the reloader is one
            server_section = SERVER.replace("workers = 3", "workers = 1").replace("%(color)s", "green")  # proc_name stays
            (directory / "shop.ini").write_text(FILE.replace("green", "blue") + server_section)
            harness.wait_until(lambda: self.conf(server)["global"]["color"] == "blue", "the new configuration is served", 20)
            server.wait_for_serving(2)

    def test_loggers_in_the_file_are_the_logging_configuration(self):
        with self.directory(shop_py=APP, shop_ini=FILE + LOGGERS) as directory, serve(directory, "--paste", "shop.ini") as server:
            harness.wait_until(lambda: (directory / "own.log").exists() and
                               "own format Listening at" in (directory / "own.log").read_text(), "a line in own.log")
            self.assertEqual(server.get("/").status, 200)

    def test_a_configuration_file_whose_hook_changes_settings(self):
        conf = "def on_starting(server):\n    server.cfg.set('proc_name', 'own')\n    server.cfg.set('workers', 2)\n"
        with self.directory(shop_py=APP, shop_ini=FILE + SERVER.replace("workers = 3\nthreads = 2\n", ""),
                            conf_py=conf) as directory, \
                serve(directory, "--paste", "shop.ini", "-c", "conf.py") as server:
            server.wait_for_serving(2)
            self.assertEqual(self.conf(server)["global"]["color"], "green")
            self.assertEqual(server.log().count("post_fork is ignored"), 1)
            self.assertEqual(server.stop(), 0)

    def test_a_reload_reports_what_it_cannot_change(self):
        section = "[server:main]\nuse = egg:gunicorn\n"
        with self.directory(shop_py=APP, shop_ini=FILE + section + "backlog = 64\n") as directory, \
                serve(directory, "--paste", "shop.ini", "--canary-time", "0") as server:
            for file, text, place, value in (("shop.ini", FILE + section + "backlog = 77\n", "shop.ini: backlog", "77"),
                                             ("shop.ini", FILE + section, "default: backlog", "2048"),
                                             ("gunicorn.conf.py", "backlog = 99\n", "gunicorn.conf.py: backlog", "99")):
                (directory / file).write_text(text)
                self.assertIn(f"{place} cannot be changed by a reload (it is '64' and would become '{value}'): restart the server",
                              server.reload("failed"))
            (directory / "gunicorn.conf.py").unlink()
            (directory / "shop.ini").write_text(FILE + section + "backlog = 64\nworkers = 2\n")
            server.reload()
            self.assertEqual(server.get("/").status, 200)

    def test_loggers_that_are_added_are_in_force_after_a_reload(self):
        with self.directory(shop_py=APP, shop_ini=FILE) as directory, \
                serve(directory, "--preload", "--canary-time", "0", "--paste", "shop.ini") as server:
            self.assertEqual(server.get("/").status, 200)
            for kind in "own", "more":
                (directory / "shop.ini").write_text(FILE + LOGGERS.replace("own.log", f"{kind}.log"))
                log = directory / f"{kind}.log"
                server.reload(log=lambda: log.read_text() if log.exists() else "")
                self.assertIn("own format Reload done", log.read_text())


class Settings(harness.Case):
    """[server:main] is read without PasteDeploy."""

    def in_force(self, directory, *words, env=None):
        done = subprocess.run(command("--print-config", "--paste", "shop.ini", *words), cwd=directory, text=True, capture_output=True,
                              env={**os.environ, **(env or {})}, check=False)
        return dict(re.findall(r"(?m)^(\w+) = (.*)$", done.stdout)), done

    def expect(self, found, **wanted):
        self.assertEqual({name: found.get(name) for name in wanted}, wanted)

    def test_the_section_of_gunicorn_is_below_all_other_sources(self):
        with self.directory(shop_py=APP, shop_ini=FILE + SERVER, conf_py="workers = 4\nproc_name = 'file'\n",
                            prefork_ini="[prefork]\nbind = 127.0.0.1:5\n") as directory:
            found, done = self.in_force(directory)
            self.expect(found, workers="3", threads="2", bind="127.0.0.1:1", proc_name="from-green", raw_env="NAME=a=b",
                        worker_class="threads", timeout="30s")
            self.assertRegex(done.stderr, r"shop\.ini: post_fork is ignored: hooks are only in configuration files in Python")
            self.expect(self.in_force(directory, "-c", "conf.py")[0], workers="4", threads="2", proc_name="file")
            self.expect(self.in_force(directory, "-c", "prefork.ini")[0], bind="127.0.0.1:5", workers="3")
            self.expect(self.in_force(directory, "-w", "2", "-b", ":9", env={"GUNICORN_CMD_ARGS": "--threads 5"})[0], workers="2",
                        threads="5", bind=":9")
            self.expect(self.in_force(directory, env={"WEB_CONCURRENCY": "6"})[0], workers="3")

    def test_the_section_of_another_server_is_not_used(self):
        for use in ("egg:waitress#main", "egg:gunicorn-like#main"):
            with self.subTest(use=use), self.directory(shop_py=APP,
                                                       shop_ini=FILE + SERVER.replace("egg:gunicorn#main", use)) as directory:
                self.expect(self.in_force(directory)[0], workers="1", bind="127.0.0.1:8000")

    def test_errors_name_the_file(self):
        rows = (("workers = many", "", r"shop\.ini: workers: expected a whole number from 1.*'many'"),
                ("workers = 0", "", r"shop\.ini: workers: expected a whole number from 1"),
                ("proc_name = %(nothing)s", "", r"--paste: shop\.ini: .*nothing"),
                ("dirty_apps = a:B", "", "dirty_apps is gunicorn's, and not available"),
                ("", "[broken", r"--paste: shop\.ini: .*no section headers"))
        for line, start, message in rows:
            text = start + FILE + "[server:main]\nuse = egg:gunicorn\n" + line + "\n"
            with self.subTest(line=line), self.directory(shop_py=APP, shop_ini=text) as directory:
                done = self.in_force(directory)[1]
                self.assertEqual(done.returncode, 2, done)
                self.assertRegex(done.stderr, message)
        with self.directory(shop_py=APP) as directory:
            done = self.in_force(directory)[1]
            self.assertEqual((done.returncode, done.stderr), (2, "prefork-wsgi: --paste: shop.ini: No such file or directory\n"))
        with self.directory(shop_py=APP, shop_ini=FILE) as directory:
            self.assertRegex(self.in_force(directory, "--paste-global", "novalue")[1].stderr, "--paste-global: 'novalue' is not NAME=VALUE")


class Missing(harness.Case):
    def test_a_missing_package_is_named(self):
        """A package `paste` without `deploy` stands in front of an installed one."""
        with self.directory(shop_py=APP, shop_ini=FILE, paste_py="") as directory:
            done = subprocess.run(command("--check-config", "--paste", "shop.ini"), cwd=directory, text=True, capture_output=True,
                                  check=False)
            self.assertEqual(done.returncode, 4)
            self.assertIn("--paste needs the Python package PasteDeploy, which is not installed: pip install PasteDeploy, or "
                          "apt install python3-pastedeploy", done.stderr)

    def test_an_error_of_the_application_is_its_own(self):
        need_paste_deploy()
        with self.directory(shop_py="import absent_module\n", shop_ini=FILE) as directory, \
                serve(directory, "--paste", "shop.ini", wait=False) as server:
            self.assertEqual(server.wait(), 4)
            self.assertRegex(server.log(), r"The application shop\.ini does not load(?s:.*)No module named 'absent_module'")


if __name__ == "__main__":
    harness.main()

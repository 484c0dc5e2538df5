#!/usr/bin/python3
"""--reload: what it watches and by which engine, and the traceback while the code does not load."""
import contextlib
import os
import pwd
import subprocess
import sys

import harness

APP = "def app(environ, start):\n    start('200 OK', [('Content-Length', str(len(TEXT)))])\n    return [TEXT]\n"
ENGINES = ("inotify", "poll")


def serve(directory, *words, app="app:app", **more):
    return harness.Server([harness.program("prefork-wsgi"), "--workers", "1", "--canary-time", "20ms", *words, app],
                          cwd=directory, **more)


class Site:
    """A directory with an application, and its server."""

    def __init__(self, directory, server):
        self.directory, self.server = directory, server

    def edit(self, text, name="app.py", file=None):
        (self.directory / (file or name)).write_text(text + (APP if name.endswith(".py") else ""))

    def replace(self, text, name="app.py"):
        """An edit that is one change: during edit() the reloader may see the file empty, and reload twice."""
        self.edit(text, name, "beside")
        os.rename(self.directory / "beside", self.directory / name)

    def expect(self, text):
        harness.wait_until(lambda: self.server.get("/").body == text, f"{text} is served", 20)

    def wait_for_reload(self, name, count=1):
        harness.wait_until(lambda: self.server.log().count(f"{name} modified") >= count, f"{name} is modified", 20)
        self.wait_until_settled()

    def reloads(self):
        return self.server.log().count("Worker reloading")

    def wait_for_reloads(self, count):
        harness.wait_until(lambda: self.reloads() >= count, f"{count} reloads", 30)

    @contextlib.contextmanager
    def written_all_the_time(self, name):
        """A process writes the file, so that hardly two scans are equal. A reload that takes longer than 2 s is superseded by
        the next one, so that the code may not be served before the end of the block."""
        code = "import sys, time\nwhile True:\n    print('more', file=open(sys.argv[1], 'w'))\n    time.sleep(0.005)\n"
        writer = subprocess.Popen([sys.executable, "-c", code, self.directory / name])
        try:
            yield
        finally:
            writer.kill()
            writer.wait()

    def wait_until_settled(self):
        """Each reload has its verdict, and a new reloader has taken over and scanned all."""
        harness.wait_until(lambda: self.settled(), "the end of the reload", 20)

    def settled(self):
        log = self.server.log()
        return log.count("event=reload_end") == log.count("Worker reloading") and len(self.server.serving()) == 2


class Engines(harness.Case):
    """Each change is seen by each engine. The order of changes does not matter: a reload follows each."""
    engine = "inotify"

    def site(self, directory, *words, **more):
        return serve(directory, "--reload", "--reload-engine", self.engine, *words, **more)

    def test_code_is_edited_replaced_and_added(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP) as directory, self.site(directory) as server:
            site = Site(directory, server)
            site.expect(b"one")
            site.edit("TEXT = b'two'\n")
            site.expect(b"two")
            site.edit("TEXT = b'three'\n", "app.py~")
            with open(directory / "app.py~", "a", encoding="utf-8") as file:
                file.write(APP)
            os.rename(directory / "app.py~", directory / "app.py")
            site.expect(b"three")
            (directory / "new").mkdir()
            site.edit("TEXT = b'four'\n", "new/page.py")
            site.edit("from new.page import TEXT\n")
            site.expect(b"four")
            site.edit("TEXT = b'five'\n", "new/page.py")
            site.expect(b"five")
            self.assertNotIn("reload_polls", server.log())

    def test_links_to_files_and_directories_are_followed(self):
        with self.directory(app_py="from page import TEXT\nimport lib.part\n" + APP) as directory, self.directory() as outside:
            (outside / "part.py").write_text("")
            for version in "one", "two":
                (outside / version).mkdir()
                (outside / version / "page.py").write_text(f"TEXT = b'{version}'\n")
            (outside / "current").symlink_to("one")
            (directory / "page.py").symlink_to(outside / "current" / "page.py")
            (directory / "lib").symlink_to(outside)
            with self.site(directory) as server:
                site = Site(directory, server)
                site.expect(b"one")
                site.wait_until_settled()
                (outside / "next").symlink_to("two")
                os.rename(outside / "next", outside / "current")
                site.expect(b"two")
                site.wait_until_settled()
                (outside / "two" / "page.py").write_text("TEXT = b'three'\n")
                site.expect(b"three")
                site.wait_until_settled()
                (outside / "part.py").write_text("import page\npage.TEXT = b'four'\n")
                site.wait_for_reload("part.py")

    def test_extra_files_and_files_that_match_later_trigger(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP, notes_txt="", page_html="") as directory, \
                self.site(directory, "--reload-extra-file", "page.html", "--reload-extra-file", "views/**/*.html",
                          "--reload-extra-file", "late.ini") as server:
            site = Site(directory, server)
            server.wait_for_log("late.ini does not exist yet")
            site.wait_until_settled()
            (directory / "notes.txt").write_text("of no interest")
            site.replace("of interest", "page.html")
            site.wait_for_reload("page.html")
            (directory / "views" / "deep").mkdir(parents=True)
            site.replace("new", "views/deep/new.html")
            site.wait_for_reload("views/deep/new.html")
            (directory / "views" / "deep" / "new.html").unlink()
            site.wait_for_reload("views/deep/new.html", 2)
            site.replace("created", "late.ini")
            site.wait_for_reload("late.ini")
            self.assertEqual(server.log().count("Worker reloading"), 4)


    def test_an_edit_before_the_first_scan_is_seen(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP, page_html="") as directory:
            (directory / "gunicorn.conf.py").write_text(
                "import time\n"
                "def on_starting(server):\n"
                "    time.sleep(0.02)  # on Linux before 6.13 the time of a file is that of the last tick\n"
                "    with open('page.html', 'w') as file:\n        file.write('edited')\n")
            with self.site(directory, "--reload-extra-file", "page.html") as server:
                site = Site(directory, server)
                site.wait_for_reload("page.html")
                site.replace("TEXT = b'two'\n")
                site.wait_for_reload("app.py")
                self.assertEqual(server.log().count("Worker reloading"), 2)

    def test_a_file_that_is_written_all_the_time_does_not_prevent_a_reload(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP, page_html="") as directory, \
                self.site(directory, "--reload-extra-file", "page.html") as server:
            site = Site(directory, server)
            server.wait_for_serving(2)
            with site.written_all_the_time("page.html"):
                site.edit("TEXT = b'two'\n")
                site.wait_for_reloads(site.reloads() + 1)
            site.expect(b"two")

    def test_a_working_directory_may_be_named_as_a_pattern(self):
        with self.directory() as outside:
            directory = outside / "site[1]"
            directory.mkdir()
            (directory / "app.py").write_text("TEXT = b'one'\n" + APP)
            with self.site(directory, "--reload-extra-file", "*.html", "--reload-extra-file", "late.ini") as server:
                site = Site(directory, server)
                server.wait_for_log("late.ini does not exist yet")
                server.wait_for_serving(2)
                (directory / "page.html").write_text("of interest")
                site.wait_for_reload("site[1]/page.html")
                (directory / "late.ini").write_text("created")
                site.wait_for_reload("site[1]/late.ini")


harness.add_variant(Engines, "poll", engine="poll")


class Log(harness.Case):
    INI = """[loggers]
keys=root,error
[handlers]
keys=out
[formatters]
keys=own
[logger_root]
handlers=
[logger_error]
qualname=gunicorn.error
level=INFO
handlers=out
propagate=0
[handler_out]
class=StreamHandler
formatter=own
args=(sys.stderr,)
[formatter_own]
format=PYTHON %(message)s
"""

    def test_with_pythons_logging_the_lines_of_the_reloader_are_in_the_error_log(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP, log_ini=self.INI) as directory, \
                serve(directory, "--reload", "--log-config", "log.ini", "--reload-extra-file", "late.ini") as server:
            site = Site(directory, server)
            server.wait_for_log("late.ini does not exist yet")
            server.wait_for_log("PYTHON Listening at")
            server.wait_for_serving(2)
            site.expect(b"one")
            site.edit("TEXT = b'two'\n")
            site.expect(b"two")
            self.assertRegex(server.log(), r"app\.py modified .*event=code_changed pool=reload slot=0 pid=\d+")
            self.assertEqual(server.stop(), 0)


class Privileges(harness.Case):
    def test_the_reloader_of_workers_that_run_as_another_user_requests_reloads(self):
        if os.geteuid() != 0:
            self.skipTest("only root can change user and group")
        with self.directory(app_py="TEXT = b'one'\n" + APP) as directory:
            directory.chmod(0o755)
            with serve(directory, "--reload", "--user", "nobody", "--initgroups") as server:
                site = Site(directory, server)
                site.expect(b"one")
                users = sorted(os.stat(f"/proc/{pid}").st_uid for pid in server.wait_for_serving(2))
                self.assertEqual(users, [0, pwd.getpwnam("nobody").pw_uid])
                site.edit("TEXT = b'two'\n")
                site.expect(b"two")
                self.assertEqual(server.stop(), 0)


class Choice(harness.Case):
    def test_without_watches_the_reloader_polls(self):
        """A user namespace has a limit of its own."""
        unshare = harness.need_program("unshare")
        limit = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\""
        prefix = (unshare, "--user", "--map-root-user", "sh", "-c", limit, "sh")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no user namespace with its own limits")
        with self.directory(app_py="TEXT = b'one'\n" + APP) as directory, \
                serve(directory, "--reload", prefix=prefix) as server:
            site = Site(directory, server)
            server.wait_for_log("event=reload_polls")
            self.assertRegex(server.log(), r"checks all files each second.*inotify_add_watch: No space left on device "
                                           r"\(fs\.inotify\.max_user_watches\)")
            site.expect(b"one")
            site.replace("TEXT = b'two'\n")
            site.expect(b"two")
            site.wait_until_settled()
            self.assertEqual(server.log().count("event=reload_polls"), 2)  # one by each reloader

    def test_a_link_to_a_large_tree_delays_the_reloader_by_a_limited_scan(self):
        with self.directory() as large, self.directory(app_py="TEXT = b'one'\n" + APP) as directory:
            for number in range(4200):
                (large / str(number)).mkdir()
            (large / "again").symlink_to(large)
            (directory / "large").symlink_to(large)
            with serve(directory, "--reload", "--reload-engine", "poll") as server:
                site = Site(directory, server)
                server.wait_for_serving(2, 20)
                site.expect(b"one")
                self.assertRegex(server.log(), "--reload watches 4096 directories and leaves out others.* event=reload_limit ")
                site.replace("TEXT = b'two'\n")
                site.expect(b"two")
                site.wait_until_settled()
                self.assertEqual(server.log().count("event=reload_limit"), 2)  # one by each reloader

    def test_an_engine_of_another_name_is_refused(self):
        for words in ("--reload-engine", "package.Engine"), ("--reload", "--reload-engine", "watchdog"):
            with self.subTest(words=words), self.directory(app_py="TEXT = b''\n" + APP) as directory, \
                    serve(directory, *words, wait=False) as server:
                self.assertEqual(server.wait(), 2)
                self.assertRegex(server.log(), "--reload-engine: expected one of auto, poll(,| or) inotify")


@harness.every_worker_class
class Page(harness.Case):
    """What is served while the code does not load."""

    def site(self, directory, *words, **more):
        return serve(directory, *self.flags, *words, **more)

    def wait_for_page(self, server, text):
        return harness.wait_until(lambda: self.page(server, text), f"a page with {text}", 20)

    def page(self, server, text):
        response = server.get("/")
        return response if response.status == 500 and text in response.body else None

    def test_the_traceback_until_an_edit_loads(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP) as directory, self.site(directory, "--reload") as server:
            site = Site(directory, server)
            site.expect(b"one")
            site.edit("TEXT = (\n")
            response = self.wait_for_page(server, b"SyntaxError")
            site.wait_until_settled()  # the worker of before has exited
            self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")
            self.assertIn(b"app.py", response.body)
            self.assertIn(b"The application app:app does not load", response.body)
            head = server.request("HEAD")
            self.assertEqual((head.status, head.body), (500, b""))
            self.assertEqual(head.headers["Content-Length"], str(len(response.body)))
            self.assertEqual(server.request("POST", body=b"x" * 100000).status, 500)
            self.assertIn("event=failure_served", server.log())
            site.edit("import absent_module_\u00e9\nTEXT = b'<b>'\n")
            response = self.wait_for_page(server, "absent_module_\u00e9".encode())
            self.assertIn(b"Traceback (most recent call last)", response.body)
            site.edit("TEXT = b'two'\n")
            site.expect(b"two")
            self.assertEqual(server.stop(), 0)

    def test_a_server_that_starts_with_broken_code(self):
        for text, seen in (("import sys\nsys.exit('leave')\n", b"SystemExit: leave"), ("raise KeyError('k')\n", b"KeyError: 'k'"),
                           ("app = 3\n", b"not callable")):
            with self.subTest(text=text), self.directory(app_py=text) as directory, self.site(directory, "--reload") as server:
                self.wait_for_page(server, seen)
                Site(directory, server).edit("TEXT = b'well'\n")
                Site(directory, server).expect(b"well")

    def test_never_without_reload(self):
        with self.directory(app_py="TEXT = b'one'\n" + APP) as directory, self.site(directory) as server:
            site = Site(directory, server)
            site.expect(b"one")
            site.edit("TEXT = (\n")
            server.reload("failed")
            self.assertIn("SyntaxError", server.log())
            self.assertEqual(server.get("/").body, b"one")
        with self.directory(app_py="TEXT = (\n") as directory, self.site(directory, wait=False) as server:
            self.assertEqual(server.wait(), 4)
        with self.directory(app_py="TEXT = (\n") as directory, self.site(directory, "--reload", "--check-config", wait=False) as server:
            self.assertEqual(server.wait(), 4)


if __name__ == "__main__":
    harness.main()

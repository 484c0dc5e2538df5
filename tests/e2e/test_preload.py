#!/usr/bin/python3
"""What a worker has of its own, and what it gets from the arbiter: its slot, its environment, threads and connections."""
import collections
import os
import signal
import socket

import harness
import test_upgrade as upgrade

setUpModule = upgrade.setUpModule
WSGI = "prefork-wsgi"

# Each call of note() is a line of a file: where, pid, the slot for Python, for C and for the hooks, and a variable.
NOTES = """
import ctypes, os
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
def note(where, slot=None):
    words = [where, os.getpid(), os.environ.get("PREFORK_SLOT"), (getenv(b"PREFORK_SLOT") or b"None").decode(), slot,
             os.environ.get("CACHE"), os.environ.get("PLAIN")]
    fd = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, (" ".join(map(str, words)) + "\\n").encode())
    os.close(fd)
"""
APP = """
import notes
notes.note("import")
def app(environ, start_response):
    notes.note("request")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
HOOKS = """
import notes
def post_fork(server, worker):
    notes.note("post_fork", worker.slot)
def post_worker_init(worker):
    notes.note("post_worker_init", worker.slot)
"""
ENV = ("--env", "CACHE=/run/app-{slot}-{pid}", "--env", 'PLAIN={"a":{{slot}}}')
Note = collections.namedtuple("Note", "where pid python c hook cache plain")


def notes(directory, where):
    path = directory / "out"
    found = [Note(*line.split()) for line in path.read_text().splitlines()] if path.exists() else []
    return [note for note in found if note.where == where]


class Case(harness.Case):
    def serve(self, directory, *flags, kind=harness.Server, env=None, **more):
        return kind([harness.program(WSGI), *self.flags, *flags, "app:app"], cwd=directory,
                    env={"NOTES": str(directory / "out"), **(env or {})}, **more)

    def files(self, **more):
        return self.directory(notes_py=NOTES, app_py=APP, **more)

    def wait_for(self, directory, where, count):
        harness.wait_until(lambda: len(notes(directory, where)) >= count, f"{count} of {where}")
        return notes(directory, where)


@harness.every_worker_class
class Slots(Case):
    def check(self, found, slots):
        self.assertEqual(sorted(int(note.python) for note in found), sorted(slots))
        for note in found:
            self.assertEqual(note.c, note.python)
            self.assertIn(note.hook, (note.python, "None"))

    def check_environment(self, found):
        for note in found:
            self.assertEqual(note.cache, f"/run/app-{note.python}-{note.pid}")
            self.assertEqual(note.plain, '{"a":{slot}}')

    def test_a_replacement_has_the_slot_of_the_worker_that_has_exited(self):
        with self.files() as directory, self.serve(directory, "-w", "3", *ENV) as server:
            server.wait_for_serving(3)
            found = self.wait_for(directory, "import", 3)
            self.check(found, [0, 1, 2])
            self.check_environment(found)
            for slot in "1", "2":
                killed = next(note for note in reversed(notes(directory, "import")) if note.python == slot)
                before = len(notes(directory, "import"))
                os.kill(int(killed.pid), signal.SIGKILL)
                fresh = self.wait_for(directory, "import", before + 1)[-1]
                self.check([fresh], [int(slot)])
                self.check_environment([fresh])
                server.wait_for_serving(3)
            self.assertEqual(server.stop(), 0)

    def test_a_preloaded_application_sees_the_slot_of_each_worker(self):
        with self.files(conf_py=HOOKS) as directory, \
                self.serve(directory, "-c", "conf.py", "--preload", "-w", "2", *ENV) as server:
            server.wait_for_serving(2)
            (first,) = notes(directory, "import")
            self.assertEqual((int(first.pid), first.python, first.c, first.cache), (server.pid, "None", "None", "None"))
            self.assertEqual(first.plain, '{"a":{slot}}')
            self.check(self.wait_for(directory, "post_fork", 2), [0, 1])
            self.check(self.wait_for(directory, "post_worker_init", 2), [0, 1])
            self.check_environment(notes(directory, "post_worker_init"))
            self.assertEqual(server.get().body, b"hello")
            (request,) = notes(directory, "request")
            self.check([request], [int(request.python)])
            self.check_environment([request])
            self.assertEqual(server.stop(), 0)

    def test_workers_that_overlap_have_different_slots(self):
        with self.files() as directory, self.serve(directory, "-w", "2", "--canary-time", "0", *ENV) as server:
            server.wait_for_serving(2)
            server.reload()
            canary = self.wait_for(directory, "import", 3)[2]
            self.assertNotIn(canary.python, [note.python for note in notes(directory, "import")[:2]])
            self.assertEqual(server.stop(), 0)


class Starts(Case):
    def test_the_slot_of_another_server_s_worker_is_not_this_one_s(self):
        """An arbiter that a worker has started, and the arbiter that follows it by an upgrade."""
        with self.files() as directory, self.serve(
                directory, "--preload", "--upgrade", "automatic", "--canary-time", "0", kind=upgrade.Server,
                env={"PREFORK_SLOT": "7"}) as server:
            for count in 1, 2:
                server.wait_for_serving(1)
                imported = self.wait_for(directory, "import", count)[-1]
                self.assertEqual((int(imported.pid), imported.python, imported.c), (server.pid, "None", "None"))
                self.assertEqual(server.get().body, b"hello")
                request = notes(directory, "request")[-1]
                self.assertEqual((request.python, request.c), ("0", "0"))
                if count == 1:
                    server.upgrade()
            self.assertEqual(server.stop(), 0)

    def test_hooks_do_not_see_variables_that_the_arbiter_has_taken(self):
        conf = ("import os\nbefore = os.environ.get('PREFORK_SLOT')\n"
                "def on_starting(server):\n"
                "    server.log.info('variables: %s %s', before, [each for each in ('PREFORK_SLOT', 'NOTIFY_SOCKET', 'HOME')"
                " if each in os.environ])\n")
        with self.files(conf_py=conf) as directory, self.serve(
                directory, "-c", "conf.py", env={"PREFORK_SLOT": "7", "NOTIFY_SOCKET": "/nowhere/socket", "HOME": "/"}) as server:
            server.wait_for_log("variables: 7 ['HOME']")
            server.wait_for_serving(1)
            self.assertEqual(server.stop(), 0)

    def test_check_config_imports_as_the_worker_in_slot_0(self):
        for flags, slot in ((), "0"), (("--preload",), None):
            with self.files() as directory, self.serve(directory, "--check-config", *flags, *ENV, bind=None) as server:
                self.assertEqual(server.wait(), 0, server.log())
                (imported,) = notes(directory, "import")
                self.assertEqual(imported.cache, f"/run/app-0-{imported.pid}" if slot else "None")


# In the arbiter: threads, and connections of several kinds.
ALIVE = """
import os, socket, sqlite3, threading
def wait(ready):
    ready.set()
    threading.Event().wait()
def begin(name):
    ready = threading.Event()
    threading.Thread(target=wait, args=(ready,), name=name, daemon=True).start()
    ready.wait()
class Pool:
    def __init__(self):
        self.connections = [socket.create_connection(("127.0.0.1", int(os.environ["PEER"])))]
"""
ALIVE_APP = """
import alive
from alive import *
begin("poller")
database = sqlite3.connect("file.db")
pool = Pool()
ends = socket.socketpair()
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
ALIVE_CONF = """
import alive, sqlite3
alive.begin("of the file")
def when_ready(server):
    alive.begin("of when_ready")
def pre_fork(server, worker):
    if not hasattr(server, "kept"):
        server.kept = sqlite3.connect("file.db")
def on_reload(server):
    alive.begin("of the reload")
"""
SILENT = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"


@harness.every_worker_class
class Alive(Case):
    """The lines that name what workers do not get."""

    def named(self, server):
        return [line.partition("] [WARNING] ")[2] for line in server.log().splitlines() if "event=preload_" in line and
                "event=preload_privileged" not in line]

    def setUp(self):
        self.peer = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.peer.close)
        self.env = {"PEER": str(self.peer.getsockname()[1])}

    def test_a_preloaded_application_s_are_named_once(self):
        with self.directory(alive_py=ALIVE, app_py=ALIVE_APP) as directory, \
                self.serve(directory, "--preload", "-w", "2", "--canary-time", "0", env=self.env) as server:
            server.wait_for_serving(2)
            threads = [] if self.flags in harness.GREENLETS else [
                "Thread 'poller' of module alive does not exist in workers: start it in post_fork or post_worker_init "
                "event=preload_thread"]  # else it is a greenlet, and workers have a copy
            expected = threads + [
                f"Connection to 127.0.0.1:{self.env['PEER']} of module app is shared by all workers: open it in post_fork or "
                "post_worker_init event=preload_connection",
                "Connection sqlite3.Connection of module app is shared by all workers: open it in post_fork or post_worker_init "
                "event=preload_connection"]
            self.assertEqual(sorted(self.named(server)), sorted(expected))
            self.assertEqual(server.get().body, b"hello")
            server.reload()
            self.assertEqual(len(self.named(server)), len(expected))
            self.assertEqual(server.stop(), 0)

    def test_those_of_a_configuration_file_and_of_a_reload_are_named(self):
        with self.directory(alive_py=ALIVE, app_py=SILENT, conf_py=ALIVE_CONF) as directory, \
                self.serve(directory, "-c", "conf.py", "--canary-time", "0", "--config-timeout", "2m", env=self.env) as server:
            server.wait_for_serving(1)
            first = self.named(server)
            self.assertEqual([line.split(" of module")[0] for line in sorted(first)[1:]],
                             ["Thread 'of the file'", "Thread 'of when_ready'"])
            self.assertIn("Connection sqlite3.Connection of module gunicorn.arbiter is shared", sorted(first)[0])
            server.reload()
            later = self.named(server)[len(first):]
            self.assertTrue(any("'of the reload'" in line for line in later), later)
            self.assertEqual(server.stop(), 0)


class Silent(Case):
    def test_nothing_is_named_if_there_is_nothing(self):
        conf = "import socket, sqlite3\nends = socket.socketpair()\nsqlite3.connect('file.db').close()\n"
        for flags in ("--preload",), ("-c", "conf.py"), ("--preload", "-c", "conf.py"), ():
            with self.directory(app_py=SILENT, conf_py=conf) as directory, self.serve(directory, *flags) as server:
                server.wait_for_serving(1)
                self.assertEqual(server.get().body, b"hello")
                self.assertNotIn("event=preload_", server.log())
                self.assertEqual(server.stop(), 0)

    def test_a_limited_number_of_lines(self):
        app = "import alive\nfor number in range(13):\n    alive.begin(f'thread {number:02}')\n" + SILENT
        with self.directory(alive_py=ALIVE, app_py=app) as directory, self.serve(directory, "--preload") as server:
            server.wait_for_serving(1)
            self.assertEqual(server.log().count("event=preload_thread"), 10)
            self.assertIn("And 3 more threads and connections of the arbiter event=preload_more", server.log())
            self.assertEqual(server.stop(), 0)

    def test_names_of_sockets_that_are_no_text(self):
        app = ("import socket\nkept = []\n"
               "for name in b'\\0\\xff%d' % __import__('os').getpid(), b'peer-\\xff', b'\\0a\\0\\n%d' % __import__('os').getpid():\n"
               "    server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)\n"
               "    server.bind(name)\n"
               "    server.listen()\n"
               "    client.connect(name)\n"
               "    kept.extend((server, client))\n") + SILENT
        with self.directory(app_py=app) as directory, self.serve(directory, "--preload") as server:
            server.wait_for_serving(1)
            pid = server.pid
            for name in rf"@\xff{pid}", r"peer-\xff", rf"@a\x00\n{pid}":
                self.assertIn(f"Connection to unix:{name} of module app is shared", server.log().replace("\\\\", "\\"))
            self.assertNotIn("cannot be examined", server.log())
            self.assertEqual(server.get().body, b"hello")
            self.assertEqual(server.stop(), 0)

    def test_an_application_that_breaks_the_search_does_not_fail_the_start(self):
        app = "import sys\nsys._current_frames = None\n" + SILENT
        with self.directory(app_py=app) as directory, self.serve(directory, "--preload") as server:
            server.wait_for_serving(1)
            self.assertEqual(server.get().body, b"hello")
            self.assertIn("Threads and connections of the arbiter cannot be examined: TypeError", server.log())
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""The hooks of a configuration file in Python: processes, order, arguments, attributes, and what follows their errors."""
import collections
import os
import ssl
import unittest

import harness
from harness import signal
from harness_tls import Authority, TlsClient

WSGI = "prefork-wsgi"
GUNICORN = "/usr/bin/gunicorn"

APP = """
import os, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang":
        time.sleep(600)
    body = " ".join([environ["wsgi.url_scheme"], environ.get("HTTP_X_HOOK", "-"), environ.get("HTTP_X_OLD", "-"), path,
                     environ["QUERY_STRING"], f"{os.getpid():07}"]).encode()
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([body, b"."])
    if path == "/fail":
        raise ValueError("of the application")
    if path == "/file":
        start_response("200 OK", [("Content-Length", "6")])
        return environ["wsgi.file_wrapper"](open("file.txt", "rb"))
    start_response("201 Made", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

# Each hook appends a line to a file: its process, its name, its arguments, and attributes.
TRACE = """
import os
KINDS = {"SyncWorker": "Worker", "ThreadWorker": "Worker"}
def kind(value):
    return repr(value) if value is None or isinstance(value, (int, str)) else \\
        KINDS.get(type(value).__name__, type(value).__name__)
def trace(hook, *arguments, more=""):
    fd = os.open(os.environ["TRACE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, f"{os.getpid()} {hook}({', '.join(map(kind, arguments))}) {more}\\n".encode())
    os.close(fd)
def on_starting(server):
    server.mark = "set by on_starting"
    trace("on_starting", server, more=f"{server.pid == os.getpid()} {len(server.WORKERS)} {server.address[0][0]}")
def when_ready(server):
    trace("when_ready", server, more=f"{len(server.LISTENERS)} {server.LISTENERS[0].getsockname()[0]} {server.mark}")
def nworkers_changed(server, new_value, old_value):
    trace("nworkers_changed", server, new_value, old_value, more=f"{server.num_workers} {server.cfg.workers}")
def pre_fork(server, worker):
    worker.mark = worker.age * 2
    trace("pre_fork", server, worker, more=f"{worker.pid} {worker.mark} {worker.alive} {worker.booted} {worker.nr}")
def post_fork(server, worker):
    trace("post_fork", server, worker, more=f"{worker.pid == os.getpid()} {worker.ppid == server.pid} {worker.mark} "
          f"{worker.cfg.proc_name} {server.mark} {worker.pid in server.WORKERS}")
def post_worker_init(worker):
    trace("post_worker_init", worker, more=f"{worker.wsgi is worker.app.callable} {worker.app.wsgi() is worker.wsgi} "
          f"{worker.alive} {worker.booted}")
def worker_int(worker):
    trace("worker_int", worker, more=str(worker.alive))
def worker_abort(worker):
    trace("worker_abort", worker, more=str(worker.alive))
def worker_exit(server, worker):
    trace("worker_exit", server, worker, more=f"{worker.alive} {worker.pid == os.getpid()}")
def child_exit(server, worker):
    trace("child_exit", server, worker, more=f"{worker.mark} {worker.pid in server.WORKERS} {server.pid == os.getpid()}")
def on_reload(server):
    trace("on_reload", server, more=server.mark)
def pre_exec(server):
    trace("pre_exec", server, more=f"{server.pid == os.getppid()}")
def on_exit(server):
    trace("on_exit", server, more=f"{len(server.LISTENERS)}")
def pre_request(worker, req):
    trace("pre_request", worker, req, more=f"{req.method} {req.uri} {req.path} {req.query} {req.version} {req.scheme} "
          f"{req.headers} {worker.pid == os.getpid()}")
    req.mark = "set by pre_request"
    req.headers.append(("X-HOOK", "yes"))
    req.headers[:] = [each for each in req.headers if each[0] != "X-OLD"]
    req.scheme = "https"
def post_request(worker, req, environ, resp):
    trace("post_request", worker, req, environ, resp, more=f"{req.mark} {environ['PATH_INFO']} {resp.status} "
          f"{resp.status_code} {resp.sent} {resp.response_length} {resp.headers}")
max_requests = 4
graceful_timeout = 20
abort_timeout = "30s"  # ours, for the hooks of a quick stop
"""


def server_of(directory, *flags, env=None, **more):
    command = [harness.program(WSGI), "-c", "conf.py", *flags, "app:app"]
    return harness.Server(command, cwd=directory, env={"TRACE": str(directory / "trace"), **(env or {})}, **more)


def lines(directory):
    path = directory / "trace"
    return path.read_text().splitlines() if path.exists() else []


def by_process(directory):
    """The calls of each process, in the order of their first one."""
    found = collections.defaultdict(list)
    for line in lines(directory):
        pid, _, call = line.partition(" ")
        found[int(pid)].append(call)
    return found


def name_of(call):
    return call.partition("(")[0]


class Case(harness.Case):
    def files(self, conf, **more):
        return self.directory(conf_py=conf, app_py=APP, file_txt="a file", **more)

    def wait_for(self, directory, text, count):
        return harness.wait_until(lambda: sum(text in line for line in lines(directory)) >= count, f"{count} of {text}")

    def ends(self, conf, *flags):
        """Start a server that ends by itself: its status and its log."""
        with self.files(conf) as directory, server_of(directory, *flags, wait=False) as server:
            return server.wait(), server.log()


class Life(Case):
    """The whole life of a server, by signals; and the same one under gunicorn."""
    HEADERS = {"Host": "example.org", "X-Old": "1"}

    def live(self, command, stop):
        """The calls in the arbiter, and those of each worker."""
        with self.files(TRACE) as directory:
            environment = {"TRACE": str(directory / "trace")}
            with harness.Server([*command, "-c", "conf.py", "app:app"], cwd=directory, env=environment) as server:
                self.steps(directory, server)
                pid = server.pid
                self.assertEqual(server.stop(stop), 0)
            found = by_process(directory)
        return found.pop(pid), list(found.values())

    def steps(self, directory, server):
        init, child = "post_worker_init(", "child_exit("
        self.wait_for(directory, init, 1)
        server.get("/path?query=1", headers=self.HEADERS)
        self.wait_for(directory, "post_request(", 1)
        server.send_signal(signal.SIGTTIN)
        self.wait_for(directory, init, 2)
        if server.arguments[0] != GUNICORN:  # which ends the oldest worker, though the other one may be booting
            server.wait_for_log("2 of 2 workers ready")
        server.send_signal(signal.SIGTTOU)
        self.wait_for(directory, child, 1)
        server.send_signal(signal.SIGHUP)
        self.wait_for(directory, init, 3)
        self.wait_for(directory, child, 2)
        os.kill(server.wait_for_workers(1)[0], signal.SIGKILL)
        self.wait_for(directory, child, 3)
        self.wait_for(directory, init, 4)
        for _ in range(4):  # max_requests
            server.get("/path?query=1", headers=self.HEADERS)
        self.wait_for(directory, child, 4)
        self.wait_for(directory, init, 5)
        server.get("/path?query=1", headers=self.HEADERS)  # the last worker has booted
        self.wait_for(directory, "post_request(", 6)
        server.wait_for_workers(1)

    def check(self, arbiter, workers):
        """What each process does by itself, whatever the other server does."""
        self.assertEqual([name_of(call) for call in arbiter][:4], ["nworkers_changed", "on_starting", "when_ready", "pre_fork"])
        self.assertIn("nworkers_changed(Arbiter, 1, None)", arbiter[0])
        self.assertIn("nworkers_changed(Arbiter, 2, 1)", " ".join(arbiter))
        self.assertEqual(name_of(arbiter[-1]), "on_exit")
        self.assertEqual(len(workers), 5)
        for calls in workers:
            self.assertEqual([name_of(call) for call in calls][:2], ["post_fork", "post_worker_init"])

    def same(self, stop):
        if not os.access(GUNICORN, os.X_OK):
            self.skipTest("gunicorn is not installed")
        theirs, their_workers = self.live([GUNICORN], stop)
        ours, our_workers = self.live([harness.program(WSGI)], stop)
        self.check(ours, our_workers)
        # A rollout starts the new worker first, so that the order of these two differs; all else is equal.
        rollout = ("pre_fork", "child_exit")
        self.assertEqual([call for call in ours if name_of(call) not in rollout],
                         [call for call in theirs if name_of(call) not in rollout])
        self.assertEqual(sorted(call for call in ours if name_of(call) in rollout),
                         sorted(call for call in theirs if name_of(call) in rollout))
        self.assertEqual(sorted(map(str, our_workers)), sorted(map(str, their_workers)))

    def test_the_calls_are_those_of_gunicorn(self):
        self.same(signal.SIGTERM)

    def test_the_calls_of_a_quick_stop_are_those_of_gunicorn(self):
        self.same(signal.SIGINT)


@harness.every_worker_class
class Requests(Case):
    """pre_request and post_request under each class; the hooks of the worker around them."""

    def test_both_hooks_of_requests(self):
        with self.files(TRACE.replace("max_requests = 4", "")) as directory, server_of(directory, *self.flags) as server:
            self.wait_for(directory, "post_worker_init(", 1)
            got = server.get("/whole?x=1", headers={"X-Old": "1"})
            self.assertEqual(got.body.decode().split()[:5], ["https", "yes", "-", "/whole", "x=1"])
            self.assertEqual(server.get("/pieces").status, 200)
            self.assertEqual(server.get("/file").body, b"a file")
            self.assertEqual(server.get("/fail").status, 500)
            self.wait_for(directory, "post_request(Worker, Request, dict, Response)", 4)  # in any order, under threads
            calls = "\n".join(lines(directory))
            self.assertIn("set by pre_request /whole 201 Made 201 " + str(len(got.body)), calls)
            self.assertRegex(calls, r"set by pre_request /pieces 200 OK 200 [0-9]+ None")
            self.assertIn("set by pre_request /file 200 OK 200 6 6 [('Content-Length', '6')]", calls)
            self.assertIn("GET /whole?x=1 /whole x=1 (1, 1) http [('HOST', ", calls)
            worker = server.wait_for_workers(1)[0]
            self.assertEqual(server.stop(), 0)
            names = [name_of(call) for call in by_process(directory)[worker]]
            self.assertEqual(names[:2] + names[-1:], ["post_fork", "post_worker_init", "worker_exit"])
            self.assertEqual(sorted(names[2:-1]), ["post_request"] * 4 + ["pre_request"] * 4)


class Places(Case):
    """Before the fork and after it, sockets per worker, upgrades, users."""

    def test_preload_and_reuse_port(self):
        conf = TRACE + "preload_app = True\nreuse_port = True\nworkers = 2\n"
        with self.files(conf) as directory, server_of(directory) as server:
            self.wait_for(directory, "post_worker_init(", 2)
            self.assertEqual(server.get("/x").status, 201)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(sum(name_of(call) == "child_exit" for call in by_process(directory)[server.pid]), 2)

    def test_a_file_that_appears_and_vanishes_at_reloads(self):
        names = "pre_fork", "post_fork", "on_reload", "child_exit", "on_exit"
        conf = "".join(f"def {name}({'server, worker' if 'fork' in name or 'child' in name else 'server'}):\n"
                       f"    with open('trace', 'a') as file:\n        file.write('{name}\\n')\n" for name in names)
        with self.directory(app_py=APP) as directory:
            with harness.Server([harness.program(WSGI), "app:app"], cwd=directory) as server:
                (directory / "gunicorn.conf.py").write_text(conf)
                server.reload()
                self.assertEqual(lines(directory), ["on_reload", "pre_fork", "post_fork"])
                os.unlink(directory / "gunicorn.conf.py")
                server.reload()
                self.assertEqual(len(lines(directory)), 3)
                (directory / "gunicorn.conf.py").write_text(conf)
                server.reload()
                self.wait_for(directory, "child_exit", 1)
                self.assertEqual(lines(directory)[3:], ["on_reload", "pre_fork", "post_fork", "child_exit"])
                self.assertEqual(server.stop(), 0)
                self.assertEqual(lines(directory)[7:], ["child_exit", "on_exit"])

    def test_pre_exec_runs_in_the_process_of_an_upgrade(self):
        with self.files(TRACE + "upgrade = 'automatic'\n") as directory, server_of(directory) as server:
            self.wait_for(directory, "post_worker_init(", 1)
            server.send_signal(signal.SIGUSR2)
            self.wait_for(directory, "on_exit(", 1)
            self.assertEqual(server.wait(), 0)
            found = by_process(directory)
            new = [pid for pid, calls in found.items() if name_of(calls[0]) == "pre_exec"]
            self.assertEqual(len(new), 1)
            self.assertEqual([name_of(call) for call in found[new[0]]][:4],
                             ["pre_exec", "nworkers_changed", "on_starting", "when_ready"])
            self.assertIn("pre_exec(Arbiter) True", found[new[0]][0])
            os.kill(new[0], signal.SIGTERM)
            harness.wait_until(lambda: harness.start_time(new[0]) is None, "the new arbiter has ended")

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_post_fork_has_the_privileges_of_the_arbiter(self):
        conf = """
import os, subprocess, signal
def post_fork(server, worker):
    worker.first = os.getuid()
    worker.mask = subprocess.run(["grep", "SigBlk", "/proc/self/status"], capture_output=True).stdout.split()[1]
def post_worker_init(worker):
    worker.log.info("first %s then %s mask %s", worker.first, os.getuid(), worker.mask)
user = "nobody"
"""
        with self.files(conf) as directory:
            directory.chmod(0o755)
            with server_of(directory) as server:
                server.wait_for_log("first 0 then 65534 mask b'0000000000000000'")


class Settings(Case):
    """What a hook of the start can change."""

    def test_on_starting_can_set_settings(self):
        conf = """
def on_starting(server):
    server.cfg.set("workers", 2)
    server.cfg.set("proc_name", "named")
    assert server.cfg.workers == 2
def when_ready(server):
    server.log.info("ready: %s workers", server.cfg.workers)
"""
        with self.files(conf) as directory, server_of(directory) as server:
            server.wait_for_log("ready: 2 workers")
            server.wait_for_serving(2)
            self.assertIn("named: arbiter", harness.title(server.pid))

    def test_on_starting_can_set_a_list(self):
        conf = '''
import os
def on_starting(server):
    server.cfg.set("raw_env", ["FIRST=old"])
    server.cfg.set("raw_env", ["FIRST=1,5", "SECOND=2"])
def post_worker_init(worker):
    worker.log.info("variables: %s and %s", os.environ["FIRST"], os.environ["SECOND"])
'''
        with self.files(conf) as directory, server_of(directory) as server:
            server.wait_for_log("variables: 1,5 and 2")

    def test_num_workers_can_be_set(self):
        conf = TRACE.replace("def when_ready(server):", "def when_ready(server):\n    server.num_workers += 1")
        with self.files(conf) as directory, server_of(directory) as server:
            self.wait_for(directory, "nworkers_changed(Arbiter, 2, 1)", 1)
            server.wait_for_workers(2)

    def test_the_worker_class_has_a_class_and_gunicorns_name(self):
        conf = """
def when_ready(server):
    server.log.info("class %s of %s", server.worker_class.__name__, server.cfg.worker_class_str)
"""
        for flags, text in (((), "SyncWorker of sync"), (("--threads", "2"), "ThreadWorker of gthread"),
                            (("-k", "threads"), "ThreadWorker of gthread"), (("-k", "gthread"), "ThreadWorker of gthread"),
                            (("-k", "libev"), "ThreadWorker of libev")):
            with self.subTest(flags), self.files(conf) as directory, server_of(directory, *flags) as server:
                server.wait_for_log(f"class {text}")

    def test_a_hook_can_be_a_dotted_name(self):
        with self.files("when_ready = 'other.ready'\n", other_py="def ready(server): server.log.warning('by name')\n") \
                as directory, server_of(directory) as server:
            server.wait_for_log("by name")

    def test_arguments_are_counted_when_the_file_is_read(self):
        for conf, text in (("def pre_fork(server): pass", "pre_fork"), ("post_request = lambda worker: None", "post_request"),
                           ("on_exit = 'os.nothing'", "on_exit"), ("when_ready = 3", "when_ready"),
                           ("def on_dirty_starting(arbiter): pass", "on_dirty_starting")):
            with self.subTest(conf):
                status, log = self.ends(conf + "\n")
                self.assertEqual(status, 2, log)
                self.assertIn(text, log)


class Errors(Case):
    """What follows an exception: the start ends, everything later goes on."""

    def test_a_hook_that_fails_at_the_start_ends_it(self):
        for conf, expected in (("def on_starting(server): 1 / 0", 1), ("def when_ready(server): 1 / 0", 1),
                               ("def nworkers_changed(server, new, old): 1 / 0", 1),
                               ("import sys\ndef on_starting(server): sys.exit(7)", 7)):
            with self.subTest(conf):
                status, log = self.ends(conf + "\n")
                self.assertEqual(status, expected, log)
                self.assertIn("Traceback (most recent call last)", log)
                self.assertNotIn("Booting worker", log)

    def test_later_failures_are_logged_and_the_arbiter_lives(self):
        conf = """
import os, sys, time
mode = "mode"
def has(word):
    return os.path.exists(word) and (os.unlink(word) or True)
def nworkers_changed(server, new, old):
    if old is not None: raise ValueError("of nworkers_changed")
def pre_fork(server, worker):
    if has("pre_fork"): raise ValueError("of pre_fork")
def child_exit(server, worker):
    if has("exit"): sys.exit(9)
    if has("hang"): time.sleep(600)
    if has("slow"): time.sleep(1.1)
    raise ValueError("of child_exit")
def on_reload(server):
    raise ValueError("of on_reload")
def post_request(worker, req):
    raise ValueError("of post_request")
def worker_exit(server, worker):
    raise ValueError("of worker_exit")
hook_timeout = "500ms"
"""
        with self.files(conf) as directory, server_of(directory) as server:
            first = server.wait_for_workers(1)[0]
            self.assertEqual(server.get("/x").status, 201)
            server.wait_for_log("of post_request")
            (directory / "exit").touch()
            (directory / "pre_fork").touch()
            os.kill(first, signal.SIGKILL)
            server.wait_for_log("The hook child_exit has failed: SystemExit: 9")
            server.wait_for_log("Cannot start a worker in pool web: the hook pre_fork has failed: ValueError: of pre_fork")
            second = server.wait_for_serving(1)[0]
            server.send_signal(signal.SIGTTIN)
            server.wait_for_log("of nworkers_changed")
            server.wait_for_serving(2)
            (directory / "hang").touch()
            os.kill(second, signal.SIGKILL)
            server.wait_for_log("child_exit: not done within 0.5 s (hook_timeout)")
            third = server.wait_for_serving(2)[0]
            self.assertIn("the hook on_reload has failed: ValueError: of on_reload", server.reload("failed"))
            self.assertIn(third, server.workers())
            self.assertEqual(server.get("/x").status, 201)
            self.assertEqual(server.stop(), 0)
            self.assertIn("of worker_exit", server.log())

    def test_only_hooks_that_the_file_has_get_a_timer(self):
        conf = """
import signal
real = signal.setitimer
def setitimer(*arguments):
    open("timers", "a").write(f"{arguments}\\n")
    return real(*arguments)
signal.setitimer = setitimer
"""
        for hook, expected in (("", False), ("def child_exit(server, worker): server.log.info('called')\n", True)):
            with self.subTest(hook), self.files(conf + hook) as directory, server_of(directory) as server:
                worker = server.wait_for_serving(1)
                os.kill(worker[0], signal.SIGKILL)
                harness.wait_until(lambda: server.workers() != worker, "the worker is replaced")
                self.assertEqual(server.get("/x").status, 201)
                self.assertEqual(server.stop(), 0)
                self.assertEqual((directory / "timers").exists(), expected)

    def test_a_slow_hook_is_named(self):
        conf = "import time\ndef when_ready(server): time.sleep(1.05)\n"
        with self.files(conf) as directory, server_of(directory) as server:
            server.wait_for_log("The hook when_ready took ")  # on a busy machine another one may be slow before
            self.assertRegex(server.log(), r"The hook when_ready took [0-9]{4,} ms: .* event=hook_slow")

    def test_a_worker_that_cannot_be_prepared_does_not_boot(self):
        for hook in "def post_fork(server, worker)", "def post_worker_init(worker)":
            with self.subTest(hook):
                status, log = self.ends(TRACE + hook + ": raise ValueError('not today')\n")
                self.assertEqual(status, 3, log)
                self.assertIn("ValueError: not today", log)

    def test_pre_request_that_fails(self):
        conf = TRACE + "def pre_request(worker, req): raise ValueError('of pre_request')\n"
        conf += "def post_request(worker, req, environ, resp): trace('post_request', worker, req, environ, resp)\n"
        with self.files(conf) as directory, server_of(directory) as server:
            self.assertEqual(server.get("/x").status, 500)
            self.wait_for(directory, "post_request(Worker, Request, dict, None)", 1)
            server.wait_for_log("of pre_request")

    def test_a_child_that_a_hook_forks_does_not_become_a_server(self):
        conf = """
import os
def child(server):
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
    # The child returns into the server, without an exec.
def on_starting(server): child(server)
def when_ready(server): child(server)
def pre_fork(server, worker): child(server)
def child_exit(server, worker): child(server)
def post_fork(server, worker): child(server)
def post_worker_init(worker): child(None)
def pre_request(worker, req): child(None)
def post_request(worker, req): child(None)
"""
        with self.files(conf) as directory, server_of(directory) as server:
            worker = server.wait_for_serving(1)
            for _ in range(3):
                self.assertEqual(server.get("/x").status, 201)
            self.assertEqual(server.workers(), worker)
            os.kill(worker[0], signal.SIGKILL)
            harness.wait_until(lambda: server.workers() != worker, "the worker is replaced")
            server.wait_for_serving(1)
            self.assertEqual(server.stop(), 0)


class Aborts(Case):
    """worker_abort: before the worker is killed, if Python can run."""

    def test_a_hanging_request(self):
        for flags in (("-k", "sync"), ("-k", "threads", "--threads", "2")):
            with self.subTest(flags), self.files(TRACE) as directory, \
                    server_of(directory, *flags, "--timeout", "3", "--abort-timeout", "10") as server:
                worker = server.wait_for_workers(1)[0]
                self.wait_for(directory, "post_worker_init(", 1)
                with server.connect() as client:
                    client.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.wait_for(directory, "child_exit(", 1)
                self.assertEqual([name_of(call) for call in by_process(directory)[worker]],
                                 ["post_fork", "post_worker_init", "pre_request", "worker_abort", "worker_exit"])
                server.wait_for_log("WORKER TIMEOUT")


class Tls(Case):
    """ssl_context: what it chooses is in force, and what TLS here does not have is refused."""

    CONTEXT = """
import ssl
certfile, keyfile = "server.pem", "server.key"
def ssl_context(config, default_ssl_context_factory):
    context = default_ssl_context_factory()
    assert config.certfile == "server.pem" and context.verify_mode == ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1", "other"])
    {}
"""

    def test_the_context_becomes_settings(self):
        with self.files(self.CONTEXT.format("return context")) as directory:
            authority = Authority(directory)
            authority.issue(directory / "server.pem", directory / "server.key", "localhost")
            with server_of(directory) as server:
                with self.assertRaises(ssl.SSLError):
                    TlsClient(server, authority.context(ssl.TLSVersion.TLSv1_2))
                context = authority.context(ssl.TLSVersion.TLSv1_3)
                context.set_alpn_protocols(["other"])
                with TlsClient(server, context) as client:
                    self.assertEqual(client.socket.selected_alpn_protocol(), "other")
                server.reload()

    def test_without_a_certificate_it_is_not_called_and_costs_nothing(self):
        conf = """
import sys
def ssl_context(config, default_ssl_context_factory):
    raise ValueError("called")
def when_ready(server):
    server.log.info("imported: %s", "ssl" in sys.modules)
"""
        with self.files(conf) as directory, server_of(directory) as server:
            server.wait_for_log("imported: False")

    def test_what_it_cannot_express_is_refused(self):
        for line, text in (("return ssl.create_default_context()", "change the object that default_ssl_context_factory()"),
                           ("return None", "ssl_context returns None"),
                           ("context.sni_callback = print", "use the setting certificates"),
                           ("context.load_cert_chain('a', 'b', 'secret')", "passphrase"),
                           ("context.keylog_filename = 'x'", "keylog_filename is not available"),
                           ("context.maximum_version = ssl.TLSVersion.TLSv1_2", "cannot be switched off")):
            with self.subTest(line):
                status, log = self.ends(self.CONTEXT.format(line + "\n    return context"))
                self.assertEqual(status, 2, log)
                self.assertIn(text, log)


if __name__ == "__main__":
    harness.main()

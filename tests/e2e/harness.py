"""For every end-to-end test: a server as a child process, clients, and waiting with a deadline.

    class Hello(harness.Case):
        def test_a_request_gets_a_response(self):
            with harness.Server([harness.program("prefork-wsgi"), "hello:app"], cwd=APPS) as server:
                self.assertEqual(server.get("/").status, 200)

    if __name__ == "__main__":
        harness.main()

Tests wait for events, never for time to pass; each wait names its event, and TEST_PATIENCE multiplies its limit.
Programs are found below the build directory BUILD_ROOT of the environment. If a process that a Server started
outlives its block, the test fails.
"""
import contextlib
import functools
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from harness_clients import Response, Client, Load
from harness_processes import (PATIENCE, begin_command, children, context_switches, cpu_seconds, end_command, fd_count,
                               memory_kib, need_program, open_files, start_time, title, tree, wait_for_quiet,
                               wait_for_sleep, wait_until, waits_exclusively)
from harness_server import Nginx, Server, free_port

__all__ = ["Response", "Case", "Client", "Load", "Nginx", "Server", "Shared", "add_variant", "begin_command", "children",
           "context_switches", "cpu_seconds", "end_command", "every_worker_class", "fd_count", "free_port",
           "has_worker_class", "main", "memory_kib", "need_files", "need_ipv6", "need_module", "need_program",
           "need_speed", "open_files", "program", "shares", "signal", "start_time", "title", "tree", "wait_for_quiet",
           "wait_for_sleep", "wait_until"]

SOURCE_ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD_ROOT = pathlib.Path(os.environ.get("BUILD_ROOT") or ".").resolve()

# For tests of every worker class: suffix of the test name, and flags. TEST_LOOPS=1 runs them under Python's loops.
LOOPS = ("gevent", "eventlet", "tornado")
GREENLETS = (("-k", "gevent"), ("-k", "eventlet"))  # flags of classes that replace what blocks
WORKER_CLASSES = tuple((name, ("-k", name)) for name in LOOPS) if os.environ.get("TEST_LOOPS") else (
    ("sync", ("-k", "sync")),
    ("threads", ("-k", "threads", "--threads", "4")),
    ("libev", ("-k", "libev")),
    ("libev_offload", ("-k", "libev", "--threads", "4")),
)


def program(name):
    """The path of a built program; skips the test if this build does not have it."""
    for place in ("examples/wsgi", f"examples/{name}", "examples/embed", "examples/jobs", "examples", "tools", "tests/e2e"):
        path = BUILD_ROOT / place / name
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise unittest.SkipTest(f"this build has no {name}")


def need_ipv6():
    """Skip the test if the machine has no ::1."""
    try:
        free_port("::1")
    except OSError as error:
        raise unittest.SkipTest(f"no IPv6 on this machine: {error}") from None


def need_module(name):
    """Skip the test if a Python module is not installed."""
    try:
        __import__(name)
    except ImportError as error:
        raise unittest.SkipTest(str(error)) from None


@functools.lru_cache(maxsize=None)
def is_sanitized(path):
    """Whether a program has been built with a sanitizer of addresses or threads."""
    return any(name in pathlib.Path(path).read_bytes() for name in (b"__asan_init", b"__tsan_init"))


def need_speed():
    """Skip the test in a sanitized build, where it would take minutes and tell nothing more: tests/run has it run with the
    release."""
    if is_sanitized(program("http_hello")):
        raise unittest.SkipTest("run with the release")


def need_loop(name):
    """Skip the test unless the worker class of this name runs: a loop of Python. Sanitizers do not see that greenlets
    exchange parts of the stack."""
    need_module(name)
    if is_sanitized(program("prefork-wsgi")) and name in ("gevent", "eventlet"):
        raise unittest.SkipTest("greenlets do not run in a sanitized program")


@functools.lru_cache(maxsize=None)
def has_worker_class(flags):
    """Whether this build has the worker class: it logs an error otherwise."""
    probe = Server([program("http_hello"), *flags], bind="127.0.0.1:0")
    with probe:
        wait_until(lambda: probe.process.poll() is not None or probe.children_once(), "a worker, or an exit")
        return "no worker class" not in probe.log()


def need_files():
    """Skip the test if this build reads no configuration file: it exits with an error then."""
    with tempfile.NamedTemporaryFile() as empty:
        done = subprocess.run([program("http_hello"), "--config", empty.name, "--check-config"], capture_output=True,
                               check=False, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(done.stderr.strip())


def every_worker_class(case):
    """Decorator of a Case: runs it once for each row of WORKER_CLASSES, as NAME_sync and so on, with the flags of the row
    in `flags`. Tests of a class that this build does not have are skipped."""
    for name, flags in WORKER_CLASSES:
        add_variant(case, name, flags=flags)


def add_variant(case, name, **attributes):
    """Add a Case with these attributes to the module of `case`."""
    name = f"{case.__name__}_{name}"
    setattr(sys.modules[case.__module__], name, type(name, (case,), {"__module__": case.__module__, **attributes}))


def shares(server, count, path="/pid"):
    """How many of `count` connections, one after the other, each worker accepts. The path returns its pid.

    The kernel wakes the first of the workers that wait, and after 16 connections or fewer that one waits behind the others:
    the shares are equal, give or take 16. On a busy machine the scheduler decides which workers wait, so that each
    connection is made when all of them sleep."""
    workers = server.workers()
    wait_until(lambda: all(waits_exclusively(pid, server.port) for pid in workers), "connections wake one worker each")
    accepted = dict.fromkeys(workers, 0)
    for _ in range(count):
        wait_for_sleep(workers)
        accepted[int(server.get(path).body)] += 1
    return list(accepted.values())


class Shared:
    """For a Case whose tests only send requests: one server for all of them, made by the class method `make`."""
    server = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.make()
        cls.server.start()
        try:
            wait_until(cls.server.serving, "all workers serve", 60)  # no request has to wait for the import
        except AssertionError:
            cls.server.end()
            print(cls.server.log(), file=sys.stderr)
            cls.server.output.close()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.server:
            status, stranded = cls.server.stop(), cls.server.end()
            log = cls.server.log()
            cls.server.output.close()
            if status != 0 or stranded or "Sanitizer" in log:
                raise AssertionError(f"status {status}, left behind {stranded}; the log:\n{log}")


class Case(unittest.TestCase):
    """A test case that shows complete values, and fails if this process leaks descriptors."""
    maxDiff = None
    longMessage = True
    flags = ()

    @classmethod
    def setUpClass(cls):
        if cls.flags and cls.flags[1] in LOOPS:
            need_loop(cls.flags[1])
        elif cls.flags and not has_worker_class(cls.flags):
            raise unittest.SkipTest(f"this build has no worker class {cls.flags[1]}")

    @contextlib.contextmanager
    def directory(self, **files):
        """A temporary directory; each keyword is a file in it: app_py="..." is app.py."""
        with tempfile.TemporaryDirectory(prefix="prefork-e2e-") as name:
            for file, text in files.items():
                stem, _, suffix = file.rpartition("_")
                pathlib.Path(name, f"{stem}.{suffix}").write_text(text)
            yield pathlib.Path(name)

    def run(self, result=None):
        before, began = fd_count("self"), time.monotonic()
        super().run(result)
        durations.append((time.monotonic() - began, self.id()))
        after = fd_count("self")
        if result is not None and after > before and result.wasSuccessful():
            result.addFailure(self, (AssertionError, AssertionError(
                f"descriptors of the test itself: {before} before, {after} after"), None))


durations = []


class _PartLoader(unittest.TestLoader):
    """With PART=2/3 in the environment: every third class of the file, from the second on, so that parts run in parallel."""

    def loadTestsFromModule(self, module, **more):
        number, count = map(int, os.environ.get("PART", "1/1").split("/"))
        whole = list(super().loadTestsFromModule(module, **more))
        return self.suiteClass(whole[number - 1::count])


def main():
    """Run the tests of the calling file, with a line for each, and print the slowest ones at the end."""
    program = unittest.main(verbosity=2, exit=False, testLoader=_PartLoader())
    for seconds, name in sorted(durations, reverse=True)[:8]:
        if seconds > 2:
            print(f"{seconds:6.1f} s {name.removeprefix('__main__.')}")
    sys.exit(not program.result.wasSuccessful())

#!/usr/bin/python3
"""prefork_wsgi.preload of the program, imported from its source: what is named of the threads and connections of an arbiter."""
import contextlib
import functools
import gc
import logging.handlers
import pathlib
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import types
import unittest

from prefork_wsgi import preload

STREAM, DATAGRAM, UNIX, INET, INET6 = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6


class Decision(unittest.TestCase):
    """No thread and no connection: pairs of texts."""

    def test_what_is_named(self):
        poller, other = ("'poller'", "app.jobs"), ("'other'", "app.jobs")
        database, cache = ("sqlite3.Connection", "app"), ("to 10.0.0.1:6379", "app.cache")
        for threads, connections, before, expected in (
                ([], [], (), []),
                ([poller], [], (), [("thread", *poller)]),
                ([], [database], (), [("connection", *database)]),
                ([poller, other], [cache, database], (),
                 [("thread", *poller), ("thread", *other), ("connection", *cache), ("connection", *database)]),
                ([poller, poller], [cache, cache], (), [("thread", *poller), ("connection", *cache)]),
                ([poller, other], [cache], [("thread", *poller), ("connection", *cache)], [("thread", *other)]),
                ([poller], [], [("connection", *poller)], [("thread", *poller)]),
                ([("'x'", "sentry_sdk.worker"), ("'y'", "gevent"), ("'z'", "gevents")], [], (), [("thread", "'z'", "gevents")]),
                ([], [("to 10.0.0.1:1", "sentry_sdk.transport")], (), [("connection", "to 10.0.0.1:1", "sentry_sdk.transport")])):
            self.assertEqual(preload.decide(threads, connections, frozenset(before)), (expected, 0))

    def test_the_number_of_lines_is_limited(self):
        threads = [(f"'{number}'", "app") for number in range(7)]
        connections = [(f"to host:{number}", "app") for number in range(7)]
        for most, rest in ((14, 0), (13, 1), (10, 4), (1, 13), (0, 14)):
            lines, more = preload.decide(threads, connections, most=most)
            self.assertEqual((len(lines), more), (most, rest))
        self.assertEqual(preload.decide(threads, connections)[1], 4)

    def test_which_sockets_are_connections(self):
        for kind, family, own, peer, expected in (
                (STREAM, INET, ("10.0.0.2", 999), ("10.0.0.1", 80), "10.0.0.1:80"),
                (STREAM, INET6, ("::1", 999, 0, 0), ("::1", 80, 0, 0), "[::1]:80"),
                (socket.SOCK_SEQPACKET, UNIX, "", "/run/a", "unix:/run/a"),
                (STREAM, UNIX, "", "/run/a", "unix:/run/a"),
                (STREAM, UNIX, "/run/a", "", "unix:/run/a"),
                (STREAM, UNIX, b"", b"\0name", "unix:@name"),
                (STREAM, UNIX, "", b"\0\xff\0\xfe", "unix:@\\xff\0\\xfe"),
                (STREAM, UNIX, "", "/run/\udcff", "unix:/run/\\xff"),
                (STREAM, UNIX, "", "/run/\u00e4", "unix:/run/\u00e4"),
                (STREAM, UNIX, "", "", None),
                (STREAM, INET, ("0.0.0.0", 80), None, None),
                (DATAGRAM, INET, ("10.0.0.2", 999), ("10.0.0.1", 8125), None),
                (DATAGRAM, UNIX, "", "/dev/log", None),
                (STREAM, socket.AF_VSOCK, (2, 1), (3, 5000), "3:5000")):
            self.assertEqual(preload.peer_of(kind, family, own, peer), expected)

    def test_what_the_log_cannot_have_is_escaped(self):
        for text, expected in (("plain: \u00e4", "plain: \u00e4"), ("a\0b\n", "a\\x00b\\n"), ("\udcff", "\\udcff"), ("", "")):
            self.assertEqual(preload.printable(text), expected)

    def test_which_classes_are_connections(self):
        def cls(module, name, *bases):
            return type(name, bases, {"__module__": module})

        driver = cls("psycopg2.extensions", "connection")
        for found, expected in ((sqlite3.Connection, ("sqlite3", "Connection")),
                                (cls("app", "Mine", sqlite3.Connection), ("sqlite3", "Connection")),
                                (driver, ("psycopg2", "connection")),
                                (cls("psycopg2.extras", "DictConnection", driver), ("psycopg2", "connection")),
                                (cls("psycopg", "AsyncConnection"), ("psycopg", "AsyncConnection")),
                                (cls("MySQLdb.connections", "Connection"), ("MySQLdb", "Connection")),
                                (cls("gevent._socket3", "socket"), ("gevent", "socket")),
                                (socket.socket, ("socket", "socket")),
                                (cls("psycopg3", "Connection"), None), (cls("app.psycopg2", "connection"), None),
                                (dict, None), (type, None)):
            self.assertEqual(preload.row_of(found), expected)

    def test_whether_a_connection_is_open(self):
        class Driver:
            def __init__(self, **attributes):
                self.__dict__.update(attributes)

        for row, connection, expected in ((("psycopg2", "connection"), Driver(closed=0), True),
                                          (("psycopg2", "connection"), Driver(closed=2), False),
                                          (("psycopg", "Connection"), Driver(closed=True), False),
                                          (("MySQLdb", "Connection"), Driver(open=1), True),
                                          (("MySQLdb", "Connection"), Driver(open=0), False),
                                          (("psycopg2", "connection"), Driver(), False),
                                          (("oracledb", "Connection"), Driver(), True)):
            self.assertEqual(preload.is_open(connection, row), expected)


class Time(unittest.TestCase):
    def test_a_step_that_does_not_fit_does_not_start(self):
        now = 100.0

        def step(seconds):
            nonlocal now
            now += seconds
            return seconds

        budget = preload.Budget(1, 0.25, lambda: now)
        for seconds, fits in ((0.5, True), (0.25, True), (0.125, True), (0.25, False)):
            self.assertEqual(budget.run(step, seconds), seconds)
            self.assertEqual(budget.fits(), fits, now)
        self.assertFalse(preload.Budget(0.2, 0.3, lambda: now).fits())

    def test_a_heap_of_slow_steps_is_not_searched(self):
        self.addCleanup(setattr, preload, "referrers_of", preload.referrers_of)
        calls = []
        preload.referrers_of = lambda values, hidden: calls.append(1) or []
        for step, count in ((0.3, 0), (0.01, 1)):
            budget = preload.Budget(0.2, step, lambda: 0.0)
            self.assertEqual(preload.owner_of(object(), ("sqlite3", "Connection"), {}, set(), budget), "sqlite3")
            self.assertEqual(len(calls), count)


class Threads(unittest.TestCase):
    @contextlib.contextmanager
    def running(self, make):
        """Start the thread that make(function) returns; the function waits for the end of the block."""
        begun, ends = threading.Event(), threading.Event()

        def function():
            begun.set()
            ends.wait()

        thread = make(function)
        thread.start()
        try:
            self.assertTrue(begun.wait(20))
            yield thread
        finally:
            ends.set()
            thread.join()

    def test_a_thread_is_found_while_it_runs(self):
        with self.running(lambda function: threading.Thread(target=function, name="poller", daemon=True)):
            self.assertIn(("'poller'", __name__), preload.find_threads())
        self.assertEqual(preload.find_threads(), [])

    def test_whose_a_thread_is(self):
        class Own(threading.Thread):
            def __init__(self, function):
                super().__init__(name="x")
                self.function_to_run = function

            def run(self):
                self.function_to_run()

        Own.__module__ = "app.threads"
        elsewhere = {"__name__": "app.elsewhere"}
        exec("def call(function):\n    function()\n", elsewhere)
        call = elsewhere["call"]
        for make, module in ((Own, "app.threads"),
                             (lambda function: threading.Thread(target=call, args=(function,), name="x"), "app.elsewhere"),
                             (lambda function: threading.Thread(target=functools.partial(call, function), name="x"), "app.elsewhere"),
                             (lambda function: threading.Timer(0, call, (function,)), "app.elsewhere")):
            with self.running(make):
                self.assertEqual([found for _, found in preload.find_threads()], [module])

    def test_one_that_threading_does_not_have(self):
        import _thread
        begun, ends, ended = threading.Event(), threading.Event(), threading.Event()

        def function():
            begun.set()
            ends.wait()
            ended.set()

        ident = _thread.start_new_thread(function, ())
        self.assertTrue(begun.wait(20))
        self.assertEqual(preload.find_threads(), [(str(ident), __name__)])
        ends.set()
        self.assertTrue(ended.wait(20))
        while preload.find_threads():  # until it has returned, too
            time.sleep(0.001)


class Connections(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        preload.known.clear()
        self.addCleanup(setattr, preload, "SECONDS_MAX", preload.SECONDS_MAX)
        preload.SECONDS_MAX = 60
        self.module = types.ModuleType("shop")
        exec("", vars(self.module))  # adds __builtins__, as an import does
        sys.modules["shop"] = self.module
        self.addCleanup(sys.modules.pop, "shop")

    def keep(self, resource):
        return self.stack.enter_context(contextlib.closing(resource))

    def connect(self):
        """Both ends."""
        listener = self.keep(socket.create_server(("127.0.0.1", 0)))
        client = self.keep(socket.create_connection(listener.getsockname()))
        return client, self.keep(listener.accept()[0])

    def found(self):
        return sorted(preload.find_connections())

    def test_a_database(self):
        self.module.database = connection = self.keep(sqlite3.connect(self.directory / "file"))
        self.assertEqual(self.found(), [("sqlite3.Connection", "shop")])
        connection.close()
        self.assertEqual(self.found(), [])

    def test_sockets(self):
        for end in socket.socketpair():
            self.keep(end)
        self.keep(socket.create_server(("127.0.0.1", 0)))
        datagrams = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.connect(("127.0.0.1", 9))
        self.assertEqual(self.found(), [])
        client, accepted = self.connect()
        self.assertEqual({what for what, _ in self.found()},
                         {f"to 127.0.0.1:{client.getpeername()[1]}", f"to 127.0.0.1:{client.getsockname()[1]}"})
        client.close()
        accepted.close()
        self.assertEqual(self.found(), [])

    def test_the_socket_of_a_handler_for_syslog_is_harmless(self):
        path = str(self.directory / "log")
        listener = self.keep(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()
        handler = self.keep(logging.handlers.SysLogHandler(path))
        self.assertEqual(handler.socket.type, socket.SOCK_STREAM)
        self.assertEqual(self.found(), [])
        self.module.other = other = self.keep(socket.socket(socket.AF_UNIX))
        other.connect(path)
        self.assertEqual(self.found(), [(f"to unix:{path}", "shop")])

    def test_whose_a_connection_is(self):
        class Pool:
            def __init__(self, connection):
                self.connections = [[connection]]

        def closure(connection):
            return lambda: connection

        Pool.__module__ = "drivers.pool"
        for attribute, make in (("pool", Pool), ("items", lambda connection: {"a": (connection,)}), ("call", closure)):
            connection = self.keep(sqlite3.connect(":memory:"))
            setattr(self.module, attribute, make(connection))
            del connection
            self.assertEqual(self.found(), [("sqlite3.Connection", "shop")])
            delattr(self.module, attribute)
            self.stack.close()

    def test_one_that_no_module_leads_to(self):
        class Client:
            pass

        Client.__module__ = "drivers.client"
        client = Client()
        client.connection = self.keep(sqlite3.connect(":memory:"))
        self.assertEqual(self.found(), [("sqlite3.Connection", "drivers.client")])
        preload.SECONDS_MAX = 0  # then what holds it is not found out
        self.assertEqual(self.found(), [("sqlite3.Connection", "sqlite3")])

    def test_frozen_objects_are_found_for_the_first_generation_and_stay_frozen(self):
        self.module.database = self.keep(sqlite3.connect(":memory:"))
        self.addCleanup(gc.unfreeze)
        gc.freeze()
        self.assertEqual(preload.check(False), ([], 0))
        self.assertGreater(gc.get_freeze_count(), 0)
        self.assertEqual(preload.check(True), ([("connection", "sqlite3.Connection", "module shop")], 0))
        self.assertGreater(gc.get_freeze_count(), 0)
        self.assertTrue(gc.isenabled())
        self.assertEqual(preload.check(True), ([], 0))
        client, _ = self.connect()
        self.module.later = {"clients": [client]}  # the module itself is frozen
        lines, more = preload.check(False)
        self.assertIn(("connection", f"to 127.0.0.1:{client.getpeername()[1]}", "module shop"), lines)
        self.assertEqual((len(lines), more), (2, 0))

    def test_a_heap_that_is_too_large_is_not_searched(self):
        self.module.database = self.keep(sqlite3.connect(":memory:"))
        self.addCleanup(gc.unfreeze)
        self.addCleanup(setattr, preload, "OBJECTS_MAX", preload.OBJECTS_MAX)
        gc.freeze()
        preload.OBJECTS_MAX = 10
        self.assertEqual(preload.check(True), ([], 0))

    def test_the_configuration_file_has_its_name(self):
        self.module.__file__ = "/etc/gunicorn.conf.py"
        self.addCleanup(sys.modules.pop, "__config__")
        sys.modules["__config__"] = self.module
        self.assertEqual(preload.display("__config__"), "gunicorn.conf.py")
        self.assertEqual(preload.display("shop"), "module shop")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""Services for Python applications: wsgi.errors, the loggers, and a message if it is no WSGI application."""
import re
import subprocess
import sys
import sysconfig

import harness

WRITES = r"""
import logging, sys, traceback

def app(environ, start):
    errors = environ["wsgi.errors"]
    try:
        {}["missing"]
    except KeyError:
        traceback.print_exc(file=errors)
    print("\x1b[31mred\x1b[0m", "caf\xe9", file=errors)
    errors.write("\n  indented\n" + "long " * 2000 + "end\nunfinished")
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

LOGS = """
import logging
borrowed = logging.getLogger("gunicorn.error")
own = logging.getLogger("shop")
own.handlers = borrowed.handlers
own.setLevel(borrowed.level)
access = logging.getLogger("gunicorn.access")

def app(environ, start):
    own.debug("at debug")
    own.info("at info")
    own.error("at error")
    access.info("an access line")
    try:
        1 / 0
    except ZeroDivisionError:
        borrowed.exception("caught")
    start("200 OK", [("Content-Length", "1")])
    return [str(len(borrowed.handlers)).encode()]
"""

ASYNC = """
import functools

async def function(scope, receive, send):
    pass

async def generator(environ, start):
    yield b""

class Application:
    async def __call__(self, scope, receive, send):
        pass
    async def method(self, scope, receive, send):
        pass

class Double:
    def __init__(self, scope):
        pass
    async def __call__(self, receive, send):
        pass

instance = Application()
method = instance.method
partial = functools.partial(functools.partial(function), None)

def old(scope):
    return function

def make_app():
    return None

class Container:
    def one(self, environ):
        pass

narrow = Container().one
application = make_app
"""

WSGI = """
import functools

def response(environ, start):
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def wants_request(request):
    return response

@functools.wraps(wants_request)
def wrapped(environ, start):  # as werkzeug's Request.application does
    return response(environ, start)

@functools.wraps(wants_request)
def anything(*arguments):
    return response(*arguments)

class Method:
    def serve(self, environ, start, more=None):
        return response(environ, start)
    def __call__(self, environ, start):
        return response(environ, start)
    @classmethod
    def of_class(cls, environ, start):
        return response(environ, start)
    @staticmethod
    def static(environ, start):
        return response(environ, start)

class Iterable:
    def __init__(self, environ, start):
        self.body = response(environ, start)
    def __iter__(self):
        return iter(self.body)
    async def __call__(self, scope, receive, send):  # is not called
        pass

class Both:  # an instance is a WSGI application, though it has an asynchronous method
    def __call__(self, environ, start):
        return response(environ, start)
    async def asgi(self, scope, receive, send):
        pass

def three(prefix, environ, start):
    return response(environ, start)

instance, method, both = Method(), Method().serve, Both()
partial = functools.partial(three, "x")
lambdas = lambda *a, **k: response(*a)
"""

# An extension module: the interpreter that it uses is the one that runs it.
LINKED_C = """
#include <Python.h>

static PyObject *is_int(PyObject *self, PyObject *type)
{
	(void)self;
	return PyBool_FromLong(type == (PyObject *)&PyLong_Type && PyErr_Occurred() == NULL);
}

static PyMethodDef methods[] = { { "is_int", is_int, METH_O, "" }, { NULL, NULL, 0, NULL } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "linked", "", -1, methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit_linked(void)
{
	return PyModule_Create(&module);
}
"""

EXTENSIONS = """
import ctypes, importlib, pathlib, sysconfig
import linked

assert linked.is_int(int)
assert ctypes.pythonapi.Py_IsInitialized() == 1
names = {path.name.split(".")[0] for path in pathlib.Path(sysconfig.get_path("platstdlib"), "lib-dynload").glob("*.so")}
for name in names:
    if "test" not in name and name != "_tkinter":
        importlib.import_module(name)

def app(environ, start):
    start("200 OK", [])
    return [b"%d" % len(names)]
"""


class Case(harness.Case):
    def serve(self, directory, *words, **more):
        return harness.Server([harness.program("prefork-wsgi"), *words], cwd=directory, **more)


class Errors(Case):
    def test_output_is_logged_unchanged_at_every_level(self):
        long = "long " * 2000 + "end"
        with self.directory(site_app_py=WRITES) as directory:
            for words in ("--log-level", "critical"), ("-k", "threads", "--log-level", "CRITICAL"), ("--preload",):
                with self.subTest(words=words), self.serve(directory, *words, "site_app:app") as server:
                    server.wait_for_serving(1)
                    if words[-1].lower() != "critical":
                        server.wait_for_log("workers ready")  # no line of the arbiter comes between
                    self.assertEqual(server.get().body, b"ok")
                    server.wait_for_log("unfinished\n")
                    log = server.log()
                    self.assertIn("Traceback (most recent call last):\n  File ", log)
                    self.assertIn("\nKeyError: 'missing'\n\x1b[31mred\x1b[0m caf\xe9\n\n  indented\nlong ", log)
                    tail = log[log.index("\n  indented\n"):]
                    self.assertEqual(tail.replace("\n", "").split("unfinished")[0], "  indented" + long)
                    self.assertNotRegex(log, r"\[(ERROR|INFO)\] (Traceback|unfinished|\s)")


class Loggers(Case):
    def test_reused_handlers_write_to_the_error_log_at_its_level(self):
        with self.directory(site_app_py=LOGS) as directory:
            for level, words in ("info", ()), ("debug", ("--preload",)), ("error", ()):
                path = directory / f"log-{level}"
                with self.subTest(level=level), self.serve(directory, *words, "--log-level", level.upper(), "--error-logfile", path,
                                                           "site_app:app") as server:
                    self.assertEqual(server.get().body, b"1")
                    harness.wait_until(lambda: "ZeroDivisionError" in path.read_text(), "the traceback")
                    log, pid = path.read_text(), server.workers()[0]
                    form = r"(?m)^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[%d\] \[%s\] %s$"
                    self.assertRegex(log, form % (pid, "ERROR", "at error"))
                    self.assertRegex(log, form % (pid, "ERROR", r"caught\nTraceback .*"))
                    self.assertRegex(log, r"(?m)^an access line$")
                    self.assertEqual("at info" in log, level != "error")
                    self.assertEqual("at debug" in log, level == "debug")

    def test_a_reload_changes_the_level_under_a_preloaded_application(self):
        with self.directory(site_app_py=LOGS.replace("own.error", "borrowed.debug('by name'); own.error"),
                         conf_ini="[prefork]\nloglevel = info\n") as directory:
            with self.serve(directory, "--preload", "-c", directory / "conf.ini", "site_app:app") as server:
                server.get()
                server.wait_for_log("ZeroDivisionError")
                self.assertNotIn("by name", server.log())
                (directory / "conf.ini").write_text("[prefork]\nloglevel = debug\n")
                server.reload()
                server.get()
                server.wait_for_log("by name")

    def test_logging_is_not_imported_for_an_application_that_does_not_use_it(self):
        source = ("import sys\ndef app(environ, start):\n start('200 OK', [])\n"
                  " return [b'yes' if 'logging' in sys.modules else b'no']\n")
        with self.directory(site_app_py=source) as directory, self.serve(directory, "site_app:app") as server:
            self.assertEqual(server.get().body, b"no")


class Extensions(Case):
    def test_every_module_of_the_standard_library_loads_and_one_that_is_linked_with_the_shared_library(self):
        with self.directory(site_app_py=EXTENSIONS) as directory:
            (directory / "linked.c").write_text(LINKED_C)
            subprocess.run(["cc", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", "-o", "linked.so", "linked.c",
                            "-Wl,--no-as-needed", f"-lpython{sys.version_info.major}.{sys.version_info.minor}"],
                           cwd=directory, check=True)
            for words in (), ("--preload",):
                with self.subTest(words=words), self.serve(directory, *words, "site_app:app") as server:
                    self.assertGreater(int(server.get().body), 20)


class Interface(Case):
    def refused(self, directory, name, *words):
        with self.serve(directory, *words, name, wait=False) as server:
            self.assertEqual(server.wait(), 4, name)
            return server.log()

    def test_an_asynchronous_application_is_refused_when_it_is_loaded(self):
        with self.directory(site_app_py=ASYNC) as directory:
            for name in "function", "generator", "instance", "method", "Double", "partial":
                with self.subTest(name=name):
                    self.assertIn(f'"site_app:{name}" is an ASGI application', self.refused(directory, f"site_app:{name}"))
            for words in ("--check-config",), ("--preload",), ("-k", "threads"):
                with self.subTest(words=words):
                    self.assertIn("ASGI application", self.refused(directory, "site_app:instance", *words))

    def test_a_callable_without_environ_and_start_response_is_refused_with_a_hint(self):
        with self.directory(site_app_py=ASYNC) as directory:
            for name, hint in (("site_app:old", "site_app:old()"), ("site_app:make_app", "site_app:make_app()"),
                               ("site_app:narrow", "site_app:narrow()"), ("site_app", "site_app:application()")):
                with self.subTest(name=name):
                    log = self.refused(directory, name)
                    self.assertRegex(log, 'cannot be called with environ and start_response.*' + re.escape(f'"{hint}"'))

    def test_every_working_application_is_accepted(self):
        with self.directory(site_app_py=WSGI) as directory:
            for name in ("response", "wrapped", "anything", "instance", "method", "Method.of_class", "Method.static", "Iterable",
                         "both", "partial", "lambdas"):
                with self.subTest(name=name), self.serve(directory, f"site_app:{name}") as server:
                    self.assertEqual(server.get().body, b"ok")


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""--spew: each line of Python in the error log."""
import harness

APP = """
import threading

def work():
    thread_line = 1
    return thread_line

def app(environ, start):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    start("200 OK", [])
    return [b"done"]
"""
ODD = """
class Loader:
    def get_source(self, name):
        raise RuntimeError("no source")

def app(environ, start):
    names = {"__name__": "odd", "__loader__": Loader()}
    exec(compile("first = 1", "nowhere", "exec"), names)
    exec(compile("second = 1", "nul", "exec").replace(co_filename="a\\0b"), names)
    start("200 OK", [])
    return [str(names["first"] + names["second"]).encode()]
"""
LINES = ("import threading", "def work():", "thread = threading.Thread(target=work)", "thread_line = 1", 'return [b"done"]')


@harness.every_worker_class
class Spew(harness.Case):
    def serve(self, directory, *words, **more):
        return harness.Server([harness.program("prefork-wsgi"), "--workers", "1", *self.flags, *words, "traced:app"], cwd=directory,
                              **more)

    def test_lines_of_the_import_of_requests_and_of_threads(self):
        with self.directory(traced_py=APP, error_log="") as directory, \
                self.serve(directory, "--spew", "--error-logfile", "error.log") as server:
            for _ in range(8):
                self.assertEqual(server.get("/").body, b"done")
            log = (directory / "error.log").read_text()
            for number, text in enumerate(APP.splitlines(), 1):
                if text.strip() in LINES:
                    self.assertIn(f"\ntraced:{number}: {text}\n", log)
            self.assertEqual(log.count("return thread_line\n"), 8)
            self.assertEqual(log.count('return [b"done"]\n'), 8)
            self.assertNotIn("traced:", server.log())

    def test_a_line_without_a_source_harms_nothing(self):
        with self.directory(traced_py=ODD, error_log="") as directory, \
                self.serve(directory, "--spew", "--error-logfile", "error.log") as server:
            self.assertEqual(server.get("/").body, b"2")
            self.assertEqual((directory / "error.log").read_text().count("\nodd:1: \n"), 2)

    def test_nothing_without_it(self):
        with self.directory(traced_py=APP) as directory, self.serve(directory) as server:
            self.assertEqual(server.get("/").body, b"done")
            self.assertNotIn("traced:", server.log())


if __name__ == "__main__":
    harness.main()

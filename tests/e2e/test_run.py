#!/usr/bin/python3
"""examples/run, the first command of a new user."""
import contextlib
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import unittest

import harness

RUN = harness.SOURCE_ROOT / "examples/run"


@unittest.skipUnless(pathlib.Path("/usr/bin/apt-get").exists(), "not a Debian system")
class ExamplesRun(harness.Case):
    @classmethod
    def setUpClass(cls):
        """Build first, so that no test waits for the build; later runs only check it."""
        super().setUpClass()
        done = subprocess.run([RUN, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=400 * harness.PATIENCE)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def run_it(self, *words, **more):
        return harness.Server([RUN, *words], **more)

    def test_it_serves_logs_one_line_and_exits_with_status_0(self):
        for number in signal.SIGINT, signal.SIGTERM:
            with self.subTest(number=number), self.run_it() as server:
                self.assertEqual(server.get().body, b"Hello, world!\n")
                server.wait_for_log(f"serving examples/wsgi/hello on {server.url}")
                self.assertEqual(len(re.findall("(?m)^serving ", server.log())), 1)
                self.assertEqual(server.stop(number), 0)

    def test_its_arguments_are_those_of_prefork_wsgi(self):
        with self.run_it("--workers", "3", "--name", "tried") as server:
            server.wait_for_serving(3)
            self.assertEqual(harness.title(server.pid), "tried: arbiter")
        with self.run_it("hello_flask:app") as server:
            harness.need_module("flask")
            self.assertEqual(server.get().body, b"Hello from Flask!\n")
        with self.run_it("--wokers", "3", wait=False) as server:
            self.assertEqual(server.wait(), 2)
            self.assertIn("--workers", server.log())

    def test_a_busy_port_is_reported(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            where = "127.0.0.1:%d" % busy.getsockname()[1]
            for words in ("--bind", where), (f"--bind={where}",), (f"-b{where}",):
                with self.subTest(words=words), self.run_it(*words, bind=None) as server:
                    self.assertEqual(server.wait(), 1)
                    self.assertIn(f"{where} is in use", server.log())
                    self.assertNotIn("serving", server.log())
        try:
            busy = socket.create_server(("127.0.0.1", 8000))
        except OSError:  # another process uses it
            busy = contextlib.nullcontext()
        with busy, self.run_it(bind=None) as server:
            self.assertEqual(server.wait(), 1)
            self.assertIn("127.0.0.1:8000 is in use", server.log())

    def test_a_signal_while_it_builds_ends_it_and_the_build(self):
        with self.directory() as directory:
            for name in ("examples/run", "tools/need", "tools/packages", "meson.build"):
                (directory / name).parent.mkdir(exist_ok=True)
                shutil.copy(harness.SOURCE_ROOT / name, directory / name)
            # A build that never ends.
            (directory / "meson.build").write_text("project('x', 'c')\nrun_command('sleep', '600', check: true)\n")
            (directory / "meson_options.txt").write_text("option('tests', type: 'boolean')\noption('man', type: 'feature')\n")
            with harness.Server([directory / "examples/run"], bind=None) as server:
                asleep = lambda: [pid for pid in harness.tree(server.pid) if harness.title(pid).endswith("sleep 600")]
                pid, = harness.wait_until(asleep, "the build runs", 60)
                self.assertEqual(server.stop(signal.SIGTERM), 0)
                harness.wait_until(lambda: harness.start_time(pid) is None, "the build has ended")


if __name__ == "__main__":
    harness.main()

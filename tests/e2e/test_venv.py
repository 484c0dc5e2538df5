#!/usr/bin/python3
"""Virtual environments: packages that lie in one and nowhere else."""
import json
import os
import subprocess
import sys

import harness

APP = """
import json, sys
import only_in_the_venv

def app(environ, start_response):
    try:
        import flask
        system = True
    except ImportError:
        system = False
    body = json.dumps({"said": only_in_the_venv.WORD, "prefix": sys.prefix, "system": system,
                       "executable": sys.executable, "path": sys.path}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""


class VirtualEnvironment(harness.Case):
    def setUp(self):
        context = self.directory(site_app_py=APP)
        self.work = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.venv = self.make("venv")

    def make(self, name, *words):
        venv = self.work / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", *words, venv], check=True)
        packages, = venv.glob("lib/python3.*/site-packages")
        (packages / "only_in_the_venv.py").write_text(f"WORD = 'hello from {name}'\n")
        return venv

    def script(self, name, body):
        path = self.work / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return (path,)

    def ask(self, *words, program=None, env=None):
        """What the application says of itself."""
        env = {"VIRTUAL_ENV": "", **(env or {})}
        with harness.Server([program or harness.program("prefork-wsgi"), *words, "site_app:app"], cwd=self.work,
                            env=env) as server:
            return json.loads(server.get().body)

    def refused(self, message, *words, program=None, env=None):
        with harness.Server([program or harness.program("prefork-wsgi"), *words, "site_app:app"], cwd=self.work,
                            env={"VIRTUAL_ENV": "", **(env or {})}, wait=False) as server:
            self.assertNotEqual(server.wait(), 0)
            self.assertRegex(server.log(), message)

    def test_its_packages_are_found_and_those_of_the_system_are_not(self):
        for words, env in ((("--venv", self.venv), {}), ((), {"VIRTUAL_ENV": str(self.venv)}),
                           (("--venv", "venv"), {}), (("--preload", "--venv", self.venv), {}),
                           (("--venv", self.venv), {"VIRTUAL_ENV": "/nowhere"})):
            with self.subTest(words=words, env=env):
                told = self.ask(*words, env=env)
                self.assertEqual((told["said"], told["system"]), ("hello from venv", False), told)
                self.assertEqual(os.path.realpath(told["prefix"]), os.path.realpath(self.venv))
                self.assertTrue(told["executable"].startswith(str(self.venv)), told)

    def test_system_site_packages_are_visible_if_enabled(self):
        harness.need_module("flask")
        told = self.ask("--venv", self.make("both", "--system-site-packages"))
        self.assertEqual((told["said"], told["system"]), ("hello from both", True))

    def test_the_virtualenv_that_contains_the_program_is_used(self):
        inside = self.venv / "bin" / "prefork-wsgi"
        os.symlink(harness.program("prefork-wsgi"), inside)
        self.assertEqual(self.ask(program=inside)["said"], "hello from venv")

    def test_it_is_taken_however_the_program_was_started(self):
        os.symlink(harness.program("prefork-wsgi"), self.venv / "bin" / "prefork-wsgi")
        (self.work / "away").mkdir()
        away = ("--chdir", self.work / "away", "--pythonpath", self.work)
        path = f"{self.venv / 'bin'}:{os.environ['PATH']}"
        bare = self.script("bare", 'exec prefork-wsgi "$@"')
        for start, words, env in (
                (bare, (), {"PATH": path}), (bare, away, {"PATH": path}), (bare, away, {"PATH": "venv/bin:" + path}),
                (("venv/bin/prefork-wsgi",), away, {}), (("venv/bin/prefork-wsgi",), (*away, "--preload"), {}),
                ((harness.program("prefork-wsgi"),), (*away, "--venv", "venv"), {}),
                ((harness.program("prefork-wsgi"),), away, {"VIRTUAL_ENV": "venv"}),
                (self.script("other", 'exec -a other venv/bin/prefork-wsgi "$@"'), away, {})):
            with self.subTest(start=start, words=words):
                with harness.Server([*start, *words, "site_app:app"], cwd=self.work,
                                    env={"VIRTUAL_ENV": "", **env}) as server:
                    self.assertEqual(json.loads(server.get().body)["said"], "hello from venv")

    def test_without_a_virtualenv_its_packages_are_not_visible(self):
        self.refused("No module named 'only_in_the_venv'")

    def test_a_directory_that_is_not_a_virtualenv_is_refused(self):
        (self.work / "empty").mkdir()
        self.refused("--venv: .*/nowhere", "--venv", "/nowhere")
        self.refused("--venv: .*empty is not a virtualenv", "--venv", "empty")
        self.refused("VIRTUAL_ENV: .*/nowhere", env={"VIRTUAL_ENV": "/nowhere"})
        config = self.venv / "pyvenv.cfg"
        config.write_text("version = 2.7.18\n")
        self.refused(r"is for Python 2\.7", "--venv", self.venv)
        os.symlink(harness.program("prefork-wsgi"), self.venv / "bin" / "prefork-wsgi")
        self.refused(r"the directory of prefork-wsgi: .*is for Python 2\.7", program=self.venv / "bin" / "prefork-wsgi")

    def test_another_build_of_the_same_version_is_refused_with_the_remedy(self):
        python = self.venv / "bin" / "python3"
        for body, message in (("echo '3.11.99 (main, somewhere else) [GCC 1.2.3]'",
                                r"--venv: the virtualenv .*/venv belongs to another build of Python, .*/venv/bin/python3, "
                                r"which is 3\.11\.99 \(main, somewhere else\) \[GCC 1\.2\.3\]; prefork-wsgi is built with "
                                r".*python3\S* -m venv .*/venv"),
                               ("exit 3", "--venv: cannot read the version of .*/bin/python3: it exits with an error"),
                               (f"echo '{sys.version}'", None)):
            with self.subTest(body=body):
                python.unlink()
                python.write_text(f"#!/bin/sh\n{body}\n")
                python.chmod(0o755)
                if message:
                    self.refused(message, "--venv", self.venv)
                else:
                    self.assertEqual(self.ask("--venv", self.venv)["said"], "hello from venv")

    def test_a_copy_of_the_interpreter_is_the_same_build(self):
        self.assertEqual(self.ask("--venv", self.make("copied", "--copies"))["said"], "hello from copied")


if __name__ == "__main__":
    harness.main()

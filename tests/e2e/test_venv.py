#!/usr/bin/python3
"""Virtual environments: packages that exist in one only."""
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
    body = json.dumps({"word": only_in_the_venv.WORD, "prefix": sys.prefix, "system": system,
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

    def get_state(self, *words, program=None, env=None):
        """The state that the application reports."""
        env = {"VIRTUAL_ENV": "", **(env or {})}
        with harness.Server([program or harness.program("prefork-wsgi"), *words, "site_app:app"], cwd=self.work,
                            env=env) as server:
            return json.loads(server.get().body)

    def refused(self, message, *words, program=None, env=None):
        with harness.Server([program or harness.program("prefork-wsgi"), *words, "site_app:app"], cwd=self.work,
                            env={"VIRTUAL_ENV": "", **(env or {})}, wait=False) as server:
            self.assertNotEqual(server.wait(), 0)
            self.assertRegex(server.log(), message)

    def test_packages_of_the_virtualenv_are_found_and_those_of_the_system_are_not(self):
        for words, env in ((("--venv", self.venv), {}), ((), {"VIRTUAL_ENV": str(self.venv)}),
                           (("--venv", "venv"), {}), (("--preload", "--venv", self.venv), {}),
                           (("--venv", self.venv), {"VIRTUAL_ENV": "/nowhere"})):
            with self.subTest(words=words, env=env):
                state = self.get_state(*words, env=env)
                self.assertEqual((state["word"], state["system"]), ("hello from venv", False), state)
                self.assertEqual(os.path.realpath(state["prefix"]), os.path.realpath(self.venv))
                self.assertTrue(state["executable"].startswith(str(self.venv)), state)

    def test_a_configuration_file_runs_in_the_virtualenv_also_at_a_reload(self):
        """A reload executes the program by another name, and finds the virtualenv that contains it nevertheless."""
        (self.work / "conf.py").write_text("import only_in_the_venv, sys\nopen('prefixes', 'a').write(sys.prefix + '\\n')\n")
        inside = self.venv / "bin" / "prefork-wsgi"
        os.symlink(harness.program("prefork-wsgi"), inside)
        with harness.Server([inside, "-c", "conf.py", "site_app:app"], cwd=self.work, env={"VIRTUAL_ENV": ""}) as server:
            self.assertEqual(json.loads(server.get().body)["word"], "hello from venv")
            server.reload()
            self.assertEqual(set((self.work / "prefixes").read_text().split()), {str(self.venv)})
            self.assertEqual(json.loads(server.get().body)["word"], "hello from venv")

    def test_system_site_packages_are_visible_if_enabled(self):
        harness.need_module("flask")
        state = self.get_state("--venv", self.make("both", "--system-site-packages"))
        self.assertEqual((state["word"], state["system"]), ("hello from both", True))

    def test_the_virtualenv_that_contains_the_program_is_used(self):
        inside = self.venv / "bin" / "prefork-wsgi"
        os.symlink(harness.program("prefork-wsgi"), inside)
        self.assertEqual(self.get_state(program=inside)["word"], "hello from venv")

    def test_the_virtualenv_is_found_however_the_program_is_started(self):
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
                    self.assertEqual(json.loads(server.get().body)["word"], "hello from venv")

    def test_without_a_virtualenv_packages_of_it_are_not_visible(self):
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
        python, inside = self.venv / "bin" / "python3", self.venv / "bin" / "prefork-wsgi"
        os.symlink(harness.program("prefork-wsgi"), inside)
        for body, message in (("echo '3.11.99 (main, somewhere else) [GCC 1.2.3]'",
                                r": the virtualenv .*/venv belongs to another build of Python, .*/venv/bin/python3, "
                                r"which is 3\.11\.99 \(main, somewhere else\) \[GCC 1\.2\.3\]; prefork-wsgi is built with "
                                r".*python3\S* -m venv .*/venv"),
                               ("exit 3", ": cannot read the version of .*/bin/python3: it exits with an error"),
                               (f"echo '{sys.version}'", None)):
            python.unlink()
            python.write_text(f"#!/bin/sh\n{body}\n")
            python.chmod(0o755)
            for words, start, source in ((("--venv", self.venv), {}, "--venv"),
                                         ((), {"env": {"VIRTUAL_ENV": str(self.venv)}}, "VIRTUAL_ENV"),
                                         ((), {"program": inside}, "the directory of prefork-wsgi")):
                with self.subTest(body=body, source=source):
                    if message:
                        self.refused(source + message, *words, **start)
                    else:
                        self.assertEqual(self.get_state(*words, **start)["word"], "hello from venv")

    def test_a_copy_of_the_interpreter_is_the_same_build(self):
        self.assertEqual(self.get_state("--venv", self.make("copied", "--copies"))["word"], "hello from copied")


if __name__ == "__main__":
    harness.main()

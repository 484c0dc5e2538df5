#!/usr/bin/python3
"""The units of docs/systemd: systemd finds no fault in them, and prefork-wsgi accepts their command."""
import contextlib
import pathlib
import re
import shutil
import subprocess
import unittest

import harness

UNITS = harness.SOURCE_ROOT / "docs/systemd"
WSGI = harness.program("prefork-wsgi")
ANALYZE = shutil.which("systemd-analyze")
COMMAND = "ExecStart=/usr/local/bin/prefork-wsgi "


def systemd_version():
    done = subprocess.run([ANALYZE, "--version"], capture_output=True, text=True, check=True)
    return int(re.search(r"systemd (\d+)", done.stdout).group(1))


class Units(harness.Case):
    @unittest.skipUnless(ANALYZE, "systemd-analyze is not installed")
    def test_systemd_finds_no_fault(self):
        version = systemd_version()
        for path in sorted(UNITS.iterdir()):
            with self.subTest(unit=path.name), contextlib.ExitStack() as stack:
                text = path.read_text()
                if "Type=notify-reload" in text and version < 253:
                    text = text.replace("Type=notify-reload", "Type=notify")
                directory = stack.enter_context(self.directory())
                units = directory / "shop.service", directory / "shop.socket"
                for unit in units:  # a socket needs its service
                    unit.write_text((UNITS / unit.name).read_text().replace(COMMAND, f"ExecStart={WSGI} "))
                unit = units[path.suffix == ".socket"]
                unit.write_text(text.replace(COMMAND, f"ExecStart={WSGI} "))
                done = subprocess.run([ANALYZE, "verify", "--man=no", "--recursive-errors=no", unit],
                                      capture_output=True, text=True, timeout=30 * harness.PATIENCE)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_program_accepts_the_command(self):
        for path in sorted(UNITS.glob("*.service")):
            with self.subTest(unit=path.name), self.directory(shop_ini="[prefork]\nwsgi_app = hello:app\n") as directory:
                command, = re.findall(f"^{COMMAND}(.*)$", path.read_text(), re.M)
                words = command.replace("/etc/shop.ini", f"{directory}/shop.ini").split()
                done = subprocess.run([WSGI, *words, "--bind", f"unix:{directory}/socket", "--check-config"],
                                      cwd=harness.SOURCE_ROOT / "examples/wsgi/hello", capture_output=True, text=True,
                                      timeout=30 * harness.PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_stop_waits_after_an_upgrade(self):
        # systemd does not wait with KillMode=mixed: a new arbiter is no child of systemd when MAINPID= arrives.
        for path in UNITS.glob("*.service"):
            self.assertIn("\nKillMode=control-group\n", path.read_text(), path.name)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""The files of docs/containers: prefork-wsgi accepts their flags, and their limits of time fit together."""
import json
import re
import subprocess

import harness

FILES = harness.SOURCE_ROOT / "docs/containers"
WSGI = harness.program("prefork-wsgi")
HELLO = harness.SOURCE_ROOT / "examples/wsgi/hello"


def number(pattern, text):
    found, = re.findall(pattern, text, re.M)
    return int(found)


class Containers(harness.Case):
    def setUp(self):
        self.dockerfile, self.manifest = (FILES / "Dockerfile").read_text(), (FILES / "shop.yaml").read_text()
        self.entry, self.command = (json.loads(re.search(rf"^{word} (\[.*\])$", self.dockerfile, re.M).group(1))
                                    for word in ("ENTRYPOINT", "CMD"))
        self.args = json.loads(re.search(r"^ +args: (\[.*\])$", self.manifest, re.M).group(1))

    def test_the_program_accepts_the_flags(self):
        self.assertEqual(self.entry[0], "prefork-wsgi")
        for words in self.command, self.args:
            with self.subTest(words=words):
                words = [word.replace("0.0.0.0:8000", "127.0.0.1:0") for word in self.entry[1:] + words]
                done = subprocess.run([WSGI, *words, "--check-config"], cwd=HELLO, capture_output=True, text=True,
                                      timeout=30 * harness.PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_grace_period_covers_pre_stop_and_the_graceful_timeout(self):
        period = number(r"^ +terminationGracePeriodSeconds: (\d+)$", self.manifest)
        sleep = number(r'^ +command: \["sleep", "(\d+)"\]$', self.manifest)
        graceful = int(self.args[self.args.index("--graceful-timeout") + 1])
        self.assertGreaterEqual(period, sleep + graceful + 5)

    def test_port_and_user_are_the_same_everywhere(self):
        port, user = number(r"^EXPOSE (\d+)$", self.dockerfile), number(r"^USER (\d+):\d+$", self.dockerfile)
        self.assertIn(f"0.0.0.0:{port}", self.entry)
        self.assertIn(f"http://127.0.0.1:{port}/", self.dockerfile)
        self.assertEqual(number(r"containerPort: (\d+)", self.manifest), port)
        self.assertEqual(number(r"^ +runAsUser: (\d+)$", self.manifest), user)

    def test_every_file_that_the_image_copies_exists(self):
        for line in re.findall(r"^COPY (?!--from)(.*)$", self.dockerfile, re.M):
            for name in line.split()[:-1]:
                self.assertTrue((harness.SOURCE_ROOT / name).exists(), name)


if __name__ == "__main__":
    harness.main()

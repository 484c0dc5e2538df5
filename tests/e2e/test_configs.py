#!/usr/bin/python3
"""Configuration files and command lines as gunicorn's users have them (apps/configs): prefork-wsgi starts with each, or
docs/from-gunicorn.md refuses one of its settings; and what differs from gunicorn is on that page."""
import ast
import concurrent.futures
import contextlib
import grp
import http.client
import importlib.util
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import tempfile

import harness
import harness_proxies

CONFIGS = harness.SOURCE_ROOT / "tests/e2e/apps/configs"
PAGE = (harness.SOURCE_ROOT / "docs/from-gunicorn.md").read_text()
ROWS = {row[0]: row[1:] for row in re.findall(r"(?m)^\| `([a-z0-9_]+)`[^|]* \| (.*?) \| (same|better|no effect|refused) \| (.*) \|$", PAGE)}
NAMES = sorted(path.name for path in CONFIGS.iterdir() if path.is_file() and path.name != "logging.ini")
HOOKS = set(re.findall(r"(?m)^\| `([a-z_]+)`", PAGE.partition("## Hooks")[2].partition("\n## ")[0]))  # not in --print-config
AT_ONCE = 4
GUNICORN = "/usr/bin/gunicorn"

# Defaults that gunicorn has changed since Debian's 20.1; what --print-config does not print, since it cannot be in a file; and
# what is an absolute path in gunicorn.
NOT_COMPARED = {"forwarded_allow_ips", "proxy_allow_ips", "config", "chdir"}

# The word gunicorn is replaced, {port} is free; the application is that of apps/configs.
COMMANDS = r"""
PORT={port} gunicorn service.wsgi
PORT={port} gunicorn service.wsgi:application --log-file -
PORT={port} WEB_CONCURRENCY=2 gunicorn service.wsgi --preload --max-requests 1200 --max-requests-jitter 50
gunicorn -w4 -b :{port} service.app:app
gunicorn --bind=0.0.0.0:{port} --workers=1 --threads=8 --timeout=0 service.app:app
gunicorn service.app:app --workers 3 --bind 127.0.0.1:{port} --access-logfile - --error-logfile -
gunicorn --bind 127.0.0.1:{port} --worker-tmp-dir /dev/shm --workers=2 --worker-class=gthread --threads=4 --log-file=- service.app
gunicorn "service.factory:create_app('production')" -b localhost:{port}
gunicorn -b 127.0.0.1:{port} "service.factory:create_app(environment='production')" --timeout 600 -w 2 -w 1
gunicorn --chdir service app:app -b 127.0.0.1:{port} --pid app.pid --name shop
gunicorn --pythonpath lib,vendor --env DJANGO_SETTINGS_MODULE=shop.settings -e A=B --bind 127.0.0.1:{port} service.app
GUNICORN_CMD_ARGS="--bind=127.0.0.1:{port} --workers=2 --access-logfile=-" gunicorn service.app:app
FORWARDED_ALLOW_IPS=* gunicorn --bind 127.0.0.1:{port} --bind unix:app.sock -m 007 service.app:app
gunicorn --log-level=debug --capture-output --enable-stdio-inheritance -t 120 --keep-alive 5 --bind 127.0.0.1:{port} service.app
gunicorn --reload --log-level DEBUG --bind 127.0.0.1:{port} service.app:app
gunicorn -k gevent --worker-connections 500 --graceful-timeout 30 -b 127.0.0.1:{port} service.app:app
gunicorn -k eventlet -w 1 -b 127.0.0.1:{port} service.app:app
gunicorn --certfile=server.crt --keyfile=server.key --bind 127.0.0.1:{port} service.app:app
gunicorn --config django_basic.py --bind 127.0.0.1:{port} service.app:app
gunicorn -c python:service.settings -b 127.0.0.1:{port}
gunicorn --no-sendfile --limit-request-line 8190 --limit-request-field_size 0 --backlog 64 -b 127.0.0.1:{port} service.app
gunicorn -w 2 -k uvicorn.workers.UvicornWorker -b 127.0.0.1:{port} service.asgi:app
""".strip().splitlines()


def application(name):
    found = re.match("# app: ?(.*)", (CONFIGS / name).read_text())
    return ([found[1]] if found[1] else []) if found else ["service.app:app"]


def needs(name):
    """The module of the worker class that must be installed."""
    found = re.search(r"\b(gevent|eventlet|uvicorn)\b", (CONFIGS / name).read_text() if name in NAMES else name)
    return found and found[1]


def is_installed(module):
    return module is None or importlib.util.find_spec(module) is not None


@contextlib.contextmanager
def place(case):
    """A copy of the files, readable for other users."""
    with case.directory() as directory:
        directory.chmod(0o755)
        copy = directory / "configs"
        shutil.copytree(CONFIGS, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "logs").mkdir()
        shutil.copy(case.certificate / "certificate", copy / "server.crt")
        shutil.copy(case.certificate / "key", copy / "server.key")
        yield copy


def get(port, tls):
    """Status, body and header fields of GET /."""
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20 * harness.PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * harness.PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        response = connection.getresponse()
        fields = sorted((key, value) for key, value in response.getheaders() if key.lower() not in ("server", "date", "connection"))
        return response.status, response.read().decode(), fields


def result_of(server, tls, is_peer=False):
    """What GET / gets, the exit status after TERM, and the log. If the start fails, the first is None. A peer is killed with
    its workers: gthread of gunicorn may take its whole graceful_timeout."""
    response = None
    with server:
        with contextlib.suppress(AssertionError):  # it has ended
            harness.wait_until(server.is_listening, "a listener", 30)
        if server.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                response = get(server.port, tls)
        if is_peer and server.process.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        return response, server.stop(), server.log()


def serve(words, directory, env=None, **more):
    return harness.Server(words, cwd=directory, env={"LANG": "C.UTF-8", **(env or {})}, **more)


class Files(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        harness.need_speed()
        scratch = tempfile.TemporaryDirectory(prefix="prefork-e2e-")
        cls.addClassCleanup(scratch.cleanup)
        cls.certificate = pathlib.Path(scratch.name)
        harness_proxies.make_certificate(cls.certificate)

    def outcome(self, program, name):
        with place(self) as directory:
            server = serve([program, "-c", name, *application(name)], directory, wait=False)
            return result_of(server, name == "tls.py", program == GUNICORN)

    def for_each(self, names, function, check):
        """Call check(name, the result of function(name)) for each name; the functions run in parallel."""
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for name, result in zip(names, pool.map(function, names)):
                with self.subTest(name=name):
                    check(name, result)

    def names(self):
        return [name for name in NAMES if is_installed(needs(name)) and not (os.getuid() and name.startswith("privileges"))]

    def test_each_starts_and_responds_as_under_gunicorn_or_is_refused_by_the_page(self):
        self.assertGreaterEqual(len(NAMES), 60)
        program = harness.program("prefork-wsgi")

        def both(name):
            return self.outcome(program, name), self.outcome(GUNICORN, name) if os.access(GUNICORN, os.X_OK) else None

        def check(_, results):
            (response, status, log), theirs = results
            refused = re.search(r"(\w+) is gunicorn's, and not available", log)
            if refused:
                self.assertEqual((ROWS[refused[1]][1], status), ("refused", 2), log)
                return
            self.assertEqual((response and response[0], status), (200, 0), log)
            if theirs and theirs[0]:  # some files need a newer gunicorn than Debian's
                self.assertEqual(response, theirs[0], log)
        self.for_each(self.names(), both, check)

    def test_settings_are_those_of_gunicorn_but_for_the_page(self):
        program = harness.program("prefork-wsgi")
        if not os.access(GUNICORN, os.X_OK):
            self.skipTest("no gunicorn on this machine")

        def both(name):
            with place(self) as directory:
                words = ["--print-config", "-c", name, *application(name)]
                env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
                return [subprocess.run([each, *words], cwd=directory, text=True, capture_output=True, env=env)
                        for each in (GUNICORN, program)]

        def check(_, results):
            theirs, ours = results
            if theirs.returncode != 0 or "not available" in ours.stderr:
                return
            self.assertEqual(ours.returncode, 0, ours.stderr)
            wanted, found = settings_of_gunicorn(theirs.stdout), settings_of_ours(ours.stdout)
            self.assertEqual({setting: (wanted[setting], found.get(setting, [])) for setting in set(wanted) & set(ROWS) - HOOKS - NOT_COMPARED
                              if wanted[setting] != found.get(setting, []) and ROWS[setting][1] == "same"
                              and ", here " not in ROWS[setting][0]}, {}, "gunicorn's and ours; the page does not name the difference")
        self.for_each(self.names(), both, check)

    def test_command_lines_start_when_the_word_is_replaced(self):
        def run(line):
            port = harness.free_port()
            words = shlex.split(line.format(port=port))
            env = dict(word.split("=", 1) for word in words[:words.index("gunicorn")])
            words = [harness.program("prefork-wsgi"), *words[words.index("gunicorn") + 1:]]
            with place(self) as directory:
                server = serve(words, directory, env, bind=None, wait=False)
                server.port = port
                return result_of(server, "--certfile" in line)
        lines = [line for line in COMMANDS if is_installed(needs(line))]
        self.assertGreaterEqual(len(lines), 18)

        def check(_, result):
            response, status, log = result
            self.assertEqual((response and response[0], status), (200, 0), log)
        self.for_each(lines, run, check)


def milliseconds(text):
    """A time as --print-config writes it."""
    found = re.fullmatch(r"([0-9.]+)(ms|s|m|h|d|)", text)
    return text if not found else str(int(float(found[1]) * {"ms": 1, "": 1000, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}[found[2]]))


def user_of(text, find):
    with contextlib.suppress(KeyError):
        return str(find(text)[2])
    return text


def same_form(name, values):
    """The texts of a value, as both programs would write them."""
    if name in ("timeout", "graceful_timeout", "keepalive"):
        return [milliseconds(text) for text in values]
    if name == "cert_reqs":
        return [{"0": "none", "1": "optional", "2": "required"}.get(text, text) for text in values]
    if name == "secure_scheme_headers":
        return sorted(text.lower() for text in values)
    if name == "pythonpath":
        return [each for text in values for each in text.split(",")]
    if name == "user":
        return [user_of(text, pwd.getpwnam) for text in values]
    if name == "group":
        return [user_of(text, grp.getgrnam) for text in values]
    if name == "worker_class":
        return ["threads" if text == "gthread" else text for text in values]
    return values


def settings_of_gunicorn(text):
    found = {}
    for name, value in re.findall(r"(?m)^(\w+) += (.*)$", text):
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
        if isinstance(value, dict):
            value = [f"{key}={each}" for key, each in value.items()]
        elif isinstance(value, bool) or name == "sendfile":
            value = ["yes" if value is not False else "no"]
        elif isinstance(value, (list, tuple)):
            value = [str(each) for each in value]
        else:
            value = [] if value is None or value == "" else [f"{value:04o}" if name == "umask" else str(value)]
        found[name] = same_form(name, value)
    return found


def settings_of_ours(text):
    found = {}
    for name, value in re.findall(r"(?m)^(\w+) =[ \t]*(.*)$", text.replace('" \\\n\t"', "")):
        if value.startswith('"'):
            value = re.sub(r"\\(x[0-9a-f]{2}|.)", lambda match: bytes.fromhex(match[1][1:]).decode() if len(match[1]) > 1 else match[1],
                           value[1:-1])
        if value:
            found.setdefault(name, []).append(value)
    return {name: same_form(name, values) for name, values in found.items()}


if __name__ == "__main__":
    harness.main()

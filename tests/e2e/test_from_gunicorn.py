#!/usr/bin/python3
"""gunicorn's settings that prefork-wsgi accepts without effect or refuses, and those that it takes over: docs/from-gunicorn.md."""
import concurrent.futures
import re
import subprocess

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
ROW = re.compile(r"(?m)^\| `([a-z0-9_]+)`((?: `-[^`]*`)*) \| (.*?) \| (same|better|no effect|refused) \| (.*) \|$")

# A value that asks for something, for the settings that have no effect or are refused.
VALUES = {
    "asgi_loop": "uvloop", "asgi_lifespan": "on", "asgi_disconnect_grace_period": "5", "http_parser": "python", "root_path": "/x",
    "worker_tmp_dir": "/dev/shm", "tmp_upload_dir": "/tmp", "http_protocols": "h2", "http2_cleartext": "both",
    "http2_max_concurrent_streams": "10", "http2_initial_window_size": "70000", "http2_max_frame_size": "20000",
    "http2_max_header_list_size": "1000", "dirty_apps": "a:B", "dirty_workers": "1", "dirty_timeout": "1", "dirty_threads": "2",
    "dirty_graceful_timeout": "1", "control_socket": "/tmp/c", "control_socket_mode": "0660", "default_proc_name": "x",
}


def rows(status):
    """The settings of the page with this status: name, flag, whether it takes a value, remark."""
    page = (harness.SOURCE_ROOT / "docs/from-gunicorn.md").read_text()
    for name, flags, default, found, remark in ROW.findall(page.partition("## Hooks")[0]):
        flag = re.findall("--[^`]*", flags) or ["--" + name.replace("_", "-")]
        if found == status:
            yield name, flag[0], default not in ("`no`", "`yes`"), remark


def words_of(name, flag, takes_value):
    return [flag, VALUES.get(name, "x")] if takes_value else [flag]


def serve(*words, directory=APPS, **more):
    return harness.Server([harness.program("prefork-wsgi"), *words], cwd=directory, **more)


def no_effect():
    return [row for row in rows("no effect") if row[0] != "control_socket_disable"]  # what it asks for is so


def refused():
    return list(rows("refused"))


class Table(harness.Case):
    def test_settings_without_effect_have_one_line_each(self):
        words = [word for row in no_effect() for word in words_of(*row[:3])]
        self.assertGreater(len(words), 20)
        with serve(*words, "--no-control-socket", "kitchen:app") as server:
            self.assertEqual(server.get("/hello").status, 200)
            lines = [line for line in server.log().splitlines() if "event=setting_no_effect" in line]
            self.assertEqual(len(lines), len(no_effect()))
            for name, flag, _, remark in no_effect():
                remark = remark.replace("\\|", "|")
                self.assertEqual(len([line for line in lines if f"{flag} has no effect: {remark}" in line]), 1, (name, lines))

    def test_defaults_and_harmless_values_have_no_line(self):
        words = "--http-parser fast --http2-max-frame-size 16384 --control-socket-mode 0600 --no-control-socket " \
                "--http-protocols h2,h1 --dirty-workers 0 --asgi-loop auto --spool-dir /tmp --http2-cleartext off"
        with serve("kitchen:app", env={"GUNICORN_CMD_ARGS": words}) as server:
            self.assertEqual(server.get("/hello").status, 200)
            self.assertNotIn("no_effect", server.log())

    def test_the_place_is_named(self):
        with self.directory(prefork_ini="[prefork]\nworker_tmp_dir = /dev/shm\n") as directory:
            with serve("-c", directory / "prefork.ini", "kitchen:app",
                       env={"GUNICORN_CMD_ARGS": "--http-parser python"}) as server:
                self.assertRegex(server.log(), r"prefork\.ini:2: worker_tmp_dir has no effect: there are no heartbeat files.*--spool-dir")
                self.assertIn("GUNICORN_CMD_ARGS: --http-parser has no effect", server.log())
            (directory / "prefork.ini").write_text("[prefork]\nhttp2_cleartext = both\n")
            done = subprocess.run([harness.program("prefork-wsgi"), "-c", directory / "prefork.ini", "kitchen:app"], cwd=APPS,
                                  text=True, capture_output=True)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, r"prefork\.ini:2: http2_cleartext is gunicorn's, and not available .*: HTTP/2")

    def test_refused_settings_name_what_to_use_instead(self):
        def start(row):
            return subprocess.run([harness.program("prefork-wsgi"), *words_of(*row[:3]), "kitchen:app"], cwd=APPS, text=True,
                                  capture_output=True, timeout=60 * harness.PATIENCE)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for row, done in zip(refused(), pool.map(start, refused())):
                with self.subTest(name=row[0]):
                    self.assertEqual(done.returncode, 2, done.stderr)
                    remark = row[3].replace("\\|", "|")
                    self.assertIn(f"{row[1]} is gunicorn's, and not available in this version", done.stderr)
                    self.assertIn(f": {remark}\n", done.stderr)

    def test_settings_that_are_the_same_or_better_exist(self):
        done = subprocess.run([harness.program("prefork-wsgi"), "--help"], text=True, capture_output=True, check=True)
        missing = [name for status in ("same", "better") for name, flag, *_ in rows(status) if flag not in done.stdout.split()
                   and flag + "," not in done.stdout.split()]
        if "--certificates" not in done.stdout:  # built without TLS
            missing = [name for name in missing if name not in ("keyfile", "certfile", "ssl_version", "cert_reqs", "ca_certs",
                                                                "suppress_ragged_eofs", "do_handshake_on_connect", "ciphers")]
        self.assertEqual(missing, ["logconfig_dict"])  # only in a file in Python

    def test_they_are_not_in_help_and_print_config(self):
        done = subprocess.run([harness.program("prefork-wsgi"), "--help"], text=True, capture_output=True, check=True)
        self.assertNotIn("--http-parser", done.stdout)
        self.assertIn("--spool-dir", done.stdout)
        for words, seen in ([], False), (["--http-parser", "python"], True):
            done = subprocess.run([harness.program("prefork-wsgi"), "--print-config", *words, "kitchen:app"], cwd=APPS, text=True,
                                  capture_output=True, check=True)
            self.assertEqual("http_parser = python" in done.stdout, seen)


class Taken(harness.Case):
    """Settings that were taken over."""

    def test_the_limits_have_the_caps_of_gunicorn(self):
        with serve("--limit-request-line", "100000", "--limit-request-fields", "0", "--limit-request-field_size", "100000",
                   "--keep-alive", "86400", "kitchen:app") as server:
            self.assertEqual(server.get("/" + "x" * 8000).status, 404)
            self.assertEqual(server.get("/" + "x" * 8200).status, 414)
            self.assertEqual(server.get("/hello", {f"X-{i}": "1" for i in range(300)}).status, 200)
            self.assertEqual(server.get("/hello", {"X-Long": "y" * 90000}).status, 200)
            self.assertEqual(server.get("/hello", {"X-Long": "y" * 101000}).status, 431)

    def test_files_are_sent_without_sendfile_as_with_it(self):
        data = bytes(range(256)) * 4000
        text = "def app(environ, start):\n    start('200 OK', [])\n    return environ['wsgi.file_wrapper'](open('data.bin', 'rb'))\n"
        with self.directory(app_py=text) as directory:
            (directory / "data.bin").write_bytes(data)
            for words, env in (["--no-sendfile"], {}), ([], {"SENDFILE": "0"}), ([], {"SENDFILE": "yes"}), (["--sendfile"], {"SENDFILE": "0"}):
                for flags in (), ("-k", "gthread"):
                    with self.subTest(words=words, env=env, flags=flags), serve(*flags, *words, "app:app", directory=directory, env=env) as server:
                        self.assertEqual(server.get("/").body, data)

    def test_levels_and_versions_of_gunicorn_are_accepted(self):
        for words, line in ((["--log-level", "WARN"], "loglevel = warning"), (["--log-level", "Warning"], "loglevel = warning")):
            done = subprocess.run([harness.program("prefork-wsgi"), "--print-config", *words, "kitchen:app"], cwd=APPS, text=True,
                                  capture_output=True, check=True)
            self.assertIn(line + "\n", done.stdout)


@harness.every_worker_class
class Forwarder(harness.Case):
    """forwarder_headers: names with underscores that a trusted proxy may send."""

    def test_a_trusted_proxy_moves_the_application(self):
        with serve(*self.flags, "kitchen:app") as server:
            lines = server.get("/shop%2fx/environment", {"SCRIPT_NAME": "/shop/x/", "X_Under": "1"}).body.decode().splitlines()
            self.assertIn("SCRIPT_NAME='/shop/x'", lines)
            self.assertIn("PATH_INFO='/environment'", lines)
            self.assertFalse([line for line in lines if "X_UNDER" in line])
            self.assertEqual(server.get("/shop", {"SCRIPT_NAME": "/other"}).status, 500)
            self.assertEqual(server.get("/shopx", {"SCRIPT_NAME": "/shop"}).status, 500)
            self.assertIn('is not below SCRIPT_NAME, which is "/other"', server.log())
            self.assertIn("SCRIPT_NAME=''", server.get("/environment", {"Script-Name": "/environment"}).body.decode())

    def test_others_cannot(self):
        for words, status in (("drop", 200), ("dangerous", 200), ("refuse", 400)):
            with self.subTest(words=words), serve(*self.flags, "--forwarded-allow-ips", "10.0.0.1", "--header-map", words,
                                                  "kitchen:app") as server:
                response = server.get("/environment", {"SCRIPT_NAME": "/environment"})
                self.assertEqual(response.status, status)
                if status == 200:
                    self.assertIn("SCRIPT_NAME=''", response.body.decode())
        with serve(*self.flags, "--forwarder-headers", "X_User,X_Group", "--header-map", "refuse", "kitchen:app") as server:
            self.assertIn("HTTP_X_USER='a'", server.get("/environment", {"X_User": "a"}).body.decode())
            self.assertEqual(server.get("/environment", {"X_User": "a", "X_Other": "b"}).status, 400)


if __name__ == "__main__":
    harness.main()

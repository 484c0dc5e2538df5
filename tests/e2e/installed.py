#!/usr/bin/python3
"""installed.py PREFIX: the files that `meson install` of a release has installed are complete and run in place, and
another program is built with them, shared and static, and serves."""
import glob
import os
import pathlib
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile

import harness

prefix = pathlib.Path(sys.argv[1])
WANTED = ("bin/prefork-wsgi", "lib*/**/libprefork.so.0", "lib*/**/libprefork-http.so.0", "lib*/**/libprefork.a",
          "lib*/**/libprefork-http.a", "lib*/**/pkgconfig/prefork.pc", "lib*/**/pkgconfig/prefork-http.pc",
          "libexec/prefork-lookup",
          "include/prefork/prefork.h", "include/prefork/http.h", "share/man/man1/prefork-wsgi.1",
          "share/man/man7/prefork.7", "share/man/man3/prefork_arbiter.3", "share/man/man3/prefork_http.3")


def demand(holds, message):
    if not holds:
        sys.exit(message)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    demand(done.returncode == 0, f"{shlex.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def serve(program, body, *words):
    """Start it, send a request, and stop it; the exit status must be 0."""
    with harness.Server([program, *words], cwd=harness.SOURCE_ROOT / "examples/wsgi/hello") as server:
        response = server.get()
        demand(response.body == body, f"{program}: {response}")
        status = server.stop()
        demand(status == 0, f"{program}: status {status}")


def contains_python(path):
    """Whether it defines the functions of CPython."""
    return re.search(r" DEFAULT +\d+ Py_IncRef$", run("readelf", "--wide", "--dyn-syms", path), re.M)


def expect_hardened(path):
    """Position-independent unless it contains the archive of CPython, no executable stack, read-only relocations, stack
    protector, fortified functions (prefork-lookup calls none that has a fortified variant)."""
    headers = run("readelf", "--wide", "--file-header", "--segments", "--dynamic", path)
    symbols = run("readelf", "--wide", "--dyn-syms", path)
    stack, = re.findall(r"^ *GNU_STACK .* (R\S*) ", headers, re.M)
    demand(contains_python(path) or re.search(r"Type: +DYN", headers), f"{path} is not position-independent")
    demand("E" not in stack, f"{path} has a stack that can be executed")
    demand("GNU_RELRO" in headers and re.search(r"BIND_NOW|FLAGS_1.*NOW", headers), f"{path} has writable relocations")
    demand("__stack_chk_fail" in symbols, f"{path} has no stack protector")
    demand(re.search(r" __\w+_chk@", symbols) or path.endswith("/prefork-lookup"), f"{path} is not fortified")


for pattern in WANTED:
    demand(glob.glob(str(prefix / pattern), recursive=True), f"not installed: {pattern}")
for pattern in ("bin/prefork-wsgi", "lib*/**/libprefork.so.0", "lib*/**/libprefork-http.so.0", "lib*/**/libprefork-tls.so.0",
                "libexec/prefork-lookup"):
    expect_hardened(glob.glob(str(prefix / pattern), recursive=True)[0])
archive = pathlib.Path(sysconfig.get_config_var("LIBPL"), sysconfig.get_config_var("LIBRARY"))
demand(contains_python(prefix / "bin/prefork-wsgi") or not archive.exists(), f"prefork-wsgi does not contain {archive}")
os.environ.pop("LD_LIBRARY_PATH", None)
serve(prefix / "bin/prefork-wsgi", b"Hello, world!\n", "hello:app")

config, = prefix.glob("lib*/**/pkgconfig")
environment = {**os.environ, "PKG_CONFIG_PATH": str(config)}
source = harness.SOURCE_ROOT / "examples/http_hello/http_hello.c"
with tempfile.TemporaryDirectory(prefix="prefork-installed-") as directory:
    for kind, words in (("shared", []), ("static", ["--static"])):
        flags = shlex.split(run("pkg-config", "--cflags", "--libs", *words, "prefork-http", env=environment))
        more = ["-static", "-Wl,--no-warnings"] if words else [f"-Wl,-rpath,{config.parent}"]
        run("cc", "-std=c11", "-Wall", "-Werror", source, "-o", f"{directory}/{kind}", *more, *flags)
        serve(f"{directory}/{kind}", b"Hello, world!\n")
    needed = run("readelf", "-d", f"{directory}/static")
    demand("NEEDED" not in needed, f"the static program needs shared libraries: {needed}")

#!/usr/bin/env python3
"""outside.py BUILD SANITIZE CC...: a program outside this tree builds with pkg-config alone, and runs.

Installs the build into a directory of its own (DESTDIR), asks pkg-config there, and builds the same source
against the shared library and against the static archive.
"""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

SOURCE = r"""
#include <prefork/prefork.h>
#include <stdio.h>
int main(void)
{
	printf("%s %d\n", prefork_version(), prefork_exit_status(prefork_fail(PREFORK_EUSAGE, "just so")));
	return prefork_error()[0] == 'j' ? 0 : 1;
}
"""

build, sanitize, compiler = sys.argv[1], sys.argv[2], sys.argv[3:]


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


with tempfile.TemporaryDirectory(prefix="outside-") as directory:
    top = pathlib.Path(directory)
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": directory})
    (pc,) = top.rglob("prefork.pc")
    library = pc.parent.parent
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": directory}
    (top / "outside.c").write_text(SOURCE)

    def ask(*words):
        return shlex.split(run("pkg-config", *words, env=env))

    version = ask("--modversion", "prefork")[0]
    if ask("--modversion", "prefork-http")[0] != version:
        sys.exit("prefork-http has another version than prefork")
    flags = ["-std=c11", "-Wall", "-Werror"] + ([] if sanitize == "none" else [f"-fsanitize={sanitize}"])
    for kind in ("shared", "static"):
        program = str(top / kind)
        libs = ask("--libs", *(["--static"] if kind == "static" else []), "prefork")
        if kind == "static":  # the archive, although a shared object lies beside it, and all of it
            whole = "-Wl,--whole-archive,-l:libprefork.a,--no-whole-archive"
            libs = [whole if word == "-lprefork" else word for word in libs]
        run(*compiler, *flags, "-o", program, str(top / "outside.c"), *ask("--cflags", "prefork"), *libs)
        said = run(program, env={**os.environ, "LD_LIBRARY_PATH": str(library)})
        if said != f"{version} 2\n":
            sys.exit(f"{kind}: said {said!r}, not {version!r}")
        needs = "libprefork.so.0" in run("readelf", "-d", program)
        if needs != (kind == "shared"):
            sys.exit(f"{kind}: {'needs' if needs else 'does not need'} libprefork.so.0")
    for name in ("libprefork.so", "libprefork.so.0", "libprefork-http.so.0", "libprefork.a", "libprefork-http.a"):
        if not (library / name).exists():
            sys.exit(f"not installed: {name}")

    # Installed under a prefix of its own it must find its libraries without help.
    for program in top.rglob("bin/prefork-wsgi"):
        if f"prefork-wsgi {version}" not in run(str(program), "--version"):
            sys.exit("the installed prefork-wsgi does not know its version")

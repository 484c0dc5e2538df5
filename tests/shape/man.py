#!/usr/bin/env python3
"""man.py SOURCE PAGE...: the manual pages render without warnings, within 80 columns and without visible markup, and
every public function has a page or an alias. man(1) and mandoc(1) are used where they are installed."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

source, pages = pathlib.Path(sys.argv[1]), [pathlib.Path(page) for page in sys.argv[2:]]
complaints = []
MARKUP = re.compile(r"`|\\f[BIRP]|(?<![\w*])\*\w[\w ]*\w\*(?!\w)|(?<![\w(])_\w+_(?!\w)|^\.[A-Z]{2}\b", re.M)


def output(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True).stdout


def check_rendering(page):
    environment = os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    environment.pop("MAN_KEEP_FORMATTING", None)
    warnings = subprocess.run(["man", "--warnings", "-l", str(page)], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
    text = re.sub(r".\x08", "", warnings.stdout)
    complaints.extend(f"{page.name}: man: {line}" for line in warnings.stderr.splitlines())
    if "NAME" not in text:
        complaints.append(f"{page.name}: not rendered")
    for line in text.splitlines():
        if len(line) > 80:
            complaints.append(f"{page.name}: {len(line)} columns: {line.strip()}")
    for match in MARKUP.finditer(text):
        complaints.append(f"{page.name}: markup is visible: {text[max(0, match.start() - 20):match.end() + 20]!r}")


def check_aliases():
    script, include = source / "docs/man/page.py", source / "include/prefork"
    known = {page.stem for page in pages}
    for header in include.glob("*.h"):
        if header.stem not in ("export", "prefork"):
            known |= set(output(sys.executable, script, "aliases", header).split())
    for symbols in sorted((source / "tests/abi").glob("*.txt")):
        for name in re.findall(r"\bprefork_\w+", symbols.read_text()):
            if name not in known:
                complaints.append(f"{name}() has no manual page")
    return len(known)


count = check_aliases()
if shutil.which("man"):
    for page in pages:
        check_rendering(page)
if shutil.which("mandoc"):
    complaints += output("mandoc", "-Tlint", "-Wwarning", *map(str, pages)).splitlines()
print(f"{len(pages)} pages, {count} names")
print("\n".join(complaints))
sys.exit(bool(complaints) or count < 100)

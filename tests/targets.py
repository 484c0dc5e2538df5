#!/usr/bin/env python3
"""targets.py BUILD SUITE: what ninja must build for the tests of that suite ("-SUITE": of all but that one), and the
programs and tools that whole programs are tried with: all that is outside of tests/, and tests/e2e."""
import json
import pathlib
import sys

build, name = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
info = build / "meson-info"
wanted = {target for test in json.loads((info / "intro-tests.json").read_text())
          if any(suite.endswith(":" + name.removeprefix("-")) for suite in test["suite"]) != name.startswith("-")
          for target in test["depends"]}
for target in json.loads((info / "intro-targets.json").read_text()):
    names = [pathlib.Path(name).relative_to(build) for name in target["filename"]]
    if target["id"] in wanted or names[0].parts[0] != "tests" or names[0].parts[:2] == ("tests", "e2e"):
        print(*names, sep="\n")

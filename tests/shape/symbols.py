#!/usr/bin/env python3
"""The shared object exports exactly the names in a list.

Local symbols among the dynamic ones, such as gold has for thread-local variables, are not exported.
"""
import subprocess
import sys

out = subprocess.run(["nm", "-D", "--extern-only", "--defined-only", sys.argv[1]],
                     check=True, capture_output=True, text=True).stdout
# nm prints "address type name[@@VERSION]"; type A is the version node itself.
have = {f[2].split("@")[0] for f in map(str.split, out.splitlines()) if f[1] != "A"}
want = set(open(sys.argv[2]).read().split())
for name in sorted(have - want):
    print(f"leaked: {name}")
for name in sorted(want - have):
    print(f"lost: {name}")
sys.exit(have != want)

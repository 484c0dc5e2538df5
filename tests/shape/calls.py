#!/usr/bin/env python3
"""Fail when files of one directory of lib/ call each other in a circle.

nm lists the pfi_ and prefork_ symbols that each object file of a static archive defines, and those that it refers to.
The test first checks itself on a circle that it makes up.
"""
import re
import subprocess
import sys

LINE = re.compile(r"^(?P<archive>.*\.a):(?P<object>[^:]+)\.c\.o:(?:[0-9a-f]*)\s+(?P<kind>\w) (?P<name>(?:pfi|prefork)_\w+)$")


def references(text):
    """From the output of nm -A: {file: {file it needs}}, within each directory."""
    owner, lacks = {}, {}
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        directory, name = match["object"].split("_", 1)
        file = f"{directory}/{name}"
        lacks.setdefault(file, set())
        if match["kind"] == "U":
            lacks[file].add(match["name"])
        elif match["kind"].isupper():
            owner[match["name"]] = file
    return {file: {owner[name] for name in names if name in owner and owner[name] != file and
                   owner[name].split("/")[0] == file.split("/")[0]} for file, names in lacks.items()}


def circles(needs):
    """The strongly connected components with more than one file, each sorted."""
    def reachable(file):
        seen, rest = set(), [file]
        while rest:
            for other in needs[rest.pop()]:
                if other not in seen:
                    seen.add(other)
                    rest.append(other)
        return seen

    reach = {file: reachable(file) for file in needs}
    found = {tuple(sorted(other for other in reach[file] if file in reach[other])) for file in needs if
             file in reach[file]}
    return sorted(found)


def self_test():
    """A circle of three files and a file outside of it; the same without the last call."""
    text = """l.a:http_a.c.o:0000 T pfi_a
l.a:http_a.c.o:                 U pfi_b
l.a:http_b.c.o:0000 T pfi_b
l.a:http_b.c.o:                 U pfi_c
l.a:http_c.c.o:0000 D pfi_c
l.a:http_c.c.o:                 U prefork_a
l.a:http_a.c.o:0010 T prefork_a
l.a:http_d.c.o:0000 T pfi_d
l.a:http_d.c.o:                 U pfi_a"""
    assert circles(references(text)) == [("http/a", "http/b", "http/c")]
    assert circles(references(text.replace("U prefork_a", "U prefork_other"))) == []


def main(archives):
    """Print what is wrong; how many."""
    text = subprocess.run(["nm", "-A", *archives], check=True, capture_output=True, text=True).stdout
    needs = references(text)
    found = circles(needs)
    bad = [f"circle by calls: {' '.join(circle)}" for circle in found]
    if len(needs) < 50:
        bad.append(f"only {len(needs)} object files found: does nm print another format?")
    print("\n".join(bad))
    for circle in found if bad else []:
        for file in circle:
            print(f"  {file} calls {' '.join(sorted(needs[file] & set(circle)))}")
    return len(bad)


self_test()
sys.exit(main(sys.argv[1:]) > 0)

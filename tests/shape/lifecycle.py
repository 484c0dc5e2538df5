#!/usr/bin/env python3
"""lifecycle.py SOURCE: the table in docs/lifecycle.md is the one in lib/model/lifecycle.c, cell by cell."""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])


def of_the_code():
    text = (source / "lib/model/lifecycle.c").read_text()
    cells = {}
    for state, body in re.findall(r"\[PFI_STATE_(\w+)\] = \{\n(.*?)\n\t\},", text, re.S):
        for event, then in re.findall(r"ON\((\w+), (\w+), \w+\)", body):
            cells[state.lower(), event] = then.lower()
    return cells


def of_the_page():
    text = (source / "docs/lifecycle.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in
            re.search(r"^\| \| FORKED .*?(?=\n\n)", text, re.M | re.S).group(0).splitlines()]
    return {(row[0], event): then for row in rows[2:] for event, then in zip(rows[0][1:], row[1:]) if then}


code, page = of_the_code(), of_the_page()
wrong = {cell for cell in code.keys() | page.keys() if code.get(cell) != page.get(cell)}
for state, event in sorted(wrong):
    print(f"{state} on {event}: {code.get((state, event))} in the code, {page.get((state, event))} in docs/lifecycle.md")
print(f"{len(code)} cells")
sys.exit(bool(wrong) or len(code) < 40)

#!/usr/bin/env python3
"""openings.py SOURCE: each file of lib/, include/ and examples/ begins with a comment that says what it is for; for a .c
file, the comment of its header is enough. Each term of docs/terms.md is in use, in one of these directories or on a page.
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
COMMENT = re.compile(r"/\*.*?\*/", re.S)
WORDS = 4  # "Version of the library." is the shortest


def complaint(text):
    """What is wrong with the beginning of a file, or None."""
    match = COMMENT.match(text)
    return None if match and len(re.findall(r"\w+", match[0])) >= WORDS else "does not begin with a comment"


assert complaint("#include <x.h>\n/* The table of names. */") and complaint("/* x */\n") and not complaint("/* The table of names. */")
files = [path for directory in ("lib", "include", "examples") for path in sorted((source / directory).rglob("*.[ch]"))]
wrong = [f"{path.relative_to(source)} {why}" for path in files
         if (why := complaint(path.read_text())) and not (path.suffix == ".c" and path.with_suffix(".h").exists())]

pages = [path for path in sorted((source / "docs").rglob("*")) if path.suffix in (".md", ".scd") and path.name != "terms.md"]
joined = re.sub(r"\s*\n[ \t]*\*?[ \t]*", " ", "\n".join(path.read_text() for path in files + pages)).lower()
terms = [term for row in re.findall(r"^\| ([^|]+) \| ", (source / "docs/terms.md").read_text(), re.M)
         for term in row.split(", ") if row not in ("term", "---")]
for term in terms:
    if not re.search(re.escape(term.lower()).replace(r"\ ", "[ _-]"), joined):
        wrong.append(f"docs/terms.md: {term} is not in use")
print(f"{len(files)} files, {len(terms)} terms")
print("\n".join(wrong))
sys.exit(bool(wrong) or len(files) < 100 or len(terms) < 50)

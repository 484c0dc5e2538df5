#!/usr/bin/env python3
"""names.py SOURCE: no two files of lib/ have one base name, and no enum, struct or union of lib/ and include/ one tag.

A header and its source file in one directory share their name. The test first checks itself on a tree that it makes up.
"""
import collections
import pathlib
import re
import sys

DEFINITION = re.compile(r"^[ \t]*(?:typedef |static |const )*(?:enum|struct|union) (\w+)\s*\{", re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def base_names(paths):
    """{base name: directories} of those that are in several."""
    places = collections.defaultdict(set)
    for path in paths:
        if path.suffix in (".c", ".h"):
            places[path.stem].add(str(path.parent))
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


def tags(texts):
    """{tag: files} of those that are defined several times."""
    places = collections.defaultdict(list)
    for path, text in texts.items():
        for tag in DEFINITION.findall(COMMENT.sub("", text)):
            places[tag].append(str(path))
    return {tag: where for tag, where in places.items() if len(where) > 1}


def self_test():
    path = pathlib.Path
    assert base_names([path("lib/a/x.c"), path("lib/a/x.h"), path("lib/b/y.c")]) == {}
    assert base_names([path("lib/a/x.c"), path("lib/b/x.h")]) == {"x": ["lib/a", "lib/b"]}
    text = "struct one {\n\tint a;\n};\nstruct one *f(struct one *);\n"
    assert tags({"a.h": text, "b.c": "/* struct one { */\nenum two { A };\nstruct one of = { 0 };\n"}) == {}
    assert tags({"a.h": text, "b.c": "static struct one {\n\tint b;\n} it;\n"}) == {"one": ["a.h", "b.c"]}


def main(source):
    """Print what occurs twice; how much."""
    lib = [path.relative_to(source) for path in sorted((source / "lib").rglob("*.[ch]"))]
    public = [path.relative_to(source) for path in sorted((source / "include").rglob("*.h"))]
    bad = [f"{name}.[ch] is in {' and '.join(where)}" for name, where in base_names(lib).items()]
    bad += [f"{tag} is defined in {' and '.join(where)}"
            for tag, where in tags({path: (source / path).read_text() for path in lib + public}).items()]
    if len(lib) < 100:
        bad.append(f"only {len(lib)} files found")
    print("\n".join(bad))
    return len(bad)


self_test()
sys.exit(main(pathlib.Path(sys.argv[1])) > 0)

#!/usr/bin/env python3
"""page.py HEADER VERSION: print the section 3 manual page of a public header, for scdoc.

The header is the only source: its first comment is NAME and DESCRIPTION, each "/**" comment belongs to the
declarations up to the next empty line. Lists in comments (a word, two spaces, text) stay as they are.
"""
import datetime
import itertools
import os
import pathlib
import re
import sys
import textwrap

COMMENT = re.compile(r"/\*\*?(.*?)\*/[ \t]*$", re.S | re.M)


def plain(comment):
    """A comment's text without its stars and its common indent."""
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.strip().splitlines()]
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line]
    cut = min(indents, default=0)
    return "\n".join(lines[:1] + [line[cut:] if line else "" for line in lines[1:]])


def quoted(text):
    """Text in which scdoc sees no formatting of its own."""
    text = re.sub(r"([\\_*<`])", r"\\\1", text)
    return re.sub(r"^([#.|\[\]-])", r"\\\1", text, flags=re.M)


def literal(text):
    return f"```\n{text.replace(chr(9), '        ')}\n```\n"


def prose(text):
    """Paragraphs; what is a list or a table in them keeps its lines: a word, two spaces, text; and what
    follows further to the right."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        for is_list, lines in itertools.groupby(
                paragraph.splitlines(), lambda line: bool(re.match(r"\s|\S+(,? (or )?\S+)?  +\S", line))):
            lines = list(lines)
            if is_list:
                parts.append(literal(textwrap.dedent("\n".join(lines))))
            else:
                parts.append(quoted(" ".join(line.strip() for line in lines)) + "\n")
    return "\n".join(parts)


def declarations(code):
    """The C that users see: without the guard, C++ and our own marks."""
    code = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", code, flags=re.S | re.M)
    return re.sub(r"PREFORK_API |\s*PREFORK_PRINTF\([^)]*\)", "", code)


def entries(text):
    """(comment, code) for each documented group, in the order of the header."""
    marks = list(COMMENT.finditer(text))
    blocks = [mark for mark in marks if mark.start() == 0 or text[mark.start() - 1] == "\n"]
    before = ""
    for mark in blocks:
        code = text[mark.end():].lstrip("\n")
        comment = before + plain(mark.group(1))
        before = ""
        if code.startswith("/*"):  # about the next and those after it, each with a comment of its own
            before = comment + "\n\n"
            continue
        # A declaration in braces goes to its "};", anything else to the next empty line.
        braces = re.match(r"(?:\w[^;{]*)\{.*?^\};\n", code, re.S | re.M)
        code = braces.group(0) if braces else re.split(r"\n\s*\n|\n/\*", code)[0]
        yield comment, code.rstrip()


def names(code):
    """What a group declares, as a heading."""
    found = re.findall(r"\b(prefork_\w+)\(", code) if "{" not in code else []
    if not found:
        found = re.findall(r"^(?:struct|enum) (\w+)", code, re.M)[:1] or re.findall(r"^#define (\w+)", code, re.M)
    return list(dict.fromkeys(found))


def main():
    header = pathlib.Path(sys.argv[1])
    text = header.read_text()
    first = COMMENT.search(text)
    head = plain(first.group(1))
    title, _, description = head.partition("\n\n")
    summary = " ".join(title.split()).partition(" -- ")[2].rstrip(".")
    page = f"prefork_{header.stem}"
    stamp = os.environ.get("SOURCE_DATE_EPOCH")
    date = datetime.datetime.fromtimestamp(int(stamp), datetime.timezone.utc) if stamp else None
    print(f'{page}(3) "libprefork {sys.argv[2]}" "libprefork manual"\n')
    print(f"# NAME\n\n{page} - {quoted(summary)}\n")
    library = "prefork-http" if header.stem == "http" else "prefork"
    print("# SYNOPSIS\n")
    print(literal(f"#include <prefork/{header.name}>\n\ncc file.c $(pkg-config --cflags --libs {library})"))
    if description:
        print(f"# DESCRIPTION\n\n{prose(description)}")
    body = declarations(re.sub(r"^#(?!define PREFORK_E|define PREFORK_[A-Z_]+ ).*\n", "", text[first.end():], flags=re.M))
    told = False
    for comment, code in entries(body):
        if not names(code):
            continue
        if not told:
            print("# INTERFACE\n")
            told = True
        print(f"## {quoted(', '.join(names(code)))}\n\n{literal(code)}\n{prose(comment)}")
    print("# SEE ALSO\n\n*prefork*(7), " + ", ".join(
        f"*prefork\\_{other.stem}*(3)" for other in sorted(header.parent.glob("*.h")) if other != header))
    if date:
        print(f"\n; {date:%Y-%m-%d}")


main()

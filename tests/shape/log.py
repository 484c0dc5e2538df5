#!/usr/bin/env python3
"""log.py SOURCE [update]: docs/log.md has every log line of level INFO and above, with its event, level and keys.

Calls are found in lib/ and examples/wsgi/ by name. A row of the page is | event | level | line | keys | meaning |, below
the heading of its directory; in a line, each conversion of printf is written as "…". With "update", the rows are
written again, and each event keeps its meaning.
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
# Functions that write lines, with the keys that they add by themselves.
FUNCTIONS = {
    "prefork_log_printf": [], "prefork_log_write": [], "prefork_log_block": [],
    "pfi_arbiter_log": ["event"], "pfi_pool_log": ["event", "pool"], "pfi_process_log": ["event", "pool", "slot", "pid"],
    "pfi_worker_log": ["event", "pool", "slot", "pid"], "pfi_http_log": ["event", "pool", "slot", "pid"],
    "pfi_http_arbiter_log": ["event", "pool"],
    "pfi_tls_log": ["event", "pool", "slot", "pid"], "pfi_tls_arbiter_log": ["event"],
    "wsgi_log": ["event", "pool", "slot", "pid"], "wsgi_log_block": ["event", "pool", "slot", "pid"],
    "wsgi_failure_log": ["event", "pool", "slot", "pid"],
}
LEVEL_OF = {"wsgi_failure_log": "ERROR"}  # functions that have one level
WRITERS = {"lib/os/log.c", "lib/arbiter/log_lines.c", "lib/worker/worker.c", "lib/http/http_log.c", "lib/tls/tls_log.c",
           "examples/wsgi/wsgi_log.c", "examples/wsgi/failure.c"}  # they define these functions
CALL = re.compile(r"(?<![\w>.])(" + "|".join(FUNCTIONS) + r")\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def arguments(text, at):
    """The arguments of a call whose parenthesis is before `at`."""
    depth, part, parts, quoted = 0, "", [], False
    while True:
        char = text[at]
        if char == '"' and text[at - 1] != "\\":
            quoted = not quoted
        if not quoted:
            if char in "([{":
                depth += 1
            elif char in ")]}":
                if depth == 0:
                    return [one.strip() for one in parts + [part]]
                depth -= 1
            elif char == "," and depth == 0:
                parts.append(part)
                part, at = "", at + 1
                continue
        part += char
        at += 1


def plain(text):
    """A format as the page has it: conversions are dots, and what follows another conversion is part of it."""
    text = re.sub(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|j|t)?[diouxXcsfgp]", "…", text.replace("%%", "\0"))
    text = re.sub(r"\s*(?<!\S)[a-z_]+=\"?…\"?", "", text).replace("\0", "%").replace('\\"', '"')
    return re.sub(r"…+", "…", text).strip()


def literal(argument):
    """The text of an argument that is made of string literals and PRI macros alone; None otherwise."""
    rest = STRING.sub("", argument)
    if '"' not in argument or re.sub(r"\bPRI\w+|\s", "", rest):
        return None
    return "".join(STRING.findall(re.sub(r"\bPRI\w+", '"d"', argument)))


def calls(path):
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    for match in CALL.finditer(text):
        yield match[1], arguments(text, match.end())


def keys_in(text):
    """The keys of the pairs that are written in a text."""
    return re.findall(r'PREFORK_(?:TEXT|NUMBER)\((?:[^",]*\? )?"(\w+)"(?: : "(\w+)")?', text)


def builder(name):
    """The body of the function in lib/ that stores pairs in an array."""
    for path in sorted((source / "lib").rglob("*.c")):
        body = re.search(rf"^size_t {name}\(.*?^}}", path.read_text(), re.M | re.S)
        if body:
            return body[0]
    sys.exit(f"no function {name}")


def line_of(function, parts):
    levels = [level for level in LEVELS
              if level == LEVEL_OF.get(function) or any("PREFORK_LOG_" + level in part for part in parts[:4])]
    texts = [text for text in map(literal, parts) if text is not None]
    keys = list(FUNCTIONS[function])
    event = "-"
    if keys and texts:
        event, texts = texts[0], texts[1:]
    elif texts:
        texts = texts[1:] if re.fullmatch(r"[a-z]+", texts[0]) else texts  # the module
    for part in parts:
        stored = re.match(r"(pfi_\w+_pairs)\(", part)
        keys += [key for two in keys_in(builder(stored[1]) if stored else part) for key in two if key]
    message = texts[0] if texts else "…"
    named = re.findall(r"(?<!\S)([a-z_]+)=(\w+)?", message)
    keys += [key for key, _ in named if key not in keys]
    for key, value in named:
        if key == "event" and value:
            event = value
            message = re.sub(r"\s*\bevent=\w+", "", message)
    return event, "/".join(levels), plain(message), [key for key in keys if key != "event"]


def of_the_sources():
    """{(event, level, line, keys): directory}"""
    lines = {}
    for path in sorted((source / "lib").rglob("*.c")) + sorted((source / "examples/wsgi").glob("*.c")):
        name = path.relative_to(source)
        for function, parts in calls(path) if str(name) not in WRITERS else ():
            event, level, text, keys = line_of(function, parts)
            if level != "DEBUG":
                lines.setdefault((event, level, text, " ".join(f"`{key}`" for key in keys)), str(name.parent))
    return lines


def cells_of(line):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def of_the_page(text):
    """[((event, level, line, keys), meaning)]"""
    rows = [cells_of(line) for line in text.splitlines() if line.startswith("| `")]
    return [((row[0].strip("`"), *row[1:4]), row[4]) for row in rows if len(row) == 5]


def row(line, meaning=""):
    event, *rest = (cell.replace("|", "\\|") for cell in line)
    return f"| `{event}` | " + " | ".join(rest) + f" | {meaning} |"


def updated(text, lines):
    meanings = {line[0]: meaning for line, meaning in of_the_page(text)} | dict(of_the_page(text))
    for directory in sorted(set(lines.values())):
        rows = [row(line, meanings.get(line) or meanings.get(line[0], "")) for line in sorted(lines) if lines[line] == directory]
        table = "| event | level | line | keys | meaning |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
        heading = re.search(rf"^## .*`{re.escape(directory)}`.*\n", text, re.M)
        if not heading:
            sys.exit(f"docs/log.md has no heading for `{directory}`")
        start = text.index("| event |", heading.end())
        end = (re.compile(r"^(?!\|)", re.M).search(text, start) or re.compile(r"\Z").search(text)).start()
        text = text[:start] + table + text[end:]
    return text


page, lines = source / "docs/log.md", of_the_sources()
if sys.argv[2:] == ["update"]:
    page.write_text(updated(page.read_text(), lines))
rows = of_the_page(page.read_text())
known = [line for line, _ in rows]
wrong = [f"not in the page: {row(line)}" for line in lines if line not in known]
wrong += [f"not in the sources: {row(line)}" for line in known if line not in lines]
wrong += [f"without a meaning: {row(line)}" for line, meaning in rows if not meaning]
wrong += [f"without an event: {row(line)}" for line in lines if line[0] == "-"]
print(f"{len(lines)} lines")
print("\n".join(f"docs/log.md: {one}" for one in wrong))
if wrong:
    print(f"correct the rows with: {sys.argv[0]} {source} update")
sys.exit(bool(wrong) or len(lines) < 40)

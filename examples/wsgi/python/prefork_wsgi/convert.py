"""Convert a gunicorn.conf.py to a configuration file of prefork-wsgi (--convert-config)."""
import ast
import inspect
import runpy
import sys
import textwrap

from prefork_wsgi import table

MODULE = "__config__"  # the name that the file has as a module

# Functions and variables whose values depend on the machine and its environment.
SOURCES = {"cpu_count", "process_cpu_count", "sched_getaffinity", "environ", "getenv", "gethostname", "getfqdn"}

FOR_ONE_START = ("config", "check_config", "print_config")  # they cannot be in a file

PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@+-%*=[]")
ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\", ";": r"\x3b"}


def written(text):
    """Quote a value for a configuration file if necessary; split it into lines within the limit."""
    if text and set(text) <= PLAIN and len(text) <= 100:
        return text
    pieces, piece = [], ""
    for byte in text:
        piece += ESCAPES.get(byte) or (r"\x%02x" % ord(byte) if byte < " " or byte == "\x7f" else byte)
        if len(piece.encode()) > 100:
            pieces, piece = [*pieces, piece], ""
    return ' \\\n\t'.join(f'"{piece}"' for piece in [*pieces, piece])


def texts(row, value):
    """The values of a setting, one per line."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if row.kind == "mode" and isinstance(value, int):
        return [f"0{value:o}"]
    if isinstance(value, dict):
        return [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    return [each.strip() for each in str(value).split(",")] if row.kind == "commas" else [str(value)]


def same(row, value, accepts):
    """The lines of a setting with the same meaning, and a note for each value that is not accepted."""
    lines, notes = [], []
    for text in texts(row, value):
        refusal = accepts(row.name, text)
        if refusal:
            notes.append(f"{row.name}: {refusal}")
        else:
            lines.append(f"{row.name} = {written(text)}")
    return lines, notes


def is_harmless(row, value):
    return value is None or all(row.is_harmless(text) for text in texts(row, value))


def judge_hook(row, value):
    if value is None or isinstance(value, (bool, int)):
        return [], []
    return [], [f"{row.name}: hooks are only in configuration files in Python"]


def judge_class(row, value, accepts):
    """A class object: a file that is not a program can only name it."""
    if value.__module__ == MODULE:
        return [], [f"{row.name}: the class {value.__qualname__} is in the file itself: move it to a module, and name it "
                    f"MODULE.{value.__qualname__}"]
    return same(row, f"{value.__module__}.{value.__qualname__}", accepts)


def judge(row, value, accepts):
    """The lines for one name of the file, and notes about what has no counterpart."""
    if row.kind == "hook":
        return judge_hook(row, value)
    if row.kind == "class" and inspect.isclass(value):
        return judge_class(row, value, accepts)
    if value is None or row.status == "no effect" or row.name in FOR_ONE_START:
        return [], []
    if row.name == "loglevel" and isinstance(value, str):
        value = value.lower()
    if row.status in ("same", "better"):
        return same(row, value, accepts)
    return [], [] if is_harmless(row, value) else [f"{row.name}: not available: {row.why}"]


def is_source(node):
    name = getattr(node, "attr", None) if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name in SOURCES


def causes(node, known):
    """The uses of SOURCES in a node of the program, directly or through a name that depends on them."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and is_source(each.func) or isinstance(each, ast.Subscript) and is_source(each.value):
            found.add(ast.unparse(each))
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and is_source(each.func.value):
            found.add(ast.unparse(each))  # os.environ.get("X")
        elif isinstance(each, ast.Name):
            found |= known.get(each.id, set())
    return found


def frozen(tree):
    """For each name that the file assigns, the uses of SOURCES that its value depends on."""
    known = {}

    def follow(statements, around):
        for statement in statements:
            inner = [part for part in ("body", "orelse", "finalbody", "handlers") if isinstance(getattr(statement, part, None), list)]
            if isinstance(statement, (ast.FunctionDef, ast.Lambda, ast.ClassDef)) or not inner:
                reasons = causes(statement, known) | around
                names = [statement.name] if hasattr(statement, "name") and isinstance(statement.name, str) else []
                names += [each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
                for name in names if reasons else []:
                    known[name] = known.get(name, set()) | reasons
                continue
            condition = getattr(statement, "test", None) or getattr(statement, "iter", None)
            more = around | (causes(condition, known) if condition else set())
            for part in inner:
                follow(getattr(statement, part), more)

    follow(tree.body, set())
    return known


def comment(text):
    return textwrap.wrap(" ".join(text.split()), 150, initial_indent="# ", subsequent_indent="#   ", break_long_words=True)


def convert(path, accepts):
    """Print the converted file, and notes on standard error. Return the number of settings without a counterpart."""
    said = runpy.run_path(path, run_name=MODULE)
    with open(path, "rb") as file:
        reasons = frozen(ast.parse(file.read()))
    lines, notes, remarks = ["[prefork]"], [], []
    for name, value in said.items():
        row = table.by_name.get(name)
        if row is None:
            continue
        more, without = judge(row, value, accepts)
        remark = f"{name}: dropped, without effect: {row.why}" if row.status == "no effect" and not is_harmless(row, value) else None
        if more and reasons.get(name):
            remark = f"{name}: value on this machine, from {', '.join(sorted(reasons[name]))}"
        if remark:
            remarks.append(remark)
            lines += comment(remark)
        for note in without:
            lines += comment(note)
        lines += more
        notes += without
    print("\n".join(lines), flush=True)
    for note in notes + remarks:
        print(f"{path}: {note}", file=sys.stderr, flush=True)
    return len(notes)

"""embed_modules.py ROOT FILE...: print Python files as rows of C, each with its module's name relative to ROOT."""
import os
import sys


def literal(line):
    return '"' + line.rstrip("\n").replace("\\", r"\\").replace('"', r"\"") + r'\n"'


for path in sys.argv[2:]:
    parts = os.path.relpath(path, sys.argv[1])[:-len(".py")].split(os.sep)
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    print(f'{{ .name = "{name}", .is_package = {str(is_package).lower()}, .source =')
    with open(path, encoding="utf-8") as file:
        print("\n".join(map(literal, file)) or '""', "},")

"""embed.py FILE: print a text file as a C string literal."""
import sys

for line in open(sys.argv[1], encoding="utf-8"):
    print('"' + line.rstrip("\n").replace("\\", r"\\").replace('"', r"\"") + r'\n"')

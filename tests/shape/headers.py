#!/usr/bin/env python3
"""Print the names of the public headers in a directory."""
import pathlib
import sys

print(*sorted(path.name for path in pathlib.Path(sys.argv[1]).glob("*.h")))

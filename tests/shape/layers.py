#!/usr/bin/env python3
"""Fail when a file in lib/ includes a room it may not see (docs/architecture.md)."""
import pathlib
import re
import sys

MAY_SEE = {  # room: rooms it may include, besides itself and <prefork/...>
    "base": set(),
    "os": {"base"},
    "model": {"base"},
    "listener": {"base", "os", "model"},
    "worker": {"base", "os", "model", "listener"},
    "arbiter": {"base", "os", "model", "listener", "worker"},
    "cli": {"base", "os", "model", "listener", "worker"},
    "http": {"base"},
}
PURE = {"base", "model"}  # rooms
# All the rest of http is pure.
IMPURE_HTTP = {"http/" + name for name in ("access", "exchange", "http_clock", "http_log", "attach", "pending_output", "request_pool", "http_options", "receive", "response", "request",
                                       "send", "serve", "spool", "upload", "internal")}
NUMBERS_ONLY = {"model/exit_record"}  # may see <signal.h>, for the names of signals
IMPURE = re.compile(r"#\s*include\s*<(unistd|sys/(?!types|uio)\w+|fcntl|signal|poll|pthread|netinet/\w+)\.h>")
WORKER_SIDE = re.compile(r"#\s*include\s*<prefork/(worker|service|strategy|arbiter)\.h>")
LOCAL = re.compile(r'#\s*include\s*"([^"]+)"')


def complaints(lib):
    """Yield an error message for every include that does not go down."""
    for room in MAY_SEE:
        if not (lib / room).is_dir():
            yield f"no such room: {room}"
    for room in sorted(p.name for p in lib.iterdir() if p.is_dir()):
        if room not in MAY_SEE:
            yield f"a room without a floor: {room}"
    for room, seen in MAY_SEE.items():  # the table itself must be a ladder
        for other in seen:
            if not MAY_SEE[other] < seen | {other}:
                yield f"table: {room} sees {other} but not all that {other} sees"
    for path in sorted(lib.rglob("*.[ch]")):
        here = path.relative_to(lib)
        room = here.parts[0]
        if len(here.parts) == 1:
            yield f"{here}: a file without a room"
            continue
        text = path.read_text()
        for target in LOCAL.findall(text):
            there = target.split("/")[0]
            if target != "config.h" and there != room and there not in MAY_SEE[room]:
                yield f"{here}: {room} may not include {target}"
        stem = str(here.with_suffix(""))
        seen = {match.group(1) for match in IMPURE.finditer(text)} - ({"signal"} if stem in NUMBERS_ONLY else set())
        if (room in PURE or room == "http" and stem not in IMPURE_HTTP) and seen:
            yield f"{here}: pure room includes <{sorted(seen)[0]}.h>"
        if room == "http" and stem not in IMPURE_HTTP and WORKER_SIDE.search(text):
            yield f"{here}: only serve and its like join http to a worker"


bad = list(complaints(pathlib.Path(sys.argv[1]) / "lib"))
print("\n".join(bad))
sys.exit(bool(bad))

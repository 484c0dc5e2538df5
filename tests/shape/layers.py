#!/usr/bin/env python3
"""Fail when a file in lib/ includes a module above its own (docs/architecture.md)."""
import pathlib
import re
import sys

MAY_INCLUDE = {  # module: modules that it may include, besides itself and <prefork/...>
    "base": set(),
    "os": {"base"},
    "model": {"base"},
    "listener": {"base", "os", "model"},
    "worker": {"base", "os", "model", "listener"},
    "arbiter": {"base", "os", "model", "listener", "worker"},
    "cli": {"base", "os", "model", "listener", "worker"},
    "http": {"base"},
    "tls": {"base"},
}
PURE = {"base", "model"}
# The files of http that are not pure.
IMPURE_HTTP = {"http/" + name for name in (
    "access", "exchange", "http_clock", "http_log", "attach", "body_file", "pending_output", "request_pool", "http_options", "receive",
    "response", "request", "statsd_arbiter", "statsd_target", "statsd_worker", "request_input", "uwsgi_receive", "send", "serve", "spool", "suspend", "upload", "internal")}
NUMBERS_ONLY = {"model/exit_record": "signal", "model/rlimits": "sys/resource"}  # may include this header, for its numbers
IMPURE = re.compile(r"#\s*include\s*<(unistd|sys/(?!types|uio)\w+|fcntl|signal|poll|pthread|netinet/\w+)\.h>")
WORKER_SIDE = re.compile(r"#\s*include\s*<prefork/(worker|service|strategy|arbiter)\.h>")
LOCAL = re.compile(r'#\s*include\s*"([^"]+)"')


def complaints(lib):
    """Yield an error message for every include that does not go down."""
    for module in MAY_INCLUDE:
        if not (lib / module).is_dir():
            yield f"no such module: {module}"
    for module in sorted(p.name for p in lib.iterdir() if p.is_dir()):
        if module not in MAY_INCLUDE:
            yield f"module without a layer: {module}"
    for module, below in MAY_INCLUDE.items():  # a module may include all that is below the modules it includes
        for other in below:
            if not MAY_INCLUDE[other] < below | {other}:
                yield f"table: {module} includes {other}, but not all that {other} includes"
    for path in sorted(lib.rglob("*.[ch]")):
        here = path.relative_to(lib)
        module = here.parts[0]
        if len(here.parts) == 1:
            yield f"{here}: a file without a module"
            continue
        text = path.read_text()
        for target in LOCAL.findall(text):
            there = target.split("/")[0]
            if target != "config.h" and there != module and there not in MAY_INCLUDE[module]:
                yield f"{here}: {module} may not include {target}"
        stem = str(here.with_suffix(""))
        impure = {match.group(1) for match in IMPURE.finditer(text)} - {NUMBERS_ONLY.get(stem)}
        if (module in PURE or module == "http" and stem not in IMPURE_HTTP) and impure:
            yield f"{here}: pure module includes <{sorted(impure)[0]}.h>"
        if module == "http" and stem not in IMPURE_HTTP and WORKER_SIDE.search(text):
            yield f"{here}: a pure file of http uses the API of workers"


bad = list(complaints(pathlib.Path(sys.argv[1]) / "lib"))
print("\n".join(bad))
sys.exit(bool(bad))

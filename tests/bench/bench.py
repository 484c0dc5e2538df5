"""What the benchmarks share: the servers that are measured, how they are started, watched and loaded.

Ours is built as a release in build-bench/; the peers are whatever is installed. A figure that matters is
the CPU time a server needs for a request: on a small machine the load generator saturates first.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

OUT = ROOT / "build-bench"
APPS = HERE / "apps"
PREFIX = None  # where ours is installed; None: build it

# Terminated from outside we must still end our servers.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def say(*words):
    """Progress goes to stderr, results to stdout."""
    print(*words, file=sys.stderr, flush=True)


def helper(name):
    """One of the bench's own C programs, compiled when it is older than its source."""
    source, program = HERE / f"{name}.c", OUT / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        OUT.mkdir(exist_ok=True)
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", str(program),
                        str(source)], check=True)
    return str(program)


_built = []


def ours(name):
    """The path of one of our programs, release build; None when there is none of that name."""
    if PREFIX:
        places = [PREFIX / "bin" / name]
    else:
        build = OUT / "ours"
        if not _built:
            say("building ours as a release ...")
            fresh = [] if (build / "build.ninja").exists() else [
                ["meson", "setup", str(build), str(ROOT), "--buildtype=release", "-Dtests=false",
                 "-Dman=disabled"]]
            for command in fresh + [["ninja", "-C", str(build)]]:
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stdout[-3000:] + done.stderr[-2000:] + "bench: ours does not build")
            _built.append(True)
        places = [build / "examples" / part / name for part in ("wsgi", name, "")]
    return next((str(path) for path in places if path.is_file()), None)


# --- who is measured

Peer = collections.namedtuple("Peer", "name kind modes command env")


def ours_wsgi(strategy, workers, app, preload, timeout, extra=()):
    program = ours("prefork-wsgi")
    if not program:
        return None
    return [program, "--bind", "127.0.0.1:{port}", "--workers", workers, "--worker-class", strategy,
            "--timeout", timeout, "--chdir", APPS, *(["--preload"] if preload else []), *extra, f"hello:{app}"]


def ours_c(strategy, workers, timeout, extra=()):
    program = ours("http_hello")
    if not program:
        return None
    return [program, "--bind", "127.0.0.1:{port}", "--workers", workers, "--worker-class", strategy,
            "--timeout", timeout, *extra]


def gunicorn(kind, workers, app, preload, timeout):
    program = shutil.which("gunicorn", path="/usr/bin")
    if not program:
        return None
    threads = ["--threads", "4"] if kind == "gthread" else []
    return [program, "-k", kind, *threads, "-w", workers, "-b", "127.0.0.1:{port}", "--timeout", timeout,
            "--log-level", "warning", "--chdir", APPS, *(["--preload"] if preload else []), f"hello:{app}"]


def uwsgi(kind, workers, app, timeout):
    program = shutil.which("uwsgi", path="/usr/bin")
    if not program or not list(pathlib.Path("/usr/lib/uwsgi/plugins").glob("python3*")):
        return None
    threads = ["--threads", "64"] if kind == "http11-socket" else []
    return [program, "--plugin", "python3", f"--{kind}", "127.0.0.1:{port}", "--master", "--processes", workers,
            *threads, "--harakiri", timeout, "--disable-logging", "--die-on-term", "--need-app",
            "--listen", "128", "--chdir", APPS, "--module", f"hello:{app}"]


NGINX = """daemon off; worker_processes {workers}; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_header_timeout 5s;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{{port}} backlog=2048; default_type text/plain;
    location / {{ return 200 "Hello, world!\\n"; }} }} }}
"""


def nginx(workers):
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not program:
        return None
    return [program, "-p", "{folder}", "-e", "stderr", "-c", NGINX.format(workers=workers, folder="{folder}")]


def catalog(workers=1, app="app", preload=False, timeout=30, extra=()):
    """Every server there is a recipe for; command is None where it is not installed."""
    w, t, both = str(workers), str(timeout), ("keep", "close")
    rows = [("bare epoll", "c", both, [helper("bare"), "epoll", "{port}"] if workers == 1 else None),
            ("bare loop", "c", ("close",), [helper("bare"), "loop", "{port}"] if workers == 1 else None),
            ("nginx", "c", both, nginx(w))]
    for strategy in ("sync", "threads", "libev"):
        rows.append((f"http_hello {strategy}", "c", both, ours_c(strategy, w, t, extra)))
    for strategy in ("sync", "threads", "libev"):
        rows.append((f"prefork-wsgi {strategy}", "wsgi", both,
                     ours_wsgi(strategy, w, app, preload, t, extra)))
    rows += [("gunicorn sync", "wsgi", both, gunicorn("sync", w, app, preload, t)),
             ("gunicorn gthread", "wsgi", both, gunicorn("gthread", w, app, preload, t)),
             ("uwsgi http", "wsgi", both, uwsgi("http-socket", w, app, t)),
             ("uwsgi http11", "wsgi", both, uwsgi("http11-socket", w, app, t))]
    return {name: Peer(name, kind, modes, command, {}) for name, kind, modes, command in rows}


def pick(peers, wanted):
    """The peers of these names, or all that are installed; says which are not."""
    for name in wanted or ():
        if name not in peers:
            sys.exit(f"bench: no server {name!r}; there are: {', '.join(peers)}")
    chosen = [peers[name] for name in wanted] if wanted else list(peers.values())
    for peer in chosen:
        if not peer.command:
            say(f"not here: {peer.name}")
    return [peer for peer in chosen if peer.command]


class Running(harness.Server):
    """A peer that answers; its files are in a folder of its own that goes with it."""

    def __init__(self, peer):
        super().__init__([], bind=None, env=peer.env)
        self.peer, self.folder = peer, tempfile.TemporaryDirectory(prefix="bench-")
        words = [str(word).replace("{port}", str(self.port)).replace("{folder}", self.folder.name)
                 for word in peer.command]
        for i, word in enumerate(words):
            if word.startswith("daemon off"):  # a configuration, not yet a file
                words[i] = self.folder.name + "/conf"
                pathlib.Path(words[i]).write_text(word)
        os.chmod(self.folder.name, 0o755)
        self.arguments = words

    def start(self):
        super().start()
        try:
            harness.wait_until(self.answers, f"{self.peer.name} answers", 20)
        except AssertionError as error:
            self.end()
            lines = self.log().strip().splitlines()
            raise RuntimeError(f"{error}: {lines[-1] if lines else 'it said nothing'}") from None

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.peer.name} ended with status {self.process.returncode}")
        with contextlib.suppress(OSError, ValueError, harness.http.client.HTTPException):
            return self.get("/", seconds=2).status == 200
        return False

    def __exit__(self, *rest):
        with contextlib.suppress(AssertionError):
            self.end()
        self.output.close()
        self.folder.cleanup()


# --- what it uses

def cpu_ns(pid):
    """CPU time of a process, its living threads by the scheduler's own count, and its reaped children."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def pss_kib(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def usage(server):
    """{cpu_ns, switches} of the whole tree of processes."""
    pids = harness.tree(server.pid)
    return {"cpu_ns": sum(map(cpu_ns, pids)), "switches": sum(map(harness.context_switches, pids))}


def memory(server):
    """(KiB per worker, KiB of all): proportional set size."""
    workers = harness.children(server.pid) or [server.pid]
    return (sum(map(pss_kib, workers)) // len(workers), sum(map(pss_kib, harness.tree(server.pid))))


# --- load

UNITS = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000}


def wrk(port, mode, seconds, connections=64):
    """One run of wrk: {requests, rate, p50_us, p99_us, errors}."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "5s"]
    if mode == "close":
        command += ["-H", "Connection: close"]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True,
                          timeout=seconds + 30)
    text = done.stdout

    def latency(percent):
        value = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.M)
        return float(value[1]) * UNITS[value[2]] if value else float("nan")

    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    if not total:
        raise RuntimeError(f"wrk said: {text or done.stderr}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {"requests": int(total[1]), "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
            "p50_us": latency(50), "p99_us": latency(99),
            "errors": (sum(map(int, errors.groups())) if errors else 0) + (int(wrong[1]) if wrong else 0)}


def pace(port, rate, seconds, keep=0, wait=True):
    """Constant load by pace.c: its figures as a dict, or with wait=False the process (see paced())."""
    process = subprocess.Popen([helper("pace"), str(port), str(rate), str(seconds), str(keep)],
                               stdout=subprocess.PIPE, text=True)
    return paced(process) if wait else process


def paced(process):
    text = process.communicate(timeout=600)[0]
    if process.returncode:
        raise RuntimeError(f"pace ended with status {process.returncode}")
    return json.loads(text)


# --- figures

def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values, form="{:.0f}"):
    """"median (least..most)" of several rounds."""
    if not values:
        return "-"
    return f"{form.format(median(values))} ({form.format(min(values))}..{form.format(max(values))})"


def table(head, rows):
    """Columns of text, the first to the left, the others to the right."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print(row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])), sep="  ")


def verdict(sentence, value, limit, form="{:.2f}"):
    """One line that says whether a figure holds; returns whether it does."""
    holds = value <= limit
    print(f"{sentence}: {form.format(value)} (<= {form.format(limit)}) {'ok' if holds else 'MISSED'}")
    return holds


def parser(description):
    """The options that every benchmark has."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--prefix", type=pathlib.Path, help="where ours is installed (default: build a release)")
    p.add_argument("--only", action="append", metavar="NAME", help="measure this server; may be repeated")
    p.add_argument("--json", type=pathlib.Path, help="write all raw figures there")
    return p


def options(p):
    global PREFIX
    args = p.parse_args()
    PREFIX = args.prefix
    return args

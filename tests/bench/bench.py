"""Common to the benchmarks: the servers that are measured, their start, their load and their figures.

Ours is built as a release in build-bench/; the peers are whatever is installed. A figure that matters is
the CPU time a server needs for a request: on a small machine the load generator saturates first.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

OURS = ("http_hello", "prefork-wsgi")
OUT = ROOT / "build-bench"
PREFIX = None  # where ours is installed, or
BUILD = None   # a directory it is built in; neither: build it
PIN = True     # keep servers and load apart
BUSY = 0.1     # of the machine: above this a warning is printed


def interrupted(number, _):
    """The servers must end with the benchmark, however it ends. A second Ctrl-C must not interrupt that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(143)


signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGTERM, interrupted)


def say(*words):
    """Progress goes to stderr, results to stdout."""
    print(*words, file=sys.stderr, flush=True)


def helper(name, flags=()):
    """A C program of the benchmarks, compiled if it is older than its source, or was compiled with other flags. Benchmarks
    that run at the same time may all compile it: each to a file of its own, which then replaces the program."""
    source, program, last = HERE / f"{name}.c", OUT / name, OUT / f"{name}.flags"
    wanted = "\n".join(flags)
    if (not program.exists() or program.stat().st_mtime < source.stat().st_mtime or
            not last.exists() or last.read_text() != wanted):
        OUT.mkdir(parents=True, exist_ok=True)
        own = OUT / f"{name}.{os.getpid()}"
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", *flags, "-o", str(own),
                        str(source)], check=True)
        own.replace(program)
        last.write_text(wanted)
    return str(program)


_built = []


def ours(name):
    """The path of a program of this project, release build; None if there is none of that name."""
    if PREFIX:
        places = [PREFIX / "bin" / name]
    else:
        build = BUILD or OUT / "ours"
        if not BUILD and not _built:
            say("building ours as a release ...")
            fresh = [] if (build / "build.ninja").exists() else [
                ["meson", "setup", str(build), str(ROOT), "--buildtype=release", "-Dtests=false",
                 "-Dman=disabled"]]
            for command in fresh + [["ninja", "-C", str(build)]]:
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stdout[-3000:] + done.stderr[-2000:] + "bench: ours does not build")
            _built.append(True)
        places = [build / "examples" / part / name for part in ("wsgi", name, "embed", "")]
    return next((str(path) for path in places if path.is_file()), None)


# --- servers

def pick(peers, wanted):
    """The peers of these names, or all that are installed; names the missing ones. tools/need bench installs them."""
    for name in wanted or ():
        if name not in peers:
            sys.exit(f"bench: no server {name!r}; there are: {', '.join(peers)}")
    chosen = [peers[name] for name in wanted] if wanted else list(peers.values())
    for peer in chosen:
        if not peer.command:
            say(f"not here: {peer.name}")
    return [peer for peer in chosen if peer.command]


class Running(harness.Server):
    """A running peer; its files, and copies of `files`, are in a temporary directory."""

    def __init__(self, peer, files=()):
        super().__init__([], bind=None, env=peer.env)
        self.peer, self.directory = peer, tempfile.TemporaryDirectory(prefix="bench-")
        words = [str(word).replace("{port}", str(self.port)).replace("{directory}", self.directory.name)
                 for word in peer.command]
        for i, word in enumerate(words):
            if word.startswith("daemon off"):  # a configuration, not yet a file
                words[i] = self.directory.name + "/conf"
                pathlib.Path(words[i]).write_text(word)
        for file in files:
            shutil.copy(file, self.directory.name)
        os.chmod(self.directory.name, 0o755)
        self.arguments = words

    def start(self):
        try:
            with pinned("server"):
                super().start()
            harness.wait_until(self.responds, f"{self.peer.name} responds", 20)
        except OSError as error:
            raise RuntimeError(f"{self.peer.name}: {error}") from None
        except AssertionError as error:
            self.end()
            lines = self.log().strip().splitlines()
            raise RuntimeError(f"{error}: {lines[-1] if lines else 'it said nothing'}") from None
        except BaseException:
            self.kill_all()  # __exit__() is not called after a failure here
            self.end()
            raise

    def responds(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.peer.name} ended with status {self.process.returncode}")
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return self.get("/", seconds=2).status == 200
        return False

    def kill_all(self):
        """Kill all processes at once."""
        for pid in reversed(harness.tree(self.pid)) if self.process else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __exit__(self, kind, *rest):
        if kind in (KeyboardInterrupt, SystemExit):
            self.kill_all()  # after an interrupt, do not wait for clients
        with contextlib.suppress(AssertionError):
            self.end()
        self.output.close()
        self.directory.cleanup()


@contextlib.contextmanager
def pinned(what):
    """Processes that are started inside run on some processors only: load on the last one, servers on the others. So
    they do not share caches, and rounds are comparable."""
    before = os.sched_getaffinity(0)
    if PIN and len(before) > 1:
        last = max(before)
        os.sched_setaffinity(0, {last} if what == "load" else before - {last})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- resources

def cpu_ns(pid):
    """CPU time of a process: running threads, as the scheduler counts it, and reaped children."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def busy(seconds=0.3):
    """The share of the machine's processors that is in use now, before the benchmark."""
    def ticks():
        fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        return sum(map(int, fields)), int(fields[3]) + int(fields[4])
    all_before, idle_before = ticks()
    time.sleep(seconds)
    all_after, idle_after = ticks()
    return 1 - (idle_after - idle_before) / max(all_after - all_before, 1)


def pss_kib(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def usage(server):
    """{cpu_ns, switches} of a process and all its descendants."""
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
    with pinned("load"):
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


def loaded(server, mode, seconds, connections=64):
    """The figures of wrk(), and what the server needed for them, per request."""
    before = usage(server)
    figures = wrk(server.port, mode, seconds, connections)
    after = usage(server)
    requests = max(figures["requests"], 1)
    figures["cpu_ns"] = (after["cpu_ns"] - before["cpu_ns"]) / requests
    figures["switches"] = (after["switches"] - before["switches"]) / requests
    figures["pss_worker"], figures["pss_all"] = memory(server)
    return figures


def pace(port, rate, seconds, keep=0, wait=True):
    """Constant load by pace.c: its figures as a dict, or with wait=False the process (see paced())."""
    with pinned("load"):
        process = subprocess.Popen([helper("paced_load"), str(port), str(rate), str(seconds), str(keep)],
                                   stdout=subprocess.PIPE, text=True)
    return paced(process) if wait else process


def paced(process):
    text = process.communicate(timeout=600)[0]
    if process.returncode:
        raise RuntimeError(f"pace ended with status {process.returncode}")
    return json.loads(text)


# --- figures

VERDICTS = {True: "met", False: "NOT MET", None: "not measured"}


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


PROMISES = []


def promise(what, measured, limit, form="{:.2f}", spread=None):
    """A promise of this project: at most `limit`. `spread` is the text of the figure, if it is not the number. A value
    that is not a number does not meet it."""
    PROMISES.append({"what": what, "measured": measured, "limit": limit, "met": measured <= limit,
                     "text": [spread or form.format(measured), "at most " + form.format(limit)]})


def left_out(peer, error):
    """A server that does not run cannot be measured; a server of this project must run."""
    message = str(error) if peer.name in str(error) else f"{peer.name}: {error}"
    say(f"left out: {message}")
    if peer.name.startswith(OURS):
        PROMISES.append({"what": message, "measured": None, "limit": None, "met": False, "text": ["-", ""]})


def not_measured(what):
    PROMISES.append({"what": what, "measured": None, "limit": None, "met": None, "text": ["-", ""]})


def show_promises(promises):
    table(["promise", "measured", "limit", ""],
          [[one["what"], *one["text"], VERDICTS[one["met"]]] for one in promises])


def finish(args, figures):
    """The end of a benchmark: print the promises and whether they are met, and write all raw figures to a file if
    requested. Returns the exit status."""
    if args.json:
        args.json.write_text(json.dumps({"figures": figures, "promises": PROMISES}, indent=1))
    if PROMISES:
        print()
        show_promises(PROMISES)
    return 0 if all(one["met"] is not False for one in PROMISES) else 1


def go(main):
    """Run a benchmark until it ends or is interrupted."""
    try:
        status = main()
    except KeyboardInterrupt:
        say("bench: interrupted")
        status = 130
    except BrokenPipeError:  # the reader of the output has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except (RuntimeError, AssertionError) as error:
        say(f"bench: {error}")
        status = 2
    sys.exit(status)


def template(text):
    """The argument of --peer: (name, words of its command)."""
    name, _, command = text.partition("=")
    if not name or not command.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND")
    return name, shlex.split(command)


def parser(description):
    """The options of every benchmark."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--prefix", type=pathlib.Path, help="where ours is installed (default: build a release)")
    p.add_argument("--build", type=pathlib.Path, help="a directory that ours is built in already")
    p.add_argument("--only", action="append", metavar="NAME", help="measure this server; may be repeated")
    p.add_argument("--json", type=pathlib.Path, help="write all raw figures there")
    p.add_argument("--no-pin", action="store_true", help="let servers and load run on any processor")
    p.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", type=template,
                   help="one more server; {port}, {workers} and {directory}, a directory of its own, are replaced in "
                        "its command")
    return p


def options(p):
    global PREFIX, BUILD, OUT, PIN
    args = p.parse_args()
    PREFIX, PIN = args.prefix, not args.no_pin
    others = busy()
    if others > BUSY:
        say(f"others have {others:.0%} of this machine: figures will be too high, spreads wide, latencies theirs")
    if args.build:
        BUILD = args.build.resolve()
        OUT = BUILD / "bench"
    return args

#!/usr/bin/python3
"""Do the benchmarks still run? Each one for a moment, with this build; no figure is judged."""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = float(os.environ.get("TEST_PATIENCE") or "1")
BUILD = os.environ.get("BUILD_ROOT") or "."

C, WSGI = "http_hello sync", "prefork-wsgi sync"
JOBS = [
    ("run --rounds 1 --seconds 1 --mode close", [C, "bare loop"]),
    ("run --rounds 1 --seconds 1 --mode keep", ["worker_poll"]),
    ("calls --seconds 1 --mode close", [C]),
    ("respawn --kills 1", [C]),
    ("reload --reloads 1 --pause 0.5 --rate 100", [C]),
    ("nothing_dropped --upgrades 1 --pause 0.5 --rate 100", [C]),
    ("slow --idle 5 --slow 2 --bodies 2 --readers 2 --seconds 1", [C]),
    ("growth --requests 300 --rest 0.1", [C]),
    ("orphans --times 1 --workers 1", [C]),
    ("balance --connections 100 --workers 2", [C]),
    ("idle --seconds 1 --timeout 1 --workers 1", [C]),
    ("sleep --rounds 1 --seconds 1 --workers 1", [WSGI]),
    ("reload --broken --reloads 1 --pause 0.5 --rate 50", [WSGI]),
    ("stuck --timeout 1 --patience 2 --rate 20", [WSGI]),
]


def can_count_calls():
    counting = ["perf", "stat", "-e", "syscalls:sys_enter_close", "true"]
    return shutil.which("perf") and subprocess.run(counting, capture_output=True).returncode == 0


def has_libev():
    hello = pathlib.Path(BUILD) / "examples/http_hello/http_hello"
    return subprocess.run([hello, "--check-config", "--worker-class", "libev"], capture_output=True).returncode == 0


def problem(command, names):
    words = command.split()
    if not shutil.which("wrk") and words[0] in ("run", "sleep", "calls"):
        return None
    if words[0] == "calls" and not can_count_calls():
        return None
    for name in names:
        words += ["--only", name]
    done = subprocess.run([HERE / words[0], *words[1:], "--build", BUILD, "--no-pin"], capture_output=True, text=True,
                          timeout=60 * PATIENCE)
    text = f"{done.stdout}{done.stderr}"
    rows = [name for name in names if not any(line.startswith(name) for line in done.stdout.splitlines())]
    if done.returncode not in (0, 1) or "Traceback (most recent call last)" in done.stderr or rows:
        return f"--- {command}: status {done.returncode}, no row for {rows}\n{text}"
    return None


def main():
    has_wsgi = (pathlib.Path(BUILD) / "examples/wsgi/prefork-wsgi").exists()
    jobs = [job for job in JOBS if has_wsgi or WSGI not in job[1]]
    if has_libev():
        jobs.append(("suspended --connections 20 --resumes 2000", ["memory", "resumed", "processor"]))
    if (pathlib.Path(BUILD) / "examples/https_hello/https_hello").exists() and shutil.which("nginx") and shutil.which("openssl"):
        jobs.append(("tls --rounds 1 --scale 0.05", ["full"]))
    with concurrent.futures.ThreadPoolExecutor(4) as side_by_side:
        failed = [text for text in side_by_side.map(lambda job: problem(*job), jobs) if text]
    print(*failed, sep="\n")
    return 1 if failed else 0


sys.exit(main())

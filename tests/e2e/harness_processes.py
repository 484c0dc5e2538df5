"""Waiting with a deadline, and processes as /proc shows them."""
import contextlib
import os
import pathlib
import re
import select
import subprocess
import time
import unittest

PATIENCE = float(os.environ.get("TEST_PATIENCE") or "1")


def need_program(name):
    """The path of a program of the system, or the test is skipped."""
    for directory in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    raise unittest.SkipTest(f"no {name} on this machine")


def wait_until(condition, what, seconds=10):
    """Return the first true value of `condition`; after the time limit, fail and name `what`."""
    deadline = time.monotonic() + seconds * PATIENCE
    pause = 0.001
    while True:
        is_late = time.monotonic() > deadline  # before the last check: this process may be the one that was late
        value = condition()
        if value:
            return value
        if is_late:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def begin_command(*words):
    """Start a command that prints nothing but errors."""
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_command(command, seconds=20):
    """Wait for it. Returns its status, and what it has written to standard error."""
    try:
        output, errors = command.communicate(timeout=seconds * PATIENCE)
    finally:
        command.kill()
    if output != "":
        raise AssertionError(f"written to standard output: {output}")
    return command.returncode, errors


def read_file(path):
    """The bytes of a file of /proc, at little cost: tests ask for the same ones again and again. None if the process has
    exited."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return os.read(fd, 65536)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)


def start_time(pid):
    """The start time of a process: pid and start time identify a process. None if it has exited: all of its threads, since
    the first one may be a zombie while others still have the descriptors open."""
    text = read_file(f"/proc/{pid}/stat")
    fields = text.rpartition(b") ")[2].split() if text else [b"X"]
    if fields[0] == b"X" or (fields[0] == b"Z" and int(fields[17]) <= 1):
        return None
    return int(fields[19])


def children(pid):
    """The running children of a process, in the order of their start."""
    for _ in range(10):
        found = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in os.listdir(f"/proc/{pid}/task"):
                found += map(int, (read_file(f"/proc/{pid}/task/{task}/children") or b"").split())
        started = [(start_time(child), child) for child in found]
        # While a child is reaped, the kernel may leave out another one (proc_pid_tid_children(5)).
        if all(when is not None or os.path.exists(f"/proc/{child}") for when, child in started):
            break
    return [child for when, child in sorted(pair for pair in started if pair[0] is not None)]


def tree(pid):
    """A process and all its descendants."""
    found = [pid] if start_time(pid) is not None else []
    for child in children(pid):
        found += tree(child)
    return found


def title(pid):
    """The command line of a process, as ps shows it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    return ""


def fd_count(pid):
    """Number of open descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def open_files(pid):
    """What the open descriptors of a process refer to. One that is closed meanwhile is left out."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def listening_inode(port):
    """The inode of the TCP socket that listens at this port of 127.0.0.1."""
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}" and fields[3] == "0A":
            return int(fields[9])
    raise AssertionError(f"no socket listens at 127.0.0.1:{port}")


def epoll_entries(pid):
    """The entries of the epoll sets of a process: (set, descriptor, inode, events)."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fdinfo"):
        text = (read_file(f"/proc/{pid}/fdinfo/{number}") or b"").decode()
        for fd, events, inode in re.findall(r"^tfd: *(\d+) events: *([0-9a-f]+) .* ino:([0-9a-f]+) ", text, re.MULTILINE):
            found.append((int(number), int(fd), int(inode, 16), int(events, 16)))
    return found


def waits_exclusively(pid, port):
    """Whether a process polls the listener at this port by entries with EPOLLEXCLUSIVE alone, and in epoll sets that are in
    no other one: the kernel wakes one of the processes that do so for a connection, and all of the others."""
    entries, inode = epoll_entries(pid), listening_inode(port)
    watched = {fd for _, fd, _, _ in entries}
    found = [(number, events) for number, _, entry, events in entries if entry == inode]
    return bool(found) and all(events & select.EPOLLEXCLUSIVE and number not in watched for number, events in found)


def wait_for_sleep(pids):
    """Wait until all threads of these processes sleep."""
    def sleeps(path):
        return (read_file(path) or b"").rpartition(b") ")[2][:1] == b"S"

    wait_until(lambda: all(sleeps(f"/proc/{pid}/task/{task}/stat") for pid in pids for task in os.listdir(f"/proc/{pid}/task")),
               "all threads sleep")


def cpu_seconds(pid):
    """The processor time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid, kind="Pss"):
    """Proportional set size of a process, or another line of smaps_rollup. Other programs that use the same libraries
    change the Pss when they start and exit, but not what is "Anonymous"."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {kind} in smaps_rollup")


def wait_for_quiet(number, seconds=5):
    """Return number() once it is the same ten times in a row, or after the time limit."""
    seen = [number()]
    deadline = time.monotonic() + seconds * PATIENCE
    while len(seen) < 10 or len(set(seen[-10:])) > 1:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
        seen.append(number())
    return seen[-1]


def context_switches(pid):
    """Sum of the context switches of all threads of a process, voluntary or not."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in pathlib.Path(f"/proc/{pid}/task/{task}/status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total

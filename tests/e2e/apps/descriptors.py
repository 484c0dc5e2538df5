"""An application that leaves processes behind and closes descriptors that it does not own."""
import multiprocessing
import os
import socket
import subprocess
import time

if os.environ.get("CLOSE_AT_IMPORT"):
    os.closerange(*map(int, os.environ["CLOSE_AT_IMPORT"].split("-")))


def linger():
    time.sleep(60)


def fork():
    pid = os.fork()
    if pid == 0:
        linger()
        os._exit(0)
    return pid


if os.environ.get("FORK_AT_IMPORT"):
    fork()


def process():
    child = multiprocessing.get_context("fork").Process(target=linger, daemon=True)
    child.start()
    return child.pid


def program():
    return subprocess.Popen(["sleep", "60"], close_fds=False).pid


def close_those_like(name):
    for number in os.listdir("/proc/self/fd"):
        try:
            if int(number) > 2 and name in os.readlink(f"/proc/self/fd/{number}"):
                os.close(int(number))
        except OSError:
            pass


def reuse_syslog():
    """Close the sockets of syslog, and have another socket under each number."""
    others, found = [], []
    for line in open("/proc/net/unix", encoding="ascii").read().splitlines()[1:]:
        found += [f"socket:[{line.split()[6]}]"] if line.split()[4] == "0002" and len(line.split()) == 7 else []
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        try:
            if os.readlink(f"/proc/self/fd/{number}") in found:
                others.append(socket.socketpair())
                os.dup2(others[-1][0].fileno(), number)
        except OSError:
            pass
    return len(others)


ACTIONS = {
    "/fork": fork,
    "/process": process,
    "/program": program,
    "/close/all": lambda: os.closerange(3, 256),
    "/close/epolls": lambda: close_those_like("eventpoll"),
    "/close/eventfds": lambda: close_those_like("eventfd"),
    "/close/timers": lambda: close_those_like("timerfd"),
    "/close/logs": lambda: close_those_like("error.log"),
    "/reuse/syslog": reuse_syslog,
    "/close/output": lambda: os.closerange(0, 3),
    "/print": lambda: print("printed by the application", flush=True),
    "/": os.getpid,
}


def app(environ, start_response):
    body = str(ACTIONS[environ["PATH_INFO"]]()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

"""The server under test, and nginx in front of it."""
import atexit
import contextlib
import http.client
import itertools
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness_clients import Response, Client
from harness_processes import PATIENCE, children, need_program, start_time, title, tree, wait_until


def claim_ports():
    """The ports for servers of this process, and what claims them until it exits: tests that run at the same time have
    others. Below those that the kernel gives to clients: a client that connects to a port of its own range before the
    server listens can be connected to itself, and then the server has no port."""
    first, each = 10000, 100
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    blocks = max(0, lowest - first) // each
    for block in random.sample(range(blocks), blocks):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0prefork-tests-ports-{block}")
            return claim, range(first + block * each, first + (block + 1) * each)
        except OSError:
            claim.close()
    return None, ()


PORTS_CLAIM, PORTS = claim_ports()
if PORTS_CLAIM:
    atexit.register(PORTS_CLAIM.close)
NEXT_PORT = itertools.cycle(random.sample(PORTS, len(PORTS)))


def free_port(host="127.0.0.1"):
    """A port that was free a moment ago, and is not one of those of the last calls."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(NEXT_PORT, len(PORTS)):
        try:
            with socket.create_server((host, port), family=family):
                return port
        except OSError:
            continue
    with socket.create_server((host, 0), family=family) as listener:
        return listener.getsockname()[1]


def split(address):
    """The host, port and path of a --bind flag."""
    if address.startswith("unix:"):
        return None, None, address[5:]
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port), None


def dial(host, port, path, seconds):
    """A connected socket."""
    if path is None:
        return socket.create_connection((host, port), timeout=seconds)
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(seconds)
    try:
        connected.connect("\0" + path[1:] if path.startswith("@") else path)
    except OSError:
        connected.close()
        raise
    return connected


VERDICT = re.compile(r"\bReload (done|failed|superseded|stopped)\b.*\n")


class Server:
    """A server under test. `arguments` gets `--bind 127.0.0.1:PORT` unless `bind` is None.

    log()      all lines that it wrote to stderr and stdout so far
    workers()  the pids of its children
    get()      one request on its own connection; connect() returns a Client
    reload()   a reload, after which only new workers serve

    `prefix` precedes the command: a program that executes the rest.
    """

    def __init__(self, arguments, bind="tcp", cwd=None, env=None, wait=True, fds=(), prefix=()):
        self.host, self.port = "127.0.0.1", free_port()
        self.arguments = [str(word) for word in arguments]
        if bind == "tcp":
            self.arguments[1:1] = ["--bind", f"{self.host}:{self.port}"]
        elif bind:
            self.arguments[1:1] = ["--bind", bind]
        self.arguments[:0] = prefix
        self.path = bind[5:] if bind and bind.startswith("unix:") else None
        self.cwd, self.wait_for_it = cwd, wait and (bind == "tcp" or self.path is not None)
        # Unbuffered, print() would write a line in pieces, and a line of the log could come between two of them. At a stop
        # the server waits for handshakes in progress; tests of other subjects need not.
        self.env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "", "PREFORK_STOP_LINGER": "100ms",
                    **(env or {})}
        self.process, self.seen, self.fds = None, {}, fds
        self.output = tempfile.TemporaryFile()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *rest):
        stranded = self.end()
        has_race = "ThreadSanitizer: " in self.log()
        if kind or stranded or has_race:
            print(f"--- {' '.join(self.arguments)} wrote:\n{self.log()}", file=sys.stderr)
        self.output.close()
        if stranded and not kind:
            raise AssertionError(f"left behind after the server ended: {stranded}")
        if has_race and not kind:
            raise AssertionError("ThreadSanitizer has found a fault")

    def start(self):
        self.process = subprocess.Popen(self.arguments, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.output, start_new_session=True,
                                        pass_fds=self.fds)
        if self.wait_for_it:
            try:
                self.wait_for_start()
            except AssertionError:
                self.end()
                print(self.log(), file=sys.stderr)
                self.output.close()
                raise

    def wait_for_start(self):
        """Wait until it listens at every address of its --bind flags: it begins with one after the other."""
        wait_until(self.is_listening, f"{self.arguments[0]} listens")
        bound = [address for flag, address in zip(self.arguments, self.arguments[1:]) if flag == "--bind"]
        for address in bound[1:]:
            wait_until(lambda: self.is_listening(*split(address)), f"{self.arguments[0]} listens at {address}")

    def is_listening(self, *address):
        if self.process.poll() is not None:
            raise AssertionError(f"ended at once with status {self.process.returncode}")
        with contextlib.suppress(OSError), dial(*(address or self.address), 1):
            return True
        return False

    @property
    def address(self):
        return self.host, self.port, self.path

    def dial(self, seconds):
        """A connected socket."""
        return dial(*self.address, seconds)

    def children_once(self):
        return bool(self.workers()) and "Listening at" in self.log()

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """The running workers. They are recorded, so that the end of the server can check that all have exited."""
        found = children(self.pid)
        started = ((pid, start_time(pid)) for pid in tree(self.pid))
        self.seen.update((pid, when) for pid, when in started if when is not None)
        return found

    def serving(self):
        """The workers, if there are any and the titles of all of them say that they serve."""
        found = self.workers()
        return found if all(title(pid).endswith("] serving") for pid in found) else []

    def log(self):
        """What it wrote. A line that is being written is left out until it is complete, or the arbiter has exited."""
        is_running = self.process is not None and self.process.poll() is None
        size = os.fstat(self.output.fileno()).st_size
        text = os.pread(self.output.fileno(), size, 0)
        return (text[:text.rfind(b"\n") + 1] if is_running else text).decode(errors="replace")

    def dumps(self):
        """What is not a line of the log. A dump is written in pieces, and a line of the arbiter may stand between two."""
        return re.sub(r"\[\d{4}-\d\d-\d\d [^]\n]*\][^\n]*\n", "", self.log())

    def wait_for_log(self, text, seconds=10):
        return wait_until(lambda: text in self.log(), f"{text!r} in the log", seconds)

    def wait_for_workers(self, count, seconds=10):
        """Wait until there are exactly `count` workers and return their pids."""
        return self.wait_for_count(self.workers, count, f"{count} workers", seconds)

    def wait_for_serving(self, count, seconds=10):
        """Wait until there are exactly `count` workers and all of them serve; return their pids."""
        return self.wait_for_count(self.serving, count, f"{count} workers that serve", seconds)

    @staticmethod
    def wait_for_count(find, count, what, seconds):
        """Wait until `find` returns so many pids; return those that were counted, since there may be others a moment later."""
        found = []

        def is_complete():
            found[:] = find()
            return len(found) == count
        wait_until(is_complete, what, seconds)
        return found

    def wait_for_exit(self, pids, seconds=20):
        """Wait until none of these processes, which were among workers(), is left."""
        wait_until(lambda: not any(map(self.is_left, pids)), f"the exit of {sorted(pids)}", seconds)

    def is_left(self, pid):
        started = start_time(pid)
        return started is not None and started == self.seen.get(pid, started)

    def send_signal(self, number):
        self.process.send_signal(number)

    def reload(self, verdict="done", seconds=30, exits=True, log=None):
        """Reload by SIGHUP; return the line of the verdict.

        "Reload done" says that the new workers serve. Old ones have been told to stop, and may accept a connection until
        they do: a request that expects what the reload has changed must follow their exit. So the signal is sent when all
        workers serve, and are known; and after the verdict "done" the method waits until none of them is left. If there
        are several workers, call wait_for_serving() before: one may serve before the next one is forked.

        verdict   what is expected: done, failed, superseded or stopped; another one raises an AssertionError with its line
        seconds   the limit of each wait
        exits     False: do not wait for the exits, since the test keeps an old worker busy
        log       a function that returns the log, if it is not log()
        """
        log = log or self.log
        before = wait_until(self.serving, "all workers serve", seconds)
        count = len(VERDICT.findall(log()))
        self.send_signal(signal.SIGHUP)
        found = wait_until(lambda: list(VERDICT.finditer(log()))[count:], "the verdict of the reload", seconds)[0]
        if found[1] != verdict:
            raise AssertionError(f"the reload is {found[1]}, not {verdict}: {found[0]}")
        if verdict == "done" and exits:
            self.wait_for_exit(before, seconds)
        return found[0]

    def stop(self, number=signal.SIGTERM, seconds=20):
        """Stop it by a signal and return its exit status."""
        self.workers()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait(seconds)

    def stop_with_pending(self, worker, request, count=10):
        """Stop it while connections with a request are pending, which its only worker has not accepted: what each of them
        receives, and the exit status."""
        os.kill(worker, signal.SIGSTOP)
        clients = [self.connect(30) for _ in range(count)]
        for client in clients:
            client.send(request)
        self.send_signal(signal.SIGTERM)
        self.wait_for_log("Shutting down")
        os.kill(worker, signal.SIGCONT)
        received = []
        for client in clients:
            received.append(client.read_all())
            client.__exit__()
        return received, self.wait()

    def wait(self, seconds=20):
        """Wait until it exits and return its exit status."""
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds * PATIENCE:g} s") from None

    def end(self):
        """Kill remaining processes, by pid; return the pids of those that outlived the server."""
        if self.process is None:
            return []
        self.workers()
        status = None
        with contextlib.suppress(AssertionError):
            status = self.stop()
        survivors = [pid for pid, started in self.seen.items() if pid != self.pid and started == start_time(pid)]
        if status is not None and survivors:  # an orphan has some time to finish
            deadline = time.monotonic() + 3 * PATIENCE
            while survivors and time.monotonic() < deadline:
                time.sleep(0.01)
                survivors = [pid for pid in survivors if self.seen[pid] == start_time(pid)]
        for pid in survivors + ([self.pid] if self.process.poll() is None else []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return survivors if status is not None else survivors or [self.pid]

    def connect(self, seconds=10):
        return Client(self.dial(seconds * PATIENCE))

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def request(self, method, path="/", body=None, headers=None, seconds=10):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds * PATIENCE)
        connection.sock = self.dial(seconds * PATIENCE)
        try:
            connection.request(method, path, body, {"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path="/", headers=None, seconds=10):
        return self.request("GET", path, headers=headers, seconds=seconds)


class Nginx:
    """nginx in front of `upstream` ("127.0.0.1:8000" or "unix:/path"), with all it writes in `directory`."""

    def __init__(self, directory, upstream, location=""):
        self.program, self.directory = need_program("nginx"), directory
        self.host, self.port, self.process = "127.0.0.1", free_port(), None
        user = "user root;" if os.getuid() == 0 else ""
        temporary = "".join(f"{name}_temp_path {directory}/{name};" for name in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (directory / "nginx.conf").write_text(f"""
            {user} worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
            events {{ worker_connections 256; }}
            http {{
                access_log off; client_max_body_size 0; {temporary}
                upstream prefork {{ server {upstream} max_fails=0; keepalive 8; }}
                server {{
                    listen {self.host}:{self.port};
                    location / {{
                        proxy_pass http://prefork; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
                        {location}
                    }}
                }}
            }}""")

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.program, "-e", f"{self.directory}/nginx.log", "-p", self.directory, "-c", f"{self.directory}/nginx.conf"],
            stdin=subprocess.DEVNULL)
        wait_until(self.is_listening, "nginx listens")
        return self

    def __exit__(self, *rest):
        processes = tree(self.process.pid)
        self.process.terminate()
        self.process.wait(10 * PATIENCE)
        wait_until(lambda: not any(map(start_time, processes)), "nginx has exited")

    def is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"nginx: {self.log()}")
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
            return True
        return False

    def log(self):
        return (self.directory / "nginx.log").read_text()

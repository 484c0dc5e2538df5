"""What every end-to-end test needs: a server as a child process, a client that shows every byte, and patience.

    class Hello(harness.Case):
        def test_a_request_gets_a_response(self):
            with harness.Server([harness.program("prefork-wsgi"), "hello:app"], cwd=APPS) as server:
                self.assertEqual(server.get("/").status, 200)

    if __name__ == "__main__":
        harness.main()

Nothing here sleeps to let things happen: what is waited for is named, and the limit is multiplied by
TEST_PATIENCE. Programs are found under the build directory in the environment's BUILD_ROOT. Every process
that a Server started is gone when its block ends, or the test fails.
"""
import collections
import contextlib
import functools
import http.client
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PATIENCE = float(os.environ.get("TEST_PATIENCE") or "1")
SOURCE_ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD_ROOT = pathlib.Path(os.environ.get("BUILD_ROOT") or ".").resolve()

Answer = collections.namedtuple("Answer", "status headers body")

# What a test of every worker class runs with: the end of its name, and its flags.
WORKER_CLASSES = (
    ("sync", ("-k", "sync")),
    ("threads", ("-k", "threads", "--threads", "4")),
    ("libev", ("-k", "libev")),
    ("libev_offload", ("-k", "libev", "--threads", "4")),
)


def program(name):
    """The path of a built program, by its name; the test is skipped where this build has none."""
    for place in ("examples/wsgi", f"examples/{name}", "examples/embed", "examples/jobs", "examples", "tools", "tests/e2e"):
        path = BUILD_ROOT / place / name
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise unittest.SkipTest(f"this build has no {name}")


def free_port(host="127.0.0.1"):
    """A port that was free a moment ago, below those that the kernel gives to clients: a client that connects to a
    port of its own range before the server listens can be connected to itself, and then the server has no port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in [*random.sample(range(10000, lowest), 100)] if lowest > 11000 else []:
        try:
            with socket.create_server((host, port), family=family):
                return port
        except OSError:
            continue
    with socket.create_server((host, 0), family=family) as listener:
        return listener.getsockname()[1]


def need_ipv6():
    """Skip the test on a machine that has no ::1."""
    try:
        free_port("::1")
    except OSError as error:
        raise unittest.SkipTest(f"no IPv6 here: {error}") from None


def need_module(name):
    """Skip the test where a Python module is not installed for /usr/bin/python3."""
    try:
        __import__(name)
    except ImportError as error:
        raise unittest.SkipTest(str(error)) from None


def need_program(name):
    """The path of a program of the system, or the test is skipped."""
    for directory in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    raise unittest.SkipTest(f"no {name} on this machine")


@functools.lru_cache(maxsize=None)
def has_worker_class(flags):
    """Whether this build can start a worker of that class: it says so itself."""
    probe = Server([program("http_hello"), *flags], bind="127.0.0.1:0")
    with probe:
        wait_until(lambda: probe.process.poll() is not None or probe.children_once(), "a worker, or a refusal")
        return "no worker class" not in probe.log()


def need_files():
    """Skip the test where this build reads no configuration file: it says so itself."""
    with tempfile.NamedTemporaryFile() as empty:
        asked = subprocess.run([program("http_hello"), "--config", empty.name, "--check-config"], capture_output=True,
                               check=False, text=True)
    if asked.returncode != 0:
        raise unittest.SkipTest(asked.stderr.strip())


def every_worker_class(case):
    """Decorates a Case: it runs once for each row of WORKER_CLASSES, as NAME_sync and so on. The flags of the
    row are its `flags`; where a class is not built, its tests are skipped."""
    module = sys.modules[case.__module__]
    for name, flags in WORKER_CLASSES:
        setattr(module, f"{case.__name__}_{name}",
                type(f"{case.__name__}_{name}", (case,), {"__module__": case.__module__, "flags": flags}))


def wait_until(condition, what, seconds=10):
    """Return the first true answer of `condition`; say that `what` did not come when it takes too long."""
    deadline = time.monotonic() + seconds * PATIENCE
    pause = 0.001
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


# --- processes, as /proc shows them

def start_time(pid):
    """The kernel's start time of a process: with the pid it names a process for good; None when gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def children(pid):
    """The living children of a process, in the order of their birth."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                text = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
                found += [int(word) for word in text.split()]
    return sorted((child for child in found if start_time(child) is not None),
                  key=lambda child: (start_time(child) or 0, child))


def tree(pid):
    """A process and all below it."""
    found = [pid] if start_time(pid) is not None else []
    for child in children(pid):
        found += tree(child)
    return found


def title(pid):
    """What ps shows of a process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    return ""


def fd_count(pid):
    """How many descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    """The processor time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    """What a process alone would cost: its proportional set size."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")


def wait_for_quiet(number, seconds=5):
    """Return what number() says when it says the same ten times in a row, or at last."""
    seen = [number()]
    deadline = time.monotonic() + seconds * PATIENCE
    while len(seen) < 10 or len(set(seen[-10:])) > 1:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
        seen.append(number())
    return seen[-1]


def context_switches(pid):
    """Voluntary and other switches of all threads of a process, added up."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in pathlib.Path(f"/proc/{pid}/task/{task}/status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


# --- the server

class Server:
    """A server under test. `arguments` gets `--bind 127.0.0.1:PORT` unless `bind` is None.

    log()      all that it wrote to stderr and stdout so far
    workers()  the pids of its children
    get()      one request, one answer; connect() for bytes by hand

    `prefix` stands before the command: a program that execs what follows.
    """

    def __init__(self, arguments, bind="tcp", cwd=None, env=None, wait=True, fds=(), prefix=()):
        self.host, self.port = "127.0.0.1", free_port()
        self.arguments = [str(word) for word in arguments]
        if bind == "tcp":
            self.arguments[1:1] = ["--bind", f"{self.host}:{self.port}"]
        elif bind:
            self.arguments[1:1] = ["--bind", bind]
        self.arguments[:0] = prefix
        self.path = bind[5:] if bind and bind.startswith("unix:") else None  # "@name" is abstract
        self.cwd, self.wait_for_it = cwd, wait and (bind == "tcp" or self.path is not None)
        # A stop waits for handshakes that the kernel holds back; what is not about that need not wait with it.
        self.env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PREFORK_STOP_LINGER": "100ms", **(env or {})}
        self.process, self.seen, self.fds = None, {}, fds
        self.output = tempfile.TemporaryFile()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *rest):
        stranded = self.end()
        if kind or stranded:
            print(f"--- {' '.join(self.arguments)} said:\n{self.log()}", file=sys.stderr)
        self.output.close()
        if stranded and not kind:
            raise AssertionError(f"left behind after the server ended: {stranded}")

    def start(self):
        self.process = subprocess.Popen(self.arguments, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.output, start_new_session=True,
                                        pass_fds=self.fds)
        if self.wait_for_it:
            try:
                wait_until(self.is_listening, f"{self.arguments[0]} listens")
            except AssertionError:
                self.end()
                print(self.log(), file=sys.stderr)
                self.output.close()
                raise

    def is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ended at once with status {self.process.returncode}")
        with contextlib.suppress(OSError), self.dial(1):
            return True
        return False

    def dial(self, seconds):
        """A connected socket."""
        if self.path is None:
            return socket.create_connection((self.host, self.port), timeout=seconds)
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(seconds)
        try:
            connected.connect("\0" + self.path[1:] if self.path.startswith("@") else self.path)
        except OSError:
            connected.close()
            raise
        return connected

    def children_once(self):
        return bool(self.workers()) and "Listening at" in self.log()

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """The living workers; remembered, so that none of them can be left behind unseen."""
        found = children(self.pid)
        born = ((pid, start_time(pid)) for pid in tree(self.pid))
        self.seen.update((pid, when) for pid, when in born if when is not None)
        return found

    def log(self):
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode(errors="replace")

    def wait_for_log(self, text, seconds=10):
        return wait_until(lambda: text in self.log(), f"the log says {text!r}", seconds)

    def wait_for_workers(self, count, seconds=10):
        """Wait until there are exactly `count` workers and return their pids."""
        wait_until(lambda: len(self.workers()) == count, f"{count} workers", seconds)
        return self.workers()

    def wait_for_serving(self, count, seconds=10):
        """Wait until `count` workers are there and all say by their title that they serve; return their pids."""
        wait_until(lambda: [title(pid).endswith("] serving") for pid in self.workers()] == [True] * count,
                   f"{count} workers that serve", seconds)
        return self.workers()

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=20):
        """End it by a signal and return its exit status."""
        self.workers()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=20):
        """Wait for its end and return its exit status."""
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds * PATIENCE:g} s") from None

    def end(self):
        """Make sure that all is gone, by pid; return the pids that outlived the server itself."""
        if self.process is None:
            return []
        self.workers()
        status = None
        with contextlib.suppress(AssertionError):
            status = self.stop()
        survivors = [pid for pid, born in self.seen.items() if pid != self.pid and born == start_time(pid)]
        if status is not None and survivors:  # the orphan's time to finish is theirs
            deadline = time.monotonic() + 3 * PATIENCE
            while survivors and time.monotonic() < deadline:
                time.sleep(0.01)
                survivors = [pid for pid in survivors if self.seen[pid] == start_time(pid)]
        for pid in survivors + ([self.pid] if self.process.poll() is None else []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return survivors if status is not None else survivors or [self.pid]

    # the client's side

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
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path="/", headers=None, seconds=10):
        return self.request("GET", path, headers=headers, seconds=seconds)


class Shared:
    """For a Case whose tests only ask: one server for all of them, made by the class method `make`."""
    server = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.make()
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        if cls.server:
            status, stranded = cls.server.stop(), cls.server.end()
            log = cls.server.log()
            cls.server.output.close()
            if status != 0 or stranded or "Sanitizer" in log:
                raise AssertionError(f"status {status}, left behind {stranded}; the log:\n{log}")


class Client:
    """A connection whose every byte the test decides."""

    def __init__(self, connected):
        self.socket, self.buffer = connected, b""

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def end_output(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Close so that the server gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def more(self):
        """Read something; b"" at the end. A reset is an exception."""
        data = self.socket.recv(65536)
        self.buffer += data
        return data

    def read_all(self):
        """All bytes until the server closes."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def read_until(self, mark):
        """The bytes up to and with `mark`."""
        while mark not in self.buffer:
            if not self.more():
                raise AssertionError(f"closed before {mark!r}: {self.buffer!r}")
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise AssertionError(f"closed after {len(self.buffer)} of {count} bytes")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def answer(self, head_only=False):
        """One whole HTTP response: its status, headers and body, framed as its headers say."""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in lines[1:] if line)}
        if head_only or status in (204, 304) or 100 <= status < 200:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Answer(status, headers, self.chunks())
        if "content-length" in headers:
            return Answer(status, headers, self.read_exactly(int(headers["content-length"])))
        return Answer(status, headers, self.read_all())

    def chunks(self):
        body = bytearray()  # bytes would be copied whole for each chunk
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n") != b"\r\n":
                    pass
                return bytes(body)
            body += self.read_exactly(size)
            if self.read_exactly(2) != b"\r\n":
                raise AssertionError("a chunk without its line end")

    def is_quiet(self, seconds=0.2):
        """True when nothing comes, not even an end, for so long."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


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
        below = tree(self.process.pid)
        self.process.terminate()
        self.process.wait(10 * PATIENCE)
        wait_until(lambda: not any(map(start_time, below)), "nginx is gone")

    def is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"nginx: {self.log()}")
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
            return True
        return False

    def log(self):
        return (self.directory / "nginx.log").read_text()


class Load:
    """Clients that ask without a pause while a block runs; `answered` and `lost` tell how it went.

    kept   every client keeps its connection as long as the server does
    """

    def __init__(self, server, path="/", clients=3, kept=False):
        self.server, self.path, self.kept = server, path, kept
        self.answered, self.lost, self.over = [], [], threading.Event()
        self.clients = [threading.Thread(target=self.ask) for _ in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *rest):
        self.over.set()
        for client in self.clients:
            client.join()

    def ask(self):
        while not self.over.is_set():
            connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=20 * PATIENCE)
            try:
                self.ask_on(connection)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)
            finally:
                connection.close()

    def ask_on(self, connection):
        """Ask once, or until one side closes; the server says so before it does."""
        while not self.over.is_set():
            connection.request("GET", self.path, headers={} if self.kept else {"Connection": "close"})
            response = connection.getresponse()
            self.answered.append(Answer(response.status, response.headers, response.read()))
            if response.will_close or not self.kept:
                return

    def wait_for(self, count, what="answers"):
        """Wait until `count` more requests are answered."""
        goal = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= goal or self.lost, f"{count} {what}", seconds=30)


class Case(unittest.TestCase):
    """A test case that shows whole values, and that fails when this process itself leaks descriptors."""
    maxDiff = None
    longMessage = True
    flags = ()

    @classmethod
    def setUpClass(cls):
        if cls.flags and not has_worker_class(cls.flags):
            raise unittest.SkipTest(f"this build has no worker class {cls.flags[1]}")

    @contextlib.contextmanager
    def directory(self, **files):
        """A directory of its own; each keyword is a file in it: app_py="..." is app.py."""
        with tempfile.TemporaryDirectory(prefix="prefork-e2e-") as name:
            for file, text in files.items():
                stem, _, suffix = file.rpartition("_")
                pathlib.Path(name, f"{stem}.{suffix}").write_text(text)
            yield pathlib.Path(name)

    def run(self, result=None):
        before, began = fd_count("self"), time.monotonic()
        super().run(result)
        durations.append((time.monotonic() - began, self.id()))
        after = fd_count("self")
        if result is not None and after > before and result.wasSuccessful():
            result.addFailure(self, (AssertionError, AssertionError(
                f"descriptors of the test itself: {before} before, {after} after"), None))


durations = []


class _PartOfThem(unittest.TestLoader):
    """With PART=2/3 in the environment every third class of the file, from the second on: parts run side by side."""

    def loadTestsFromModule(self, module, **more):
        number, count = map(int, os.environ.get("PART", "1/1").split("/"))
        whole = list(super().loadTestsFromModule(module, **more))
        return self.suiteClass(whole[number - 1::count])


def main():
    """Run the tests of the file that calls this, with a line for each, in the order of the file's names; say
    at last which took longest."""
    program = unittest.main(verbosity=2, exit=False, testLoader=_PartOfThem())
    for seconds, name in sorted(durations, reverse=True)[:8]:
        if seconds > 2:
            print(f"{seconds:6.1f} s {name.removeprefix('__main__.')}")
    sys.exit(not program.result.wasSuccessful())

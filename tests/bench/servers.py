"""The servers that are measured, and how they are started. Rows of servers that are not installed are included."""
import collections
import pathlib
import shutil

import bench

APPS = bench.HERE / "apps"
OURS = bench.OURS
APPLICATIONS = {"hello": "hello:app", "large": "hello:large", "flask": "flask_hello:app", "django": "django_hello:app"}
STRATEGIES = ("sync", "threads", "libev")
PYTHON_LOOPS = ("gevent", "eventlet", "tornado")
LOOPS = ("poll", "glib", "uv")  # of the examples worker_LOOP

# command: None when it is not installed. modes: "keep" (kept connections), "close" (one per request).
Peer = collections.namedtuple("Peer", "name kind modes command env")

# The application that a row serves, and its numbers of workers and threads.
Task = collections.namedtuple("Task", "workers app threads preload timeout extra chdir",
                              defaults=(1, "hello:app", None, False, 30, (), APPS))


def is_ours(name):
    return name.startswith(OURS)


def ours(program, strategy, task):
    path = bench.ours(program)
    threads = task.threads or (4 if strategy == "threads" else None)
    words = [path, "--bind", "127.0.0.1:{port}", "--workers", task.workers, "--worker-class", strategy,
             "--timeout", task.timeout, "--keep-alive", "30",
             *(["--threads", threads] if threads and strategy != "sync" else []), *task.extra]
    if program == "prefork-wsgi":
        words += ["--chdir", task.chdir, *(["--preload"] if task.preload else []), task.app]
    return words if path else None


def has_package(kind):
    return kind not in PYTHON_LOOPS or pathlib.Path("/usr/lib/python3/dist-packages", kind).is_dir()


def gunicorn(kind, task):
    program = shutil.which("gunicorn", path="/usr/bin")
    if not program or not has_package(kind):
        return None
    threads = ["--threads", task.threads or 4] if kind == "gthread" else []
    return [program, "-k", kind, *threads, "-w", task.workers, "-b", "127.0.0.1:{port}", "--timeout", task.timeout,
            "--keep-alive", "30", "--log-level", "warning", "--chdir", task.chdir,
            *(["--preload"] if task.preload else []), task.app]


def uwsgi(kind, task):
    """Its --http-socket keeps no connection; its --http11-socket needs a thread for each one."""
    program = shutil.which("uwsgi", path="/usr/bin")
    if not program or not list(pathlib.Path("/usr/lib/uwsgi/plugins").glob("python3*")):
        return None
    threads = ["--threads", task.threads or 64] if kind == "http11-socket" else []
    return [program, "--plugin", "python3", f"--{kind}", "127.0.0.1:{port}", "--master", "--processes", task.workers,
            *threads, "--harakiri", task.timeout, "--disable-logging", "--die-on-term", "--need-app",
            "--listen", "128", "--chdir", task.chdir, "--module", task.app]


NGINX = """daemon off; worker_processes {workers}; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_header_timeout 5s;
  client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{ listen 127.0.0.1:{{port}} backlog=2048; default_type text/plain;
    location / {{ return 200 "Hello, world!\\n"; }} }} }}
"""


def nginx(task):
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not program:
        return None
    return [program, "-p", "{directory}", "-e", "stderr", "-c", NGINX.format(workers=task.workers, directory="{directory}")]


def bare(words, task):
    """C loops of the benchmarks: one process, a fixed response."""
    return [bench.helper("bare"), *words.split(), "{port}"] if task.workers == 1 else None


def catalog(**task):
    """{name: Peer} of every server there is a recipe for; the keywords are the fields of Task."""
    task = Task(**task)
    both, close = ("keep", "close"), ("close",)
    rows = [("bare epoll", "c", both, bare("epoll", task)),
            ("bare epoll, no defer", "c", close, bare("plain-epoll", task)),
            ("bare loop", "c", close, bare("loop", task)),
            ("nginx", "c", both, nginx(task))]
    rows += [(f"http_hello {name}", "c", both, ours("http_hello", name, task)) for name in STRATEGIES]
    rows += [(f"prefork-wsgi {name}", "wsgi", both, ours("prefork-wsgi", name, task)) for name in STRATEGIES]
    rows += [(f"worker_{name}", "c", both, ours(f"worker_{name}", name, task)) for name in LOOPS]
    rows += [(f"prefork-wsgi {name}", "wsgi", both, ours("prefork-wsgi", name, task) if has_package(name) else None)
             for name in PYTHON_LOOPS]
    rows += [(f"gunicorn {name}", "wsgi", both, gunicorn(name, task)) for name in ("sync", "gthread", *PYTHON_LOOPS)]
    rows += [("uwsgi http", "wsgi", both, uwsgi("http-socket", task)),
             ("uwsgi http11", "wsgi", both, uwsgi("http11-socket", task))]
    return {name: Peer(name, kind, modes, command, {}) for name, kind, modes, command in rows}


def of_ours(*programs):
    """The names of these programs' rows, one for each strategy."""
    return [f"{program} {strategy}" for program in programs or OURS for strategy in STRATEGIES]


def chosen(args, default=None, **task):
    """What to measure: --only, else the names in `default`, else all; and every --peer."""
    peers = catalog(**task)
    if task.get("workers", 1) > 1:
        bench.PIN = False  # they shall have all processors
    more = {}
    for name, words in args.peer:
        words = [word.replace("{workers}", str(task.get("workers", 1))) for word in words]
        more[name] = Peer(name, "other", ("keep", "close"), words, {})
    return bench.pick(peers, args.only or default) + list(more.values())

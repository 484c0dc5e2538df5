"""Names the threads and connections of the arbiter that a fork does not copy, or shares among all workers.

preload.c calls check() before the first fork of a generation. The search is bounded: in a heap of more than OBJECTS_MAX
objects connections are not searched for, and whose they are is found out for about SECONDS_MAX. No module of a driver is
imported, and of an object of the application only the attributes in CONNECTIONS are read.
"""
import _socket
import gc
import itertools
import os
import sys
import time

LINES_MAX = 10
OBJECTS_MAX = 5_000_000
SECONDS_MAX = 0.2  # of CPU time, for the owners of connections
STEP_SHARE = 0.3  # what gc.get_referrers() takes, of the time to list all objects; 0.16 to 0.31 for 1 to 5 million
DEPTH_MAX = 8  # from a connection to the module that has it
WIDTH_MAX = 40

# Threads of these packages: the package starts them anew in a child, or nothing depends on them there.
HARMLESS = frozenset(("_pydevd_bundle", "ddtrace", "debugpy", "elasticapm", "gevent", "opentelemetry", "prefork_wsgi", "pydevd",
                      "sentry_sdk", "tqdm"))

known = set()  # what is in the log already


# --- what is named ---

def decide(threads, connections, before=frozenset(), most=LINES_MAX):
    """The lines, at most `most`, and how many more there would be. `threads` and `connections` are pairs of what it is and
    the module that it belongs to; `before` has the lines of earlier calls. A line is ("thread", what, module) or
    ("connection", what, module)."""
    lines = [("thread", what, module) for what, module in threads if module.partition(".")[0] not in HARMLESS]
    lines += [("connection", what, module) for what, module in connections]
    lines = [line for line in dict.fromkeys(lines) if line not in before]
    return lines[:most], max(0, len(lines) - most)


def peer_of(kind, family, own, peer):
    """The other end of a socket as text; None: it may be shared. `own` and `peer` are the names of both ends, `peer` None
    if it is not connected. Datagrams of several processes do not mix, and a socket pair (both ends without a name) is for
    this process alone."""
    if peer is None or kind not in (_socket.SOCK_STREAM, _socket.SOCK_SEQPACKET):
        return None
    if family == _socket.AF_UNIX:
        name = os.fsencode(peer or own)
        abstract = name.startswith(b"\0")
        text = name[abstract:].decode(errors="backslashreplace")
        return f"unix:{'@' if abstract else ''}{text}" if name else None
    if isinstance(peer, tuple) and len(peer) >= 2:
        return f"[{peer[0]}]:{peer[1]}" if ":" in str(peer[0]) else f"{peer[0]}:{peer[1]}"
    return str(peer)


def is_open_sqlite3(connection):
    try:
        return connection.total_changes >= 0
    except Exception:  # ProgrammingError: it is closed
        return False


def is_not_closed(connection):
    return not connection.closed


def is_open_mysql(connection):
    return bool(connection.open)


def cannot_tell(connection):
    return True


def is_open_socket(connection):
    return socket_peer(connection) is not None


# Package, class, and whether one of its objects is open. Drivers in Python have a socket; those here do not show theirs.
CONNECTIONS = {
    ("sqlite3", "Connection"): is_open_sqlite3,
    ("psycopg2", "connection"): is_not_closed,
    ("psycopg", "Connection"): is_not_closed,
    ("psycopg", "AsyncConnection"): is_not_closed,
    ("MySQLdb", "Connection"): is_open_mysql,
    ("pyodbc", "Connection"): is_not_closed,
    ("oracledb", "Connection"): cannot_tell,
    ("cx_Oracle", "Connection"): cannot_tell,
    ("socket", "socket"): is_open_socket,
    ("gevent", "socket"): is_open_socket,
}


def row_of(cls):
    """The key in CONNECTIONS of a class, or of one that it is derived from."""
    for base in cls.__mro__:
        package, name = str(base.__module__).partition(".")[0], base.__qualname__
        if (package, name) in CONNECTIONS:
            return package, name
    return None


# --- threads ---

def start_of(frame):
    """The module of the outermost function of a thread that is not in the module threading."""
    modules = []
    while frame is not None:
        modules.append(str(frame.f_globals.get("__name__", "?")))
        frame = frame.f_back
    return next((name for name in reversed(modules) if name != "threading"), modules[-1] if modules else "?")


def module_of_thread(thread, frame):
    """The module of its target, else of its class, else of where it has begun. `thread` is None if threading does not have
    it."""
    target = getattr(thread, "_target", None) or getattr(thread, "function", None)
    while type(target).__name__ == "partial":  # of functools
        target = target.func
    for found in (target, type(thread) if thread is not None else None):
        module = getattr(found, "__module__", None)
        if isinstance(module, str) and module not in ("threading", "builtins"):
            return module
    return start_of(frame)


def find_threads():
    """Those of the kernel, except this one. Threads that gevent or eventlet has made greenlets are in the workers, too."""
    here, frames, threading = sys._getframe(), sys._current_frames(), sys.modules.get("threading")
    objects = {thread.ident: thread for thread in threading.enumerate()} if threading else {}
    main = threading.main_thread() if threading else None
    found = []
    for ident, frame in frames.items():
        thread = objects.get(ident)
        if frame is not here and (thread is None or thread is not main):
            found.append((repr(thread.name) if thread is not None else str(ident), module_of_thread(thread, frame)))
    return sorted(found)


# --- connections ---

def socket_peer(connection):
    try:
        peer = connection.getpeername()
    except OSError:  # not connected, or closed
        return None
    return peer_of(connection.type, connection.family, connection.getsockname(), peer)


def text_of(connection, row):
    package, name = row
    return f"to {socket_peer(connection)}" if name == "socket" else f"{package}.{name}"


def log_sockets():
    """The ids of the sockets of handlers for syslog: a line is one message."""
    logging, handlers = sys.modules.get("logging"), sys.modules.get("logging.handlers")
    references = getattr(logging, "_handlerList", ()) if handlers else ()
    return {id(getattr(handler, "socket", None)) for handler in (reference() for reference in references)
            if isinstance(handler, handlers.SysLogHandler)}


def is_open(connection, row):
    try:
        return CONNECTIONS[row](connection)
    except Exception:  # another version of the package
        return False


def find_objects():
    """Pairs of an open connection and its row."""
    objects, rows = gc.get_objects(), {}
    for cls in set(map(type, objects)):
        row = row_of(cls)
        if row is not None:
            rows[cls] = row
    found = list(itertools.compress(objects, map(rows.__contains__, map(type, objects)))) if rows else []
    del objects
    harmless = log_sockets() if found else set()
    return [(each, rows[type(each)]) for each in found if id(each) not in harmless and is_open(each, rows[type(each)])]


def modules_by_value():
    """The id of each value of a module's globals, and the name of the module. prefork_wsgi has objects of the application,
    too, such as `server`."""
    found = {}
    for name, module in list(sys.modules.items()):
        if isinstance(module, type(sys)) and not name.startswith("prefork_wsgi"):
            for value in list(vars(module).values()):
                found.setdefault(id(value), name)
    return found


class Budget:
    """CPU time for steps that nothing can interrupt. A step takes as long as the one before, since each reads the whole
    heap; `step`: the estimate for the first."""

    def __init__(self, seconds, step, clock=time.thread_time):
        self.clock, self.step = clock, step
        self.end = clock() + seconds

    def fits(self):
        """Whether a further step ends in time."""
        return self.clock() + self.step <= self.end

    def run(self, function, *arguments):
        begun = self.clock()
        result = function(*arguments)
        self.step = self.clock() - begun
        return result


def referrers_of(values, hidden):
    """The objects that refer to one of these, except frames and what this search itself has made."""
    return [each for each in gc.get_referrers(*values) if id(each) not in hidden and type(each).__name__ != "frame"]


def fresh_referrers(values, hidden, seen):
    return [each for each in referrers_of(values, hidden) if id(each) not in seen][:WIDTH_MAX]


def owner_of(connection, row, modules, hidden, budget):
    """The module whose globals lead to a connection, by the shortest path; else that of the class of what holds it, unless
    it is one of Python's."""
    seen, front, nearest = {id(connection)}, [connection], row[0]
    for _ in range(DEPTH_MAX):
        for each in front:
            if id(each) in modules:
                return modules[id(each)]
            module = str(type(each).__module__)
            package = module.partition(".")[0]
            if nearest == row[0] and package != row[0] and package not in sys.stdlib_module_names:
                nearest = module
        if not front or not budget.fits():
            break
        front = budget.run(fresh_referrers, front, hidden | {id(front)}, seen)
        seen.update(map(id, front))
    return nearest


def find_connections():
    begun = time.thread_time()
    found = find_objects()
    budget = Budget(SECONDS_MAX, (time.thread_time() - begun) * STEP_SHARE)
    hidden = {id(found), *map(id, found)}
    modules = modules_by_value() if found else {}
    return [(text_of(*pair), owner_of(*pair, modules, hidden, budget)) for pair in found]


def search(is_first):
    """The connections. Objects from before the last gc.freeze() are examined for the first generation only: that writes to
    their pages, which are then no longer shared with running workers."""
    if not is_first or gc.get_freeze_count() == 0:
        return find_connections()
    if gc.get_freeze_count() > OBJECTS_MAX:
        return []
    was_enabled = gc.isenabled()
    gc.disable()  # else it may collect in the whole heap meanwhile
    gc.collect()  # what has been made since, and is garbage
    gc.unfreeze()
    try:
        return find_connections()
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def display(module):
    """As the log names it."""
    if module != "__config__":
        return f"module {module}"
    return os.path.basename(getattr(sys.modules.get(module), "__file__", "the configuration file"))


def printable(text):
    """Other characters as escapes: names of sockets and threads may have any, and the log is UTF-8 without NUL."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text)


def check(is_first):
    """The lines for the log, and how many there are not."""
    lines, more = decide(find_threads(), search(is_first), known)
    known.update(lines)
    return [(kind, printable(what), printable(display(module))) for kind, what, module in lines], more

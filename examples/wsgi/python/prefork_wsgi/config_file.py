"""Executes a configuration file in Python (gunicorn.conf.py), and makes the Config object of gunicorn from it.

The file runs as gunicorn runs it: a module __config__ with a __file__, the working directory (after --chdir) in sys.path.
Its names that are settings become values of the server's settings; config_file.c assigns them. At a reload the file runs
with a time limit, and after the modules that it has imported from its own directories were forgotten.
"""
import builtins
import difflib
import importlib
import inspect
import os
import signal
import sys
import traceback
import types

from gunicorn import config
from prefork_wsgi import state, table

MODULE = "__config__"
# Settings that config_file.c cannot take from the file: the interpreter runs by then, or only the command line has them.
NOT_HERE = {"config": "", "check_config": "", "print_config": "use the flag --print-config",
            "venv": "Python runs by the time that the file is read: set --venv or VIRTUAL_ENV",
            "convert_config": "", "send_reload": "", "send_upgrade": ""}
# An empty value has a meaning for these; for the others it is no value.
MAY_BE_EMPTY = ("forwarded_allow_ips", "proxy_allow_ips", "uwsgi_allow_ips")

SECONDS = ("timeout", "graceful_timeout", "keepalive")  # the server has milliseconds
OBJECTS = ("class", "dict", "hook")  # the kinds of rows whose value may be an object that only the file has

values = {}  # of each reading with a file that may still be needed: its number: {name: value in gunicorn's type}
configs = {}  # of each reading, also without a file: the Config object, once it was asked for


class ConfigError(Exception):
    """A value of the file is not valid. The message names the setting."""


class TimeExpired(KeyboardInterrupt):
    """The file has run for longer than config_timeout. Not an Exception, so that the file does not catch it."""


# --- running the file ---

def run(location, directory, limit):
    """Execute the file or module; the names that it defines. `limit`: seconds; 0: no limit, for the start."""
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # it has no name if it was removed: an old release
    try:
        os.chdir(directory)
        if directory not in sys.path:
            sys.path.insert(0, directory)
        return vars(Limit(limit).call(module_of, location))
    finally:
        os.fchdir(before)
        os.close(before)


def module_of(location):
    if location.startswith("python:"):
        return importlib.import_module(location.removeprefix("python:"))
    return execute(location)


def execute(path):
    module = types.ModuleType(MODULE)
    module.__file__ = path
    module.__builtins__ = builtins
    sys.modules[MODULE] = module
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    return module


class Limit:
    """While it is entered, the main thread gets TimeExpired after some seconds, again and again in case that the file
    catches it, and must not fork: the child would be a second arbiter. config_file.c restores the dispositions of signals
    that the file changes."""

    FORKS = ("fork", "forkpty")

    def __init__(self, seconds):
        self.seconds = seconds
        self.functions, self.handler, self.timer = {}, None, (0, 0)

    def call(self, function, *arguments):
        """Call a function within the limit, and end it even if the time expires at the very end, in __exit__()."""
        try:
            with self:
                return function(*arguments)
        finally:
            self.__exit__()

    def __enter__(self):
        if not self.seconds:
            return
        self.functions = {name: getattr(os, name) for name in self.FORKS}
        for name in self.FORKS:
            setattr(os, name, self.refuse)
        self.handler = signal.signal(signal.SIGALRM, self.expire)
        self.timer = signal.setitimer(signal.ITIMER_REAL, self.seconds, 1)

    def __exit__(self, *exception):
        if not self.seconds:
            return
        signal.setitimer(signal.ITIMER_REAL, *self.timer)
        signal.signal(signal.SIGALRM, self.handler or signal.SIG_DFL)
        for name, function in self.functions.items():
            setattr(os, name, function)

    def expire(self, signo, frame):
        raise TimeExpired(f"not done within {self.seconds:g} s (config_timeout)")

    @staticmethod
    def refuse():
        raise RuntimeError("a configuration file must not fork at a reload: the child would be a second arbiter (start "
                           "the process in the hook when_ready, or with subprocess)")


# --- its values ---

def is_plain(value):
    return isinstance(value, (bool, int, float, str, list, tuple, dict))


def nearest(name):
    """The setting that a name of the file is probably meant to be; None: it is a name of the file's own."""
    def bare(word):
        return word.strip("-").replace("-", "").replace("_", "").lower()

    spellings = {bare(flag): row.name for row in table.rows for flag in row.flags if flag.startswith("--")}
    spellings.update({bare(row.name): row.name for row in table.rows})
    spellings.update({bare(row.name.removesuffix("_app")): row.name for row in table.rows if row.name.endswith("_app")})
    found = difflib.get_close_matches(bare(name), spellings, 1, 0.85) if len(name) > 4 and name == name.lower() else []
    return spellings[found[0]] if found else None


def texts(kind, name, value):
    """A value in the form that the settings of the server parse; a list has several."""
    if value is None or name in NOT_HERE:
        return []
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if kind == "mode":
        return [f"0{value:o}"]
    if isinstance(value, dict):
        return [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value] or ([""] if name in MAY_BE_EMPTY else [])
    if inspect.isclass(value):
        return [f"{value.__module__}.{value.__qualname__}"]
    text = str(value).lower() if name == "loglevel" else str(value)
    return [text] if text or name in MAY_BE_EMPTY else []


def own_value(name, value):
    """The value of a setting that only prefork-wsgi has, as texts."""
    if value is not None and not is_plain(value):
        return []  # a module or a function that has the name by chance
    return texts(None, name, value)


class Reading:
    """The values of one run: what to assign, what to remember for the Config, what to tell the operator."""

    def __init__(self, has_row):
        self.has_row = has_row  # of a name: is it a setting of the server
        self.assignments, self.warnings, self.values = [], [], {}

    def take(self, names):
        for name, value in list(names.items()):
            if name.startswith("__"):
                continue
            row = table.by_name.get(name)
            if row:
                self.take_row(row, value)
            elif self.has_row(name):
                self.assign(name, own_value(name, value), value)
            else:
                self.take_unknown(name, value)
        return self

    def take_unknown(self, name, value):
        near = nearest(name) if is_plain(value) else None
        if near:
            self.warnings.append(f"{name} is not a setting, and is ignored; did you mean {near}?")

    def take_row(self, row, value):
        setting = config.Setting(row)
        if value is None and row.kind in ("hook", "class", "bool"):
            return
        try:
            typed = setting.validator(value)
        except (TypeError, ValueError) as error:
            if not (row.kind == "int" and isinstance(value, str) and self.has_row(row.name)):
                raise ConfigError(f"{row.name}: {error}") from error
            typed = value.strip()  # "500ms", or an error by the row
        written = texts(row.kind, row.name, typed if row.kind not in ("user", "group") or value is not None else None)
        if row.status in ("refused", "no effect") and not self.has_row(row.name):
            self.weigh(row, written)
        self.values[row.name] = typed
        if self.has_row(row.name):
            self.assign(row.name, written, value)

    def weigh(self, row, written):
        """A setting that does nothing here: an error if it should."""
        if not written or row.is_harmless(",".join(written)):
            return
        if row.status == "refused":
            raise ConfigError(f"{row.name} is gunicorn's, and not available in prefork-wsgi: {row.why}")
        self.warnings.append(f"{row.name} has no effect: {row.why}")

    def assign(self, name, written, value):
        if name in NOT_HERE:
            if NOT_HERE[name] and value:
                self.warnings.append(f"{name} is ignored: {NOT_HERE[name]}")
            return
        self.assignments += [(name, text) for text in written]


# --- forgetting modules, so that a reload reads them again ---

def directories_of(location, directory, paths):
    own = [] if location.startswith("python:") else [os.path.dirname(location)]
    return {os.path.realpath(os.path.join(directory, each)) for each in [directory, *own, *paths]}


def places(module):
    """The directories in which a top-level module or package lies."""
    path = getattr(module, "__path__", None)
    files = list(path) if path is not None else [getattr(module, "__file__", None)]
    return {os.path.dirname(os.path.realpath(each)) for each in files if isinstance(each, str) and os.path.isabs(each)}


def is_pure(module):
    path = getattr(module, "__file__", None)
    return path is None or path.endswith((".py", ".pyc"))


def family(name):
    return [each for each in sys.modules if each == name or each.startswith(name + ".")]


def forget(location, directory, paths, kept):
    """Remove the modules that the file has imported from its own directories, but none that is in `kept`, or in use by
    one of those, and none with parts in C, which cannot be imported twice."""
    own = directories_of(location, directory, paths)
    used = {name.partition(".")[0] for name in kept or ()} | modules_behind(kept or ())
    for name, module in list(sys.modules.items()):
        if "." in name or name in used or name in (MODULE, "__main__") or not places(module) or not places(module) <= own:
            continue
        if all(is_pure(sys.modules[each]) for each in family(name)):
            for each in family(name):
                del sys.modules[each]
    importlib.invalidate_caches()


NAMED = (type, types.FunctionType, types.BuiltinFunctionType)  # they have the name of a module themselves


def origin_of(value):
    """The module that a value is, or in which it or its type is defined. Nothing is read of other objects: they may stand
    for what is made when it is first used (django.utils.functional.SimpleLazyObject), such as a connection."""
    kind = type(value)
    if issubclass(kind, types.ModuleType):
        return vars(value).get("__name__")
    if issubclass(kind, NAMED):
        return getattr(value, "__module__", None)
    if kind.__module__ == "builtins":
        return None
    own = inspect.getattr_static(value, "__module__", None)  # functools.lru_cache()
    return own if isinstance(own, str) else kind.__module__


def modules_behind(kept):
    """The top-level modules that the modules in `kept` refer to."""
    found = set()
    for name in kept:
        module = sys.modules.get(name)
        values = list(vars(module).values()) if issubclass(type(module), types.ModuleType) else ()
        for origin in map(origin_of, values):
            if isinstance(origin, str):
                found.add(origin.partition(".")[0])
    return found


# --- called by config_file.c ---

def describe(error):
    """One line about an exception, and its traceback without the frames of this module."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    if isinstance(error, SystemExit):
        line = f"it exits (sys.exit({'' if error.code is None else repr(error.code)}))"
    elif isinstance(error, TimeExpired):
        line = str(error)
    else:
        line = traceback.format_exception_only(type(error), error)[-1].strip()
    return line, "".join(traceback.format_exception(type(error), error, trace))


def load(number, location, directory, paths, kept, limit, has_row):
    """Run the file: its assignments (name, text), warnings, and, if it cannot be used, one line and several that say why.
    `number` is for config_of()."""
    pid = os.getpid()
    reading = Reading(has_row)
    if limit:
        forget(location, directory, paths, kept)
    try:
        reading.take(run(location, directory, limit))
    except ConfigError as error:
        return [], reading.warnings, str(error), ""
    except BaseException as error:
        if os.getpid() != pid:  # a process that the file has forked
            raise
        return [], reading.warnings, *describe(error)
    values[number] = reading.values
    return reading.assignments, reading.warnings, None, ""


def asks_for_check(number):
    """Whether the file of this run has check_config = True."""
    return bool(values.get(number, {}).get("check_config"))


def in_seconds(milliseconds):
    return milliseconds // 1000 if milliseconds % 1000 == 0 or milliseconds < 0 else milliseconds / 1000


def draft(number, lookup, application):
    """A Config object of settings that are still being read. The arguments are those of config_of()."""
    cfg, written = config.Config(), values.get(number, {})
    for name, setting in cfg.settings.items():
        found = lookup(name)
        if name in written and (found is None or found[1] and setting.row.kind in OBJECTS):
            setting.value = written[name]
        elif found is not None:
            setting.value = config.from_text(setting, in_seconds(found[0]) if name in SECONDS else found[0])
    if "default_proc_name" not in written:
        cfg.settings["default_proc_name"].value = application or "gunicorn"
    return cfg


def config_of(number, lookup, application):
    """The Config object of the settings of reading `number`. lookup(name) is (value, does it come from the file) for a
    setting of the server, or None."""
    if number not in configs:
        configs[number] = draft(number, lookup, application)
    return configs[number]


def select(number, lookup, application):
    state.cfg = config_of(number, lookup, application)


def drop(before):
    """Readings before this number can no longer be asked for. A later one may be that of a reload that waits."""
    for readings in (values, configs):
        for number in [each for each in readings if each < before]:
            del readings[number]


def changes():
    """The assignments that follow from calls of cfg.set(): (name, text, does it continue a list)."""
    rows = state.cfg.settings if state.cfg else {}
    found = state.cfg.take_changes() if state.cfg else {}
    return [(name, text, number > 0) for name, value in found.items()
            for number, text in enumerate(texts(rows[name].row.kind, name, value) or [""])]

"""Passes the lines of the server to the logger of the process: gunicorn.glogging.Logger, or logger_class.

log_bridge.c calls these functions if logger_class, logconfig, logconfig_json or logconfig_dict is set. Nothing else in the
program waits for Python's logging: lines wait in a queue, and go to the log file if they cannot go through Python.
"""
import atexit
import logging
import pathlib
import types

from gunicorn import glogging
from prefork_wsgi import config_file, state

METHODS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error",
           logging.CRITICAL: "critical"}
RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}  # names that a pair cannot have


class Current:
    log = None  # the logger of this process
    cfg = None  # its settings
    settings = None  # what determines it: settings_of(cfg) when it was made
    handlers = []  # (logger, handler): what it has added


def loggers():
    return [logging.root, *glogging.loggers()]


def handlers():
    return [(each, handler) for each in loggers() for handler in each.handlers]


def make(cfg):
    """A new logger. The handlers that the one before has added go."""
    for each, handler in Current.handlers:
        each.removeHandler(handler)
    before = handlers()
    try:
        return cfg.logger_class(cfg)
    finally:
        Current.handlers = [pair for pair in handlers() if pair not in before]


def logger(cfg):
    """The logger of this process, made for the first caller. Hooks have it as server.log and worker.log."""
    if Current.log is None:
        Current.settings = settings_of(cfg)  # before it reads a file that may change meanwhile
        Current.log, Current.cfg = make(cfg), cfg
        logging.getLogger("gunicorn.error").addFilter(complete)
        if state.server is not None:
            state.server.log = Current.log
    return Current.log


def plain(value):
    """What two runs of a configuration file have alike: each makes its functions and classes anew."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, types.FunctionType):
        return value.__module__, value.__qualname__, value.__code__
    if isinstance(value, type):
        return value.__module__, value.__qualname__, [plain(each) for each in vars(value).values()
                                                      if isinstance(each, types.FunctionType)]
    return value


def content(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return None


def settings_of(cfg):
    """What the logging of a process depends on: the settings, and the content of each file."""
    found = {name: plain(setting.get()) for name, setting in cfg.settings.items() if setting.section == "Logging"}
    return found, {path: content(path) for path in (cfg.logconfig, cfg.logconfig_json) if path}


def is_same(now, then):
    """A file that cannot be read has not changed."""
    return now[0] == then[0] and all(now[1][path] in (None, then[1][path]) for path in now[1])


def complete(record):
    """A filter: a record of emit() has the time at which its line was written, and its text as a traceback."""
    record.exc_text = getattr(record, "text", record.exc_text)
    written = getattr(record, "written", None)
    if written is not None:
        record.relativeCreated += (written - record.created) * 1000
        record.created, record.msecs = written, written % 1 * 1000
    return True


def snapshot():
    """What start() may change: of this module, and of each logger."""
    return ([(name, getattr(Current, name)) for name in ("log", "cfg", "settings", "handlers")],
            [(each, list(each.handlers), each.level, each.propagate, each.disabled) for each in loggers()])


def restore(saved):
    for name, value in saved[0]:
        setattr(Current, name, value)
    for each, its, level, each.propagate, each.disabled in saved[1]:
        each.handlers[:] = its
        each.setLevel(level)


def start(cfg):
    """Configure the logging of this process from cfg: all or nothing. Raises what is wrong. As with gunicorn, a reload leaves
    it as it is, unless it changes what it was made from: a preloaded application has configured its own since."""
    state.cfg = cfg
    if Current.log is not None and (cfg is Current.cfg or is_same(settings_of(cfg), Current.settings)):
        Current.cfg = Current.log.cfg = cfg
        return level_of(Current.log)
    saved = snapshot()
    Current.log = None
    try:
        return level_of(logger(cfg))
    except BaseException:
        restore(saved)
        state.cfg = Current.cfg or cfg
        raise


def level_of(log):
    return getattr(log, "error_log", logging.getLogger("gunicorn.error")).getEffectiveLevel()


def wants_access(cfg):
    """Whether access() of the logger does anything."""
    own = getattr(type(logger(cfg)), "access", None) is not glogging.Logger.access
    to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
    return bool(own or cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or to_syslog)


def split_title(message):
    """The title of a block has its pairs at its end."""
    message, event, rest = message.partition(" event=")
    return message, dict(pair.split("=", 1) for pair in ("event=" + rest).split(" ") if "=" in pair) if event else {}


def emit(level, part, message, pairs, written):
    """Pass one line on. `pairs` may have a text of several lines, such as a traceback."""
    text = pairs.pop("text", None)
    if text is not None:
        message, pairs = split_title(message)
    extra = {key: value for key, value in pairs.items() if key not in RECORD}
    extra.update(pairs=pairs, part=part, written=written)
    if text is not None:
        extra["text"] = text
    getattr(Current.log, METHODS[level])(message, extra=extra)


def emit_access(line):
    """A response of the server itself, such as one to an invalid request: there is nothing to call access() with."""
    logging.getLogger("gunicorn.access").info("%s", line)


def reopen():
    if hasattr(Current.log, "reopen_files"):
        Current.log.reopen_files()


class Limit(config_file.Limit):
    """In the arbiter, handlers and the configuration of logging have a time limit."""

    def expire(self, signo, frame):
        raise config_file.TimeExpired(f"Python's logging takes longer than {self.seconds:g} s")


class Setup(Limit):
    """What configures logging at a reload may fork, as at the start."""

    FORKS = ()


def limit(seconds, may_fork):
    """Begin the time limit; the result is for unlimit()."""
    found = (Setup if may_fork else Limit)(seconds)
    found.__enter__()
    return found


def unlimit(found):
    found.__exit__()


def finish():
    """The process ends: write what handlers keep."""
    logging.shutdown()


def abandon():
    """The process ends without what handlers keep, since one of them does not return."""
    atexit.unregister(logging.shutdown)

"""Passes the lines of the server to the logger of the process: gunicorn.glogging.Logger, or logger_class.

log_bridge.c calls these functions if logger_class, logconfig, logconfig_json or logconfig_dict is set. Nothing else in the
program waits for Python's logging: lines wait in a queue, and go to the log file if they cannot go through Python.
"""
import atexit
import logging

from gunicorn import glogging
from prefork_wsgi import config_file, state

METHODS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error",
           logging.CRITICAL: "critical"}
RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}  # names that a pair cannot have


class Current:
    log = None  # the logger of this process


def logger(cfg):
    """The logger of this process, made for the first caller. Hooks have it as server.log and worker.log."""
    if Current.log is None:
        Current.log = cfg.logger_class(cfg)
        logging.getLogger("gunicorn.error").addFilter(complete)
        if state.server is not None:
            state.server.log = Current.log
    return Current.log


def complete(record):
    """A filter: a record of emit() has the time at which its line was written, and its text as a traceback."""
    record.exc_text = getattr(record, "text", record.exc_text)
    written = getattr(record, "written", None)
    if written is not None:
        record.relativeCreated += (written - record.created) * 1000
        record.created, record.msecs = written, written % 1 * 1000
    return True


def start(cfg):
    """Configure the logging of this process from cfg, also a second time: all or nothing. Raises what is wrong."""
    before = Current.log
    Current.log, state.cfg = None, cfg
    try:
        return level_of(logger(cfg))
    except BaseException:
        Current.log = before
        if before is not None:
            state.cfg = before.cfg
            before.setup(before.cfg)
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

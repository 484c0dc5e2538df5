"""gunicorn.glogging: the object `log` of servers and workers, for hooks, and as the base of a logger_class.

The loggers gunicorn.error and gunicorn.access write to the log files of prefork-wsgi (prefork_wsgi.loggers), which never
wait for a reader and are opened again by USR1. With logger_class or logconfig* the lines of the server pass through
these loggers (prefork_wsgi.logging_bridge).
"""
import base64
import datetime
import json
import logging
import logging.config
import logging.handlers
import os
import sys
import time
import traceback

from prefork_wsgi import loggers as program
from prefork_wsgi.log_lines import LineFormatter

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
MICROSECOND = datetime.timedelta(microseconds=1)


def _logger_defaults(handler, name):
    return {"level": "INFO", "handlers": [handler], "propagate": True, "qualname": name}


def _handler_defaults(stream):
    return {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys." + stream}


# What logconfig_dict and logconfig_json have where they do not name it; for logconfig, values for "%(name)s".
CONFIG_DEFAULTS = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": _logger_defaults("error_console", "gunicorn.error"),
        "gunicorn.access": _logger_defaults("console", "gunicorn.access"),
    },
    "handlers": {"console": _handler_defaults("stdout"), "error_console": _handler_defaults("stderr")},
    "formatters": {
        "generic": {
            "class": "logging.Formatter",
            "format": program.ERROR_FORMAT,
            "datefmt": program.DATE_FORMAT,
        },
    },
}


def loggers():
    """All loggers that exist, without the root."""
    return [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]


def _file_handlers():
    for logger in [logging.root, *loggers()]:
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                yield handler


def _visible(text):
    """Without quotes and control characters, which could forge a field or a line."""
    if text.isprintable() and '"' not in text:
        return text
    return "".join(c if c.isprintable() and c != '"' else '\\"' if c == '"' else repr(c)[1:-1] for c in text)


class SafeAtoms(dict):
    """The values of a line of the access log; what is missing is "-", and names in braces are in any case."""

    def __init__(self, atoms):
        super().__init__((key, _visible(value) if isinstance(value, str) else value) for key, value in atoms.items())

    def __getitem__(self, key):
        return self.get(key.lower() if key.startswith("{") else key, "-")


def _pairs(fields):
    return fields.items() if hasattr(fields, "items") else fields


class Logger:
    LOG_LEVELS = {
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
    loglevel = logging.INFO
    error_fmt = program.ERROR_FORMAT
    datefmt = program.DATE_FORMAT
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class = SafeAtoms

    def __init__(self, cfg):
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.propagate = self.access_log.propagate = False
        self.error_handlers = []
        self.access_handlers = []
        self.logfile = None
        self.cfg = cfg
        self.setup(cfg)

    def setup(self, cfg):
        """For subclasses to extend: levels, handlers, and the configuration of Python's logging if cfg has one."""
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        self._set_handler(self.error_log, cfg.errorlog, LineFormatter(self.error_fmt, self.datefmt))
        path = cfg.accesslog or (os.devnull if cfg.syslog and not cfg.disable_redirect_access_to_syslog else None)
        # What the program writes to the file goes to syslog, too. Without a path the logger has no handler: worker classes
        # that log by its handlers would write a line for each request into the error log.
        self._set_handler(self.access_log, path, logging.Formatter(self.access_fmt), stream=sys.stdout)
        self._configure(cfg)

    def _configure(self, cfg):
        path = cfg.logconfig_json or cfg.logconfig
        try:
            if cfg.logconfig_dict:
                logging.config.dictConfig({**CONFIG_DEFAULTS, **cfg.logconfig_dict})
            elif path and not os.path.exists(path):
                raise RuntimeError(f"log config {path!r} not found")
            elif cfg.logconfig_json:
                with open(path, encoding="utf-8") as file:
                    logging.config.dictConfig({**CONFIG_DEFAULTS, **json.load(file)})
            elif cfg.logconfig:
                places = {"__file__": path, "here": os.path.dirname(path)}
                logging.config.fileConfig(path, {**CONFIG_DEFAULTS, **places}, disable_existing_loggers=False)
        except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            raise RuntimeError(f"{type(error).__name__}: {error}{cause}") from error

    def critical(self, msg, *args, **kwargs):
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        level = self.LOG_LEVELS.get(lvl.lower(), logging.INFO) if isinstance(lvl, str) else lvl
        self.error_log.log(level, msg, *args, **kwargs)

    def atoms(self, resp, req, environ, request_time):
        """The values of the access log by their letters, and {name}i, {name}o, {name}e: fields and environ."""
        status, sent = resp.status, getattr(resp, "sent", None)
        elapsed = request_time // MICROSECOND
        method, protocol = environ.get("REQUEST_METHOD"), environ.get("SERVER_PROTOCOL")
        atoms = {
            "h": environ.get("REMOTE_ADDR") or "-",
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": f"{method} {environ.get('RAW_URI')} {protocol}",
            "s": status.split(None, 1)[0] if isinstance(status, str) else status,
            "m": method,
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": protocol,
            "b": str(sent) if sent else "-",
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": elapsed // 1000000,
            "D": elapsed,
            "M": elapsed // 1000,
            "L": f"{elapsed // 1000000}.{elapsed % 1000000:06d}",
            "p": f"<{os.getpid()}>",
        }
        for letter, fields in ("i", getattr(req, "headers", req)), ("o", resp.headers), ("e", environ):
            atoms.update(("{%s}%s" % (name.lower(), letter), value) for name, value in _pairs(fields))
        return atoms

    def access(self, resp, req, environ, request_time):
        """For subclasses to replace: called after each response."""
        cfg = self.cfg
        to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
        if not (cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or to_syslog):
            return
        try:
            atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
            self.access_log.info(cfg.access_log_format, atoms)
        except Exception:
            self.error(traceback.format_exc())

    def now(self):
        """The time in the form of the access log."""
        now = time.localtime()
        return time.strftime(f"[%d/{MONTHS[now.tm_mon - 1]}/%Y:%H:%M:%S %z]", now)

    def reopen_files(self):
        """Open the files of the handlers again; those of prefork-wsgi itself are by the server."""
        for handler in _file_handlers():
            handler.acquire()
            try:
                if handler.stream:
                    handler.close()
                    handler.stream = handler._open()
            finally:
                handler.release()

    def close_on_exec(self):
        for handler in _file_handlers():
            if handler.stream:
                os.set_inheritable(handler.stream.fileno(), False)

    def _get_gunicorn_handler(self, log):
        return next((handler for handler in log.handlers if getattr(handler, "_gunicorn", False)), None)

    def _set_handler(self, log, output, fmt, stream=None):
        """Replace the handler that this function has added before. Subclasses call it with formatters of their own."""
        old = self._get_gunicorn_handler(log)
        if old:
            log.removeHandler(old)
        if output is None:
            return
        handler = program.handler(log.name, output)
        if handler is None:
            handler = logging.StreamHandler(stream) if output == "-" else logging.FileHandler(output)
        handler.setFormatter(fmt)
        handler._gunicorn = True
        log.addHandler(handler)

    def _get_user(self, environ):
        scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, colon, _ = base64.b64decode(value.strip()).decode().partition(":")
        except ValueError:
            return None
        return user if colon else None

"""The loggers gunicorn.error and gunicorn.access of Python's logging, with the log files of the program as handlers.

The module logging is not imported for them: they are made as soon as the application imports it.
"""
import sys

ERROR_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"
FORMATS = {"gunicorn.error": ERROR_FORMAT, "gunicorn.access": "%(message)s"}


class State:
    files = {}  # (logger, path as in its setting): a stream (errors.c) that writes lines to this log file unchanged
    stream = None  # that of the error log
    level = 0
    logger = None


def set_up(logging):
    for name, form in FORMATS.items():
        handler = logging.StreamHandler(State.stream)
        handler.setFormatter(logging.Formatter(form, DATE_FORMAT))
        handler._gunicorn = True  # gunicorn.glogging.Logger replaces it
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.INFO)
    State.logger = logging.getLogger("gunicorn.error")
    State.logger.setLevel(State.level)


class Finder:
    """Finder for sys.meta_path: sets up the loggers after the module logging has been executed."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(cls)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec:
                cls.attach(spec.loader)
                return spec
        return None

    @staticmethod
    def attach(loader):
        run = loader.exec_module

        def exec_module(module):
            del loader.exec_module  # once
            run(module)
            set_up(module)

        loader.exec_module = exec_module


def prepare(stream, level):
    State.stream, State.level = stream, level
    if "logging" in sys.modules:
        set_up(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, Finder)


def follow(level):
    if level != State.level:
        State.level = level
        if State.logger:
            State.logger.setLevel(level)


def add_file(logger, path, stream):
    """`stream` writes to `path`, the setting errorlog or accesslog, for the logger of this name."""
    State.files[logger, path] = stream


def handler(logger, path):
    """A new handler for a log file of the program; None: `path` is another file."""
    stream = State.files.get((logger, path))
    return sys.modules["logging"].StreamHandler(stream) if stream else None

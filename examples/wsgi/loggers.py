"""Loggers gunicorn.error and gunicorn.access: created when the application imports logging."""
import sys


class State:
    stream = None  # writes its lines to the error log unchanged
    level = 0
    logger = None


def set_up(logging):
    for name, form in ("gunicorn.error", "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"), ("gunicorn.access", "%(message)s"):
        handler = logging.StreamHandler(State.stream)
        handler.setFormatter(logging.Formatter(form, "[%Y-%m-%d %H:%M:%S %z]"))
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

"""Functions of gunicorn.util that worker classes, hooks and configuration files of other projects call."""
import email.utils
import fcntl
import importlib
import importlib.metadata
import inspect
import io
import os
import pwd
import socket
import time
import urllib.parse
import warnings

from gunicorn.errors import AppImportError
from gunicorn.workers import SUPPORTED_WORKERS
from prefork_wsgi.values import arity as get_arity, parse_address  # for callers of this module

hop_headers = set("connection keep-alive proxy-authenticate proxy-authorization te trailers transfer-encoding upgrade "
                  "server date".split())


def load_class(uri, default="gunicorn.workers.sync.SyncWorker", section="gunicorn.workers"):
    """The class that a setting names: a class, "package.module.Class", "egg:DIST#name", or one of gunicorn's names."""
    if inspect.isclass(uri):
        return uri
    if uri.startswith("egg:"):
        dist, _, name = uri[len("egg:"):].partition("#")
        return _entry_point(uri, dist, section, name or default)
    path = SUPPORTED_WORKERS.get(uri.lstrip("#"), uri)
    module, _, name = path.rpartition(".")
    if not module:
        raise RuntimeError(f"class uri {uri!r} invalid or not found: it has no module")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RuntimeError(f"class uri {uri!r} invalid or not found: {error}") from error


def _entry_point(uri, dist, section, name):
    try:
        points = [point for point in importlib.metadata.distribution(dist).entry_points if point.group == section]
    except (importlib.metadata.PackageNotFoundError, ValueError) as error:
        raise RuntimeError(f"class uri {uri!r} invalid or not found: no distribution {dist} is installed") from error
    for point in points:
        if point.name == name:
            return point.load()
    names = ", ".join(f"egg:{dist}#{point.name}" for point in points)
    raise RuntimeError(f"class uri {uri!r} invalid or not found: the distribution {dist} "
                       + (f"has {names}" if names else f"has no entry point of group {section}"))


def import_app(name):
    """The object that MODULE:NAME stands for."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    try:
        for part in (attribute or "application").split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise AppImportError(f"Failed to find attribute {attribute or 'application'!r} in {module!r}.") from error
    if not callable(found):
        raise AppImportError("Application object must be callable.")
    return found


def get_username(uid):
    return pwd.getpwuid(uid).pw_name


def set_owner_process(uid, gid, initgroups=False):
    """Does nothing: workers have dropped their privileges before anything of the application runs."""


def chown(path, uid, gid):
    if (uid, gid) != (os.getuid(), os.getgid()):
        os.chown(path, uid, gid)


def unlink(filename):
    try:
        os.unlink(filename)
    except FileNotFoundError:
        pass


def is_ipv6(address):
    try:
        socket.inet_pton(socket.AF_INET6, address)
    except (ValueError, OSError):
        return False
    return True


def close_on_exec(fd):
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)


def set_non_blocking(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def close(sock):
    try:
        sock.close()
    except OSError:
        pass


def http_date(timestamp=None):
    return email.utils.formatdate(timestamp if timestamp is not None else time.time(), usegmt=True)


def is_hoppish(header):
    return header.lower().strip() in hop_headers


def seed():
    """Does nothing: Python seeds `random` again in each worker."""


def to_bytestring(value, encoding="utf8"):
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value.encode(encoding)


def bytes_to_str(value):
    return value if isinstance(value, str) else value.decode("latin1")


def has_fileno(thing):
    try:
        thing.fileno()
    except (AttributeError, OSError, io.UnsupportedOperation):
        return False
    return True


def getcwd():
    return os.environ.get("PWD") if _is_same(os.environ.get("PWD")) else os.getcwd()


def _is_same(path):
    try:
        return path is not None and os.path.samefile(path, ".")
    except OSError:
        return False


def warn(message):
    warnings.warn(message, stacklevel=2)


def split_request_uri(uri):
    return urllib.parse.urlsplit("." + uri if uri.startswith("//") else uri)


def reraise(kind, value, traceback=None):
    raise (value if value is not None else kind()).with_traceback(traceback)


def _setproctitle(title):
    """Does nothing: the titles of the processes are those of prefork-wsgi."""


def __getattr__(name):
    raise AttributeError(f"prefork-wsgi's gunicorn.util has no {name}")

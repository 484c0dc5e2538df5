"""gunicorn's Config object: the settings in force, in gunicorn's types, for hooks, loggers and worker classes.

The names, types and defaults are those of prefork_wsgi.table. The values come from the settings of the server, which
know the command line and the environment too; objects (functions, classes, dictionaries) come from the configuration
file itself.
"""
import copy
import grp
import importlib
import inspect
import os
import pwd
import re
import shlex
import sys

from prefork_wsgi import table
from prefork_wsgi.values import arity, parse_address

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def validate_bool(value):
    if value is None or isinstance(value, bool):
        return value
    word = str(value).lower().strip() if isinstance(value, (str, int)) else None
    if word not in TRUE + FALSE:
        raise TypeError(f"expected True or False, not {value!r}")
    return word in TRUE


def validate_pos_int(value):
    if not isinstance(value, (int, str)):
        raise TypeError(f"expected a whole number, not {value!r}")
    try:
        number = int(value.strip(), 0) if isinstance(value, str) else int(value)
    except ValueError:
        raise ValueError(f"expected a whole number, not {value!r}") from None
    if number < 0:
        raise ValueError(f"expected a number from 0, not {value!r}")
    return number


def validate_mode(value):
    return int(value, 8) if isinstance(value, str) and re.fullmatch("0[0-7]+", value) else validate_pos_int(value)


def validate_word(value):
    """A text; also False, which means off, True, which means auto, and a number, such as ssl.PROTOCOL_TLS."""
    if isinstance(value, bool):
        return "auto" if value else "off"
    return str(int(value)) if isinstance(value, int) else validate_string(value)


def validate_string(value):
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"expected a text, not {value!r}")
    return os.fspath(value).strip()


def validate_list_string(value):
    if not value:
        return []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise TypeError(f"expected a list of texts, not {value!r}")
    return [validate_string(each) for each in value]


def validate_string_to_list(value):
    return [item.strip() for text in validate_list_string(value) for item in text.split(",") if item.strip()]


def validate_dict(value):
    if not isinstance(value, dict):
        raise TypeError(f"expected a dictionary, not {value!r}")
    return value


def validate_user(value):
    if value is None:
        return os.geteuid()
    return account(value, "user", lambda name: pwd.getpwnam(name).pw_uid)


def validate_group(value):
    if value is None:
        return os.getegid()
    return account(value, "group", lambda name: grp.getgrnam(name).gr_gid)


def account(value, kind, find):
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, str):
        raise TypeError(f"expected the name of a {kind} or a number, not {value!r}")
    try:
        return int(value) if value.isdigit() else find(value)
    except KeyError:
        raise ValueError(f"there is no {kind} {value!r}") from None


def validate_class(value):
    """A class, or its dotted name; a function is called for it."""
    if inspect.isfunction(value) or inspect.ismethod(value):
        value = value()
    return value if inspect.isclass(value) else validate_string(value)


def load_object(name):
    """The object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    if not module:
        raise TypeError(f"{name!r} is not a dotted name: MODULE.OBJECT")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TypeError(f"{name!r} does not load: {error}") from error


def validate_callable(count):
    def validate(value):
        if isinstance(value, str):
            value = load_object(value)
        if not callable(value):
            raise TypeError(f"expected a function or its dotted name, not {value!r}")
        if count not in (-1, arity(value)):
            raise TypeError(f"expected a function of {count} arguments, not of {arity(value)}")
        return value
    return validate


def validate_post_request(value):
    """A function of four arguments: functions of fewer are wrapped."""
    function = validate_callable(-1)(value)
    count = arity(function)
    if count not in (2, 3, 4):
        raise TypeError(f"expected a function of 4 arguments, not of {count}")
    return function if count == 4 else lambda *arguments: function(*arguments[:count])


VALIDATORS = {"bool": validate_bool, "int": validate_pos_int, "mode": validate_mode, "word": validate_word, "str": validate_string,
              "list": validate_list_string, "commas": validate_string_to_list, "dict": validate_dict,
              "user": validate_user, "group": validate_group, "class": validate_class}
SECURE_SCHEME_HEADERS = {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}
CERT_REQS = ("none", "optional", "required")  # ssl.CERT_NONE and so on
# Lists whose Python type in gunicorn is a text with commas.
TEXTS = ("pythonpath", "dogstatsd_tags", "forwarder_headers")


def working_directory():
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return "."


def unused_hook(count):
    """The default of a hook with this number of arguments."""
    source = ", ".join(f"argument{number}" for number in range(count))
    return eval(f"lambda {source}: None")


class Setting:
    """One setting of a Config: its row, and its value in gunicorn's type."""

    def __init__(self, row):
        self.row, self.name, self.section, self.order = row, row.name, row.section, table.rows.index(row)
        self.cli = row.flags or None
        self.desc = self.short = row.why or ""
        self.validator = self.choose_validator()
        self.default = self.value = self.make_default()

    def choose_validator(self):
        if self.name == "post_request":
            return validate_post_request
        if self.row.kind == "hook":
            return validate_callable(len(self.row.arguments))
        return validate_string if self.name in TEXTS else VALIDATORS[self.row.kind]

    def make_default(self):
        kind, text = self.row.kind, self.row.default
        if kind == "hook":
            return unused_hook(len(self.row.arguments))
        if kind == "dict":
            return dict(SECURE_SCHEME_HEADERS) if self.name == "secure_scheme_headers" else {}
        if kind in ("user", "group"):
            return self.validator(None)
        if self.name == "chdir":
            return working_directory()
        if kind in ("list", "commas") and self.name not in TEXTS:
            return validate_string_to_list(text)
        return None if text is None else self.validator(text)

    def get(self):
        return self.value

    def set(self, value):
        self.value = self.validator(value)

    def copy(self):
        return copy.copy(self)

    def __lt__(self, other):
        return self.section == other.section and self.order < other.order

    def __repr__(self):
        return f"<Setting {self.name}: {self.value!r}>"


def __getattr__(name):
    """gunicorn has a class for each setting, such as AccessLogFormat; worker classes read its default."""
    for row in table.rows:
        if row.name.replace("_", "") == name.lower():
            setting = Setting(row)
            return type(name, (), {"name": row.name, "default": setting.default, "section": row.section, "cli": setting.cli})
    raise AttributeError(f"prefork-wsgi's gunicorn.config has no {name}")


KNOWN_SETTINGS = [Setting(row) for row in table.rows]


def make_settings(ignore=None):
    return {each.name: each.copy() for each in KNOWN_SETTINGS if each.name not in (ignore or ())}


class Config:
    """The settings of a server; cfg.NAME is the value of one."""

    def __init__(self, usage=None, prog=None):
        self.settings = make_settings()
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = os.environ.copy()
        self.changes = {}  # by set(), since take_changes()

    def __str__(self):
        width = max(map(len, self.settings))
        lines = []
        for name in sorted(self.settings):
            value = self.settings[name].value
            if callable(value):
                value = f"<{value.__qualname__}()>"
            lines.append(f"{name:{width}} = {value}")
        return "\n".join(lines)

    def __getattr__(self, name):
        try:
            return self.__dict__["settings"][name].get()
        except KeyError:
            raise AttributeError(f"No configuration setting for: {name}") from None

    def __setattr__(self, name, value):
        if name != "settings" and name in self.__dict__.get("settings", ()):
            raise AttributeError(f"{name} is a setting: use cfg.set({name!r}, ...)")
        super().__setattr__(name, value)

    def set(self, name, value):
        if name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        self.settings[name].set(value)
        self.changes[name] = self.settings[name].get()

    def take_changes(self):
        """The names that set() was called for since the last call, with their values."""
        changes, self.changes = self.changes, {}
        return changes

    def get_cmd_args_from_env(self):
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    @property
    def worker_class_str(self):
        """gunicorn's name of it; a class object, as a configuration file can have it, is itself."""
        uri = self.settings["worker_class"].get()
        is_sync = isinstance(uri, str) and (uri == "sync" or uri.endswith("SyncWorker"))
        return "gthread" if uri == "threads" or is_sync and self.threads > 1 else uri

    @property
    def worker_class(self):
        from gunicorn import util
        cls = util.load_class(self.worker_class_str)
        if hasattr(cls, "setup"):
            cls.setup()
        return cls

    @property
    def address(self):
        return [parse_address(each) for each in self.settings["bind"].get()]

    @property
    def uid(self):
        return self.settings["user"].get()

    @property
    def gid(self):
        return self.settings["group"].get()

    @property
    def proc_name(self):
        return self.settings["proc_name"].get() or self.settings["default_proc_name"].get()

    @property
    def logger_class(self):
        from gunicorn import util
        uri = self.settings["logger_class"].get()
        cls = util.load_class("gunicorn.glogging.Logger" if uri in (None, "simple") else uri, section="gunicorn.loggers")
        if hasattr(cls, "install"):
            cls.install()
        return cls

    @property
    def is_ssl(self):
        return self.certfile or self.keyfile

    @property
    def ssl_options(self):
        return {name: getattr(self, name) for name, each in self.settings.items() if each.section == "SSL"}

    @property
    def ssl_version(self):
        """For ssl.SSLContext(), which worker classes call. The lowest version, as the setting has it, is the server's."""
        import ssl
        return ssl.PROTOCOL_TLS_SERVER

    @property
    def env(self):
        pairs = {}
        for each in self.settings["raw_env"].get() or []:
            name, equals, value = each.partition("=")
            if not equals:
                raise RuntimeError(f"environment setting {each!r} invalid")
            pairs[name] = value
        return pairs

    @property
    def sendfile(self):
        value = self.settings["sendfile"].get()
        if value is not None:
            return value
        return os.environ.get("SENDFILE", "1").lower() in ("y", "1", "yes", "true")

    @property
    def paste_global_conf(self):
        pairs = {}
        for each in self.settings["raw_paste_global_conf"].get() or []:
            name, equals, value = [part.replace("\\=", "=") for part in re.split(r"(?<!\\)(=)", each, maxsplit=1)]
            pairs[name] = value
        return pairs or None


def from_text(setting, value):
    """The value of a setting of the server (an int, a text, or a list of texts) in gunicorn's type."""
    kind = setting.row.kind
    if kind == "dict":
        return dict(each.split("=", 1) for each in value or [])
    if isinstance(value, list) and setting.validator is validate_string:
        value = ",".join(value)
    if kind == "bool":
        return bool(value)
    if isinstance(value, float):
        return value
    if kind in ("int", "mode") and isinstance(value, int) and value < 0:  # auto
        return setting.default
    if value is None and kind in ("int", "mode", "hook"):
        return setting.default
    if setting.name == "cert_reqs" and value in CERT_REQS:
        return CERT_REQS.index(value)
    return setting.validator(value)

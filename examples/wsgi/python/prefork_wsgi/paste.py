"""--paste: loads the application that a file of PasteDeploy describes, and reads the settings of the server in it."""
import configparser
import os
import re
import urllib.parse

from prefork_wsgi import config_file, table

SECTIONS = ("server:main", "server")
FOR_GUNICORN = re.compile(r"egg:gunicorn(#\w+)?\Z")
EQUALS_SIGN = re.compile(r"(?<!\\)=")
MISSING = ("--paste needs the Python package PasteDeploy, which is not installed: pip install PasteDeploy, or "
           "apt install python3-pastedeploy")


def variables(pairs):
    """The global configuration of --paste-global. A backslash before an equals sign makes it part of the name or value."""
    found = {}
    for pair in pairs:
        parts = EQUALS_SIGN.split(pair, maxsplit=1)
        if len(parts) < 2 or not parts[0]:
            raise config_file.ConfigError(f"--paste-global: {pair!r} is not NAME=VALUE")
        name, value = [part.replace("\\=", "=") for part in parts]
        found[name] = value
    return found


def location(uri, directory):
    """The path of the file, and "" or "#NAME"."""
    path, mark, name = uri.partition("#")
    return os.path.join(directory, path), mark + name


def load(uri, directory, pairs):
    """The application."""
    try:
        from paste.deploy import loadapp
    except ModuleNotFoundError as error:
        if error.name not in ("paste", "paste.deploy"):
            raise
        raise ImportError(MISSING) from None
    path, name = location(uri, directory)
    return loadapp("config:" + urllib.parse.quote(path) + name, relative_to=os.getcwd(), global_conf=variables(pairs))


class Parser(configparser.ConfigParser):
    optionxform = staticmethod(str)  # upper and lower case differ


class File:
    """A file of PasteDeploy. Values may contain "%(here)s" and variables, as it defines them."""

    def __init__(self, path, pairs):
        defaults = {**variables(pairs), "here": os.path.dirname(path), "__file__": path}
        escaped = {name: value.replace("%", "%%") for name, value in defaults.items()}
        self.path = path
        self.parser = Parser(defaults=escaped, strict=False)
        self.own = Parser(strict=False, default_section=None)  # for the names of a section without those of [DEFAULT]
        for parser in self.parser, self.own:
            with open(path, encoding="utf-8") as file:
                parser.read_file(file)

    def server(self):
        """The values of the section for the server, if it is gunicorn."""
        section = next((each for each in SECTIONS if self.own.has_section(each)), None)
        if section is None or not FOR_GUNICORN.match(self.parser.get(section, "use", fallback="")):
            return {}
        values = {name.lower(): self.parser.get(section, name) for name in self.own.options(section) if name != "use"}
        host, port = values.pop("host", ""), values.pop("port", "")
        if host:
            values.setdefault("bind", f"{host}:{port}" if port else host)
        return values

    def settings(self):
        values = self.server()
        if self.own.has_section("loggers"):
            values.setdefault("logconfig", self.path)
        return values


def settings_of(path, pairs, has_row):
    """What settings() returns, without the error; ConfigError."""
    try:
        values = File(path, pairs).settings()
    except (OSError, UnicodeError, configparser.Error) as error:
        raise config_file.ConfigError(getattr(error, "strerror", None) or " ".join(str(error).split())) from error
    hooks = [name for name in values if name in table.by_name and table.by_name[name].kind == "hook"]
    reading = config_file.Reading(has_row).take({name: value for name, value in values.items() if name not in hooks})
    return (reading.assignments,
            reading.warnings + [f"{name} is ignored: hooks are only in configuration files in Python" for name in hooks])


def settings(uri, directory, pairs, has_row):
    """The settings (name, text) in the file, each item of a list by itself, warnings, and, if it cannot be used, a line that says why."""
    try:
        return *settings_of(location(uri, directory)[0], pairs, has_row), None
    except config_file.ConfigError as error:
        return [], [], str(error)

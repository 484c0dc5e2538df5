"""The names of gunicorn's configuration and what they are in prefork-wsgi: a view of gunicorn_table.c."""
import _prefork_wsgi_table


class Row:
    """One setting or hook of gunicorn's."""

    __slots__ = ("name", "section", "flags", "kind", "default", "status", "arguments", "why")

    def __init__(self, name, section, flags, kind, usual, status, arguments, why):
        self.name = name
        self.section = section  # its heading in gunicorn's manual
        self.flags = flags.split(", ") if flags else []
        self.kind = kind  # bool, int, mode, word, str, list, commas, dict, user, group, class, hook
        self.default = usual  # gunicorn's, as text on the command line; None
        self.status = status  # same, better, no effect, refused
        self.arguments = arguments.split(", ") if arguments else []  # of a hook
        self.why = why  # the difference, why there is no effect, or what to use instead

    def is_harmless(self, text):
        """Whether a value, as text on the command line, is gunicorn's default or asks for nothing that is not there."""
        return _prefork_wsgi_table.is_harmless(self.name, text)

    def __repr__(self):
        return f"<{self.name}: {self.status}>"


rows = [Row(*each) for each in _prefork_wsgi_table.rows()]
by_name = {row.name: row for row in rows}

"""Exceptions of gunicorn's, for code that catches or raises them."""


class HaltServer(BaseException):
    """Ends the server with this exit status. Raise it in on_starting or when_ready."""

    def __init__(self, reason, exit_status=1):
        super().__init__(reason, exit_status)
        self.reason, self.exit_status = reason, exit_status

    def __str__(self):
        return f"<HaltServer {self.reason!r} {self.exit_status}>"


class ConfigError(Exception):
    """A setting has a value that it cannot have."""


class AppImportError(Exception):
    """The application does not load."""

import pathlib

bind = "127.0.0.1:8000"
workers = 1
READY = pathlib.Path("app-initialized")


def when_ready(server):
    READY.touch()


def on_exit(server):
    READY.unlink(missing_ok=True)

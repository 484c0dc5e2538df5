"""Every variable GUNICORN_* becomes a setting."""
import os

os.environ.setdefault("GUNICORN_WORKERS", "2")
os.environ.setdefault("GUNICORN_LOGLEVEL", "warning")
os.environ.setdefault("GUNICORN_GRACEFUL_TIMEOUT", "15")

for key, value in os.environ.items():
    if key.startswith("GUNICORN_") and key != "GUNICORN_CMD_ARGS":
        globals()[key.split("_", 1)[1].lower()] = value

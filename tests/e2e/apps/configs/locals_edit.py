import os

defaults = {"workers": 2, "timeout": 90, "keepalive": 5, "loglevel": "warning"}
for name, value in defaults.items():
    locals()[name] = type(value)(os.environ.get("APP_" + name.upper(), value))

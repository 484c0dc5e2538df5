"""What an application sees of TLS, and the process that serves it."""
import json
import os


def app(environ, start_response):
    seen = {name: environ[name] for name in environ if name.startswith(("SSL_", "HTTPS"))}
    body = json.dumps({**seen, "pid": os.getpid(), "scheme": environ["wsgi.url_scheme"]}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

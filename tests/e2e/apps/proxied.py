"""Responds with what the server knows about the client and its proxy, as JSON."""
import json

NAMES = ("REMOTE_ADDR", "REMOTE_PORT", "PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT", "REQUEST_METHOD", "SCRIPT_NAME",
         "PATH_INFO", "QUERY_STRING", "RAW_URI", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_PROTOCOL", "SERVER_NAME",
         "SERVER_PORT", "wsgi.url_scheme")


def app(environ, start_response):
    known = {name: environ[name] for name in environ if name in NAMES or name.startswith("HTTP_")}
    known["body"] = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(known).encode()]

"""Calls pre_request, post_request and access() of a logger (request_hooks.c). Without any of them nothing here runs."""
import datetime
import urllib.parse

from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response
from prefork_wsgi import state


def key_of(name):
    key = name.replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def header_keys(headers):
    """The fields as environ has them: repeated ones are joined."""
    found = {}
    for name, value in headers:
        key = key_of(name)
        found[key] = value if key not in found else found[key] + ("; " if key == "HTTP_COOKIE" else ", ") + value
    return found


def wsgi_path(path):
    return urllib.parse.unquote_to_bytes(path.encode("latin-1")).decode("latin-1")


# What a change of an attribute sets in environ.
KEYS = {
    "method": lambda req: {"REQUEST_METHOD": req.method},
    "uri": lambda req: {"RAW_URI": req.uri},
    "query": lambda req: {"QUERY_STRING": req.query},
    "scheme": lambda req: {"wsgi.url_scheme": req.scheme},
    "version": lambda req: {"SERVER_PROTOCOL": "HTTP/%s" % ".".join(map(str, req.version))},
    "body": lambda req: {"wsgi.input": req.body},
}


def begin(method, uri, path, query, minor, scheme, peer, port, headers):
    """Make the request object of pre_request."""
    if state.worker is not None:
        state.worker.nr += 1
    return Request(state.cfg, method, uri, path, query, (1, minor), scheme, (peer, port) if peer else "", headers)


def pre_request(req, environ):
    """Call the hook; environ follows what it has changed."""
    req.body = environ["wsgi.input"]
    before = {name: getattr(req, name) for name in KEYS}
    path, headers = req.path, list(req.headers)
    state.cfg.pre_request(state.worker, req)
    for name, value in before.items():
        if getattr(req, name) is not value:
            environ.update(KEYS[name](req))
    if req.path is not path:
        environ["PATH_INFO"] = wsgi_path(req.path).removeprefix(environ["SCRIPT_NAME"])
    if list(req.headers) != headers:
        now, keys = header_keys(req.headers), header_keys(headers)
        for key in keys.keys() - now.keys():
            environ.pop(key, None)
        environ.update((key, value) for key, value in now.items() if value != keys.get(key))


def post_request(req, environ, status, headers, sent):
    """Call the hook. Whether the worker goes on: the hook may have set worker.alive."""
    resp = None if environ is None else Response(req, state.cfg, status, headers, sent)
    state.cfg.post_request(state.worker, req, environ or {}, resp)
    return state.worker.alive


def access(req, environ, status, headers, sent, took_us):
    """A response was sent: call access() of the logger."""
    from prefork_wsgi import logging_bridge  # late: the module logging costs 1 MB
    resp = Response(req, state.cfg, status, headers, sent)
    logging_bridge.logger(state.cfg).access(resp, req, environ or {}, datetime.timedelta(microseconds=took_us))

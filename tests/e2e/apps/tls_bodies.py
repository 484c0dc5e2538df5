"""Large bodies in both directions: as one string, in pieces, as a file; the hash of a request's body."""
import hashlib
import tempfile

BODY = b"0123456789" * 500_000


def pieces():
    for at in range(0, len(BODY), 10_007):
        yield BODY[at:at + 10_007]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hash":
        body = hashlib.sha256(environ["wsgi.input"].read()).hexdigest().encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    start_response("200 OK", [("Content-Length", str(len(BODY)))])
    if path == "/pieces":
        return pieces()
    if path == "/file":
        file = tempfile.TemporaryFile()
        file.write(BODY)
        file.seek(0)
        return environ["wsgi.file_wrapper"](file)
    return [BODY]

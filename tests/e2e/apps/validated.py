"""The kitchen under the eyes of wsgiref.validate: an offence of the server is an AssertionError, so a 500."""
import warnings
from wsgiref.validate import WSGIWarning, validator

import kitchen

warnings.simplefilter("error", WSGIWarning)


def reads(environ, start):
    """Every way to read that PEP 3333 has; the validator checks what each returns."""
    source = environ["wsgi.input"]
    seen = [source.read(2), source.readline(), source.readline(3), source.readlines(1), *source, source.read(10)]
    return kitchen.text(start, repr(seen))


def complains(environ, start):
    environ["wsgi.errors"].write("one line\n")
    environ["wsgi.errors"].writelines(["and two\n"])
    environ["wsgi.errors"].flush()
    return kitchen.text(start, "ok")


kitchen.ROUTES.update(reads=reads, complains=complains)
app = validator(kitchen.app)

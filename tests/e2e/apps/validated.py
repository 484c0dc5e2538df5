"""The kitchen under wsgiref.validate: a violation by the server raises AssertionError, so the status is 500."""
import warnings
from wsgiref.validate import WSGIWarning, validator

import kitchen

warnings.simplefilter("error", WSGIWarning)


def reads(environ, start):
    """Every method to read of PEP 3333; the validator checks the results."""
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

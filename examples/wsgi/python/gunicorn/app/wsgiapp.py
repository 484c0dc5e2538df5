"""gunicorn.app.wsgiapp, which is gunicorn's own command: not available, see gunicorn.app.base."""
from gunicorn.app.base import REFUSAL, Application


class WSGIApplication(Application):
    pass


def run(prog=None):
    raise NotImplementedError(REFUSAL.format("gunicorn.app.wsgiapp.run()"))

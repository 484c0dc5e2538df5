"""gunicorn.app.base, whose classes start a server inside of a Python program: not available."""

REFUSAL = ("prefork-wsgi cannot be started by a Python program yet: start the command prefork-wsgi MODULE:APP instead of {} "
           "(its options can be given in a configuration file)")


class BaseApplication:
    def __init__(self, usage=None, prog=None):
        raise NotImplementedError(REFUSAL.format("gunicorn.app.base." + type(self).__name__
                                                 if type(self).__module__ == __name__ else type(self).__qualname__))


class Application(BaseApplication):
    pass

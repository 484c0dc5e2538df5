"""Applications that a factory makes, or that are attributes of an object."""
import types


def make(text="made", status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain")])
        return [text.encode()]
    return app


container = types.SimpleNamespace(app=make("held"))
number = 7

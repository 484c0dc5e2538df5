"""Applications that have to be made, or lie deeper."""
import types


def make(text="made", status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain")])
        return [text.encode()]
    return app


holder = types.SimpleNamespace(app=make("held"))
number = 7

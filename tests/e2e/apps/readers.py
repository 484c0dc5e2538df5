"""The same view in four frameworks: it responds with the body that it has read. /flask/echo is that of Flask, and so on."""
import functools


@functools.lru_cache(maxsize=None)
def django_app():
    from shop.wsgi import application
    return application


@functools.lru_cache(maxsize=None)
def flask_app():
    import flask
    found = flask.Flask("readers")
    found.post("/echo")(lambda: flask.request.get_data())
    return found


@functools.lru_cache(maxsize=None)
def falcon_app():
    import falcon

    class Echo:
        def on_post(self, request, response):
            response.data = request.bounded_stream.read()

    found = falcon.App()
    found.add_route("/echo", Echo())
    return found


@functools.lru_cache(maxsize=None)
def bottle_app():
    import bottle
    found = bottle.Bottle()
    found.post("/echo")(lambda: bottle.request.body.read())
    return found


def app(environ, start_response):
    name, _, rest = environ["PATH_INFO"][1:].partition("/")
    environ["PATH_INFO"] = "/" + rest
    return globals()[f"{name}_app"]()(environ, start_response)

"""A minimal application that also reads a request body: prefork-wsgi --chdir examples/wsgi/hello hello:app"""


def app(environ, start_response):
    body = b"Hello, world!\n"
    if environ["REQUEST_METHOD"] == "POST":
        body = b"You sent: " + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

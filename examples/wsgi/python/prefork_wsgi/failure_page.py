"""With --reload: the application of a worker whose own does not load. Each response is the traceback."""

TEXT = "The application {name} does not load. The server tries it again when a file has changed.\n\n{traceback}"


def application(name, traceback):
    body = TEXT.format(name=name, traceback=traceback).encode("utf-8", "backslashreplace")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))),
               ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]

    def respond(environ, start_response):
        start_response("500 Internal Server Error", list(headers))
        return [body]

    return respond

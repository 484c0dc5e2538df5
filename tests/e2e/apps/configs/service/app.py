"""The application of the configuration files."""


def app(environ, start_response):
    body = "{} {} {}\n".format(environ["wsgi.url_scheme"], environ.get("HTTP_X_REQUEST_START"), environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]


application = app

"""A Flask application that uses the common features of Flask."""
import hashlib
import io
import os
import time

import flask

app = flask.Flask(__name__)
app.secret_key = "none of this is secret"
torn_down = []


@app.teardown_request
def count(error):
    if flask.request.args.get("lines") == "100000000":
        torn_down.append(error)


@app.get("/")
def index():
    return flask.render_template_string("<h1>{{ title }}</h1>", title="Tom & Jerry")


@app.get("/visits")
def visits():
    flask.session["visits"] = flask.session.get("visits", 0) + 1
    return {"visits": flask.session["visits"]}


@app.get("/stream")
def stream():
    def lines():
        for number in range(int(flask.request.args["lines"])):
            yield f"{number} {flask.request.path}\n"
    return flask.Response(flask.stream_with_context(lines()), mimetype="text/plain")


@app.get("/stream/<name>")
def stream_of(name):
    def lines():
        for _ in range(600):
            yield f"{flask.request.path:9999}\n"
    return flask.Response(flask.stream_with_context(lines()), mimetype="text/plain")


@app.get("/dialogue")
def dialogue():
    """Two parts; the second one tells whether the client has made a file meanwhile, which it does when it has the first."""
    path = flask.request.args["file"]

    def parts():
        yield "first\n"
        for _ in range(1000):
            if os.path.exists(path):
                break
            time.sleep(0.01)
        yield f"{os.path.exists(path)}\n"
    return flask.Response(parts(), mimetype="text/plain")


@app.post("/upload")
def upload():
    file = flask.request.files["file"]
    data = file.read()
    return {"name": file.filename, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
            "note": flask.request.form.get("note")}


@app.get("/file")
def file():
    return flask.send_file(io.BytesIO(bytes(range(256)) * 100), mimetype="application/octet-stream",
                           download_name="bytes", conditional=True, etag="fixed")


@app.get("/source")
def source():
    return flask.send_file(__file__, mimetype="text/x-python")


@app.get("/fails")
def fails():
    raise ValueError("deep in a route")


@app.errorhandler(500)
def sorry(error):
    return "an error page of the blog", 500


@app.get("/torn-down")
def show_torn_down():
    return {"torn down": len(torn_down)}


@app.get("/url")
def url():
    return {"url": flask.request.url, "root": flask.request.url_root, "remote": flask.request.remote_addr,
            "path": flask.request.path}

"""Flask: prefork-wsgi --chdir examples/wsgi/hello hello_flask:app"""
import flask

app = flask.Flask(__name__)


@app.get("/")
def hello():
    return "Hello from Flask!\n"


@app.post("/")
def sent():
    return {"sent": flask.request.get_json()}

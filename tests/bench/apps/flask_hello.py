"""A minimal Flask application: routing, a request and a response object."""
from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello():
    return "Hello, world!\n", {"Content-Type": "text/plain"}

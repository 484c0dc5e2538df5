"""The least that Flask can be asked to do: routing, a request and a response object."""
from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello():
    return "Hello, world!\n", {"Content-Type": "text/plain"}

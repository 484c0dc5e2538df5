import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from service.defaults import GUNICORN  # noqa: E402

globals().update(GUNICORN)
workers = GUNICORN["workers"] + 1

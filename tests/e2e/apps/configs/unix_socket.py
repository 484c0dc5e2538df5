import os

BASE = os.path.dirname(os.path.realpath(__file__))
bind = "unix:%s" % os.path.join(BASE, "app.sock")
umask = 0o007
workers = 2
pidfile = os.path.join(BASE, "gunicorn.pid")
errorlog = os.path.join(BASE, "error.log")
accesslog = None
capture_output = True
timeout = 600

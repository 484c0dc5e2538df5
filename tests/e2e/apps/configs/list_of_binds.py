import os

here = os.path.dirname(os.path.abspath(__file__))
bind = ["127.0.0.1:8000", "unix:" + os.path.join(here, "list.sock")]
workers = 2
worker_class = "gthread"
threads = 4
proc_name = "listed"

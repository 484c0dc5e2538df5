import os

bind = "0.0.0.0:" + os.environ.get("LISTEN", "5000")
workers = int(os.environ.get("PROCESSES", 2))
threads = int(os.environ.get("THREADS", 4))
worker_tmp_dir = "/dev/shm"
forwarded_allow_ips = "*"
secure_scheme_headers = {"X-Forwarded-Proto": "https"}
accesslog = "-"
errorlog = "-"
access_log_format = '%(h)s %({x-forwarded-for}i)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'
capture_output = True

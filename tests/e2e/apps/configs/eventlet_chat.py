bind = "0.0.0.0:5000"
worker_class = "eventlet"
workers = 1
errorlog = "-"
accesslog = "-"
loglevel = "INFO"

bind = ["127.0.0.1:8000"]
workers = 2
loglevel = "INFO"
errorlog = "logs/error.log"
accesslog = "logs/access.log"
timeout = 30

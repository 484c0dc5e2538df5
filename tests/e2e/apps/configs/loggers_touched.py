import logging

logging.getLogger("gunicorn.error").setLevel(logging.WARNING)
logging.getLogger("gunicorn.access").addFilter(lambda record: True)
bind = "127.0.0.1:8000"
workers = 2
timeout = 60

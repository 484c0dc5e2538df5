import os

bind = f"0.0.0.0:{os.getenv('APP_PORT', '8000')}"
workers = os.getenv("APP_WORKERS", "2")  # a string where gunicorn wants an int
threads = os.environ.get("APP_THREADS", "4")
timeout = os.getenv("APP_TIMEOUT", "120")
keepalive = int(os.getenv("APP_KEEPALIVE", "75"))
loglevel = os.getenv("LOG_LEVEL", "INFO")
accesslog = os.getenv("ACCESS_LOG", "-")
errorlog = os.getenv("ERROR_LOG", "-")

# app: service.asgi:app
import os

worker_class = "uvicorn.workers.UvicornH11Worker"
workers = int(os.getenv("WEB_CONCURRENCY", 1))
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "120"))
timeout = int(os.getenv("TIMEOUT", "120"))
loglevel = "info"
worker_tmp_dir = "/dev/shm"
accesslog = "-"
errorlog = "-"

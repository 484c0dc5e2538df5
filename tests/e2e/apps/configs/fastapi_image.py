# app: service.asgi:app
"""In the manner of a well-known image: everything from the environment, and printed."""
import json
import multiprocessing
import os

workers_per_core = float(os.getenv("WORKERS_PER_CORE", "1"))
cores = multiprocessing.cpu_count()
web_concurrency = max(int(workers_per_core * cores), 2)
max_workers = int(os.getenv("MAX_WORKERS", "2"))
host = os.getenv("HOST", "0.0.0.0")
port = os.getenv("LISTEN_PORT", "80")
use_accesslog = os.getenv("ACCESS_LOG", "-") or None
use_errorlog = os.getenv("ERROR_LOG", "-") or None

loglevel = os.getenv("LOG_LEVEL", "info")
workers = min(web_concurrency, max_workers)
bind = f"{host}:{port}"
errorlog = use_errorlog
accesslog = use_accesslog
worker_tmp_dir = "/dev/shm"
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "120"))
timeout = int(os.getenv("TIMEOUT", "120"))
keepalive = int(os.getenv("KEEP_ALIVE", "5"))
worker_class = "uvicorn.workers.UvicornWorker"

print(json.dumps({"loglevel": loglevel, "workers": workers, "bind": bind, "timeout": timeout, "host": host, "port": port}))

import os

bind = "0.0.0.0:" + os.environ.get("PORT", "8000")
workers = int(os.environ.get("WEB_CONCURRENCY", 2))
worker_class = "gthread"
threads = int(os.environ.get("PYTHON_MAX_THREADS", 1))
timeout = 20
forwarded_allow_ips = "*"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
max_requests = int(os.environ.get("MAX_REQUESTS", 1200))
max_requests_jitter = int(os.environ.get("MAX_REQUESTS_JITTER", 50))

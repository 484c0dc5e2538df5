import os

max_requests = os.getenv("MAX_REQUESTS", "500")
max_requests_jitter = os.getenv("MAX_REQUESTS_JITTER", "50")
graceful_timeout = "30"
workers = "1"
reuse_port = True

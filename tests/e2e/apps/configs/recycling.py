workers = 2
max_requests = 1200
max_requests_jitter = 100
timeout = 0
graceful_timeout = 5
preload_app = True

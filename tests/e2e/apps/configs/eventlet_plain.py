import multiprocessing

worker_class = "eventlet"
workers = multiprocessing.cpu_count()
worker_connections = 1000
timeout = 120
keepalive = 86400

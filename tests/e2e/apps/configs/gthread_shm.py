import multiprocessing

workers = min(multiprocessing.cpu_count(), 4)
worker_class = "gthread"
threads = 4
worker_tmp_dir = "/dev/shm"
timeout = 60
graceful_timeout = 60
keepalive = 65
bind = "0.0.0.0:8080"
accesslog = "-"
errorlog = "-"

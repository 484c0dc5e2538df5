workers = 2
worker_class = "sync"
threads = 8
timeout = 300

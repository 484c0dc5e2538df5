from gevent import monkey

monkey.patch_all()

bind = "127.0.0.1:9000"
workers = 1
worker_class = "gevent"
worker_connections = 2000
proc_name = "patched"

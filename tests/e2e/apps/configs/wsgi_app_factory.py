# app:
wsgi_app = "service.factory:create_app('production')"
workers = 1
worker_class = "gthread"
threads = 2

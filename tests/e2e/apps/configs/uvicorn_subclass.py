# app: service.asgi:app
workers = 1
worker_class = "service.worker.QuietUvicornWorker"

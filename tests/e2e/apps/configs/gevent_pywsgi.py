worker_class = "gunicorn.workers.ggevent.GeventPyWSGIWorker"
workers = 1
backlog = 512
loglevel = "debug"

from gunicorn.workers.gthread import ThreadWorker


class Own(ThreadWorker):
    pass

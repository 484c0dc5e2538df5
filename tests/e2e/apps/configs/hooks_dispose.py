"""Connections of the preloaded application are closed in each worker."""
preload_app = True
workers = 2


def post_fork(server, worker):
    from service import database

    database.dispose()
    server.log.info("Worker spawned (pid: %s)", worker.pid)

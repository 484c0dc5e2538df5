workers = 2
max_requests = 5000
post_fork = lambda server, worker: server.log.info("forked %s", worker.pid)  # noqa: E731
worker_int = lambda worker: worker.log.info("INT %s", worker.pid)  # noqa: E731

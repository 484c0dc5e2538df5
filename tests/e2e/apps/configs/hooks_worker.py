import signal

workers = 1


def post_worker_init(worker):
    signal.signal(signal.SIGUSR1, lambda number, frame: worker.log.info("USR1"))
    worker.log.info("application %r", worker.app.callable)


def worker_exit(server, worker):
    worker.log.info("exit of %s", worker.pid)


def worker_abort(worker):
    worker.log.info("aborted %s, alive %s", worker.pid, worker.alive)

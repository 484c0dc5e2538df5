"""Numbers of workers, by an attribute that is set before the fork."""
import os

workers = 3


def on_starting(server):
    server._worker_id_overload = set()


def nworkers_changed(server, new_value, old_value):
    server._worker_id_current_workers = new_value


def pre_fork(server, worker):
    taken = {each.worker_id for each in server.WORKERS.values() if hasattr(each, "worker_id")}
    worker.worker_id = min(set(range(1, 100)) - taken)


def post_fork(server, worker):
    os.environ["APP_WORKER_ID"] = str(worker.worker_id)


def child_exit(server, worker):
    server.log.debug("worker %d has exited", worker.worker_id)

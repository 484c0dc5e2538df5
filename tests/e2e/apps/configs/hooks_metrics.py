import os
import tempfile

os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.gettempdir())
bind = "0.0.0.0:8000"
workers = 2


def mark_process_dead(pid):
    assert pid > 0


def when_ready(server):
    server.log.info("metrics are served by pid %s", server.pid)


def child_exit(server, worker):
    mark_process_dead(worker.pid)

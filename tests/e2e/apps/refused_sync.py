from gunicorn.workers.sync import SyncWorker


class Own(SyncWorker):
    def accept(self, listener):
        pass

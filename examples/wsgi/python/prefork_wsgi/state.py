"""What gunicorn's objects of this process are: one of each at most, None where it does not exist (yet)."""

cfg = None  # gunicorn.config.Config
server = None  # gunicorn.arbiter.Arbiter
worker = None  # gunicorn.workers.base.Worker

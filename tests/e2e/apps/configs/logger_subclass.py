import logging

from gunicorn import glogging


class QuietLogger(glogging.Logger):
    """No access lines for health checks."""

    def setup(self, cfg):
        super().setup(cfg)
        self.access_log.addFilter(lambda record: "GET /health" not in record.getMessage())


logger_class = QuietLogger
accesslog = "-"
workers = 1

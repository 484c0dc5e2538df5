import logging
import sys


class JsonFormatter(logging.Formatter):
    def format(self, record):
        return '{"level": "%s", "message": "%s"}' % (record.levelname, record.getMessage().replace('"', "'"))


class HealthFilter(logging.Filter):
    def filter(self, record):
        return "/health" not in record.getMessage()


logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"health": {"()": HealthFilter}},
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json", "stream": sys.stdout, "filters": ["health"]}},
    "root": {"level": "INFO", "handlers": []},
    "loggers": {"gunicorn.error": {"level": "DEBUG", "handlers": ["out"], "propagate": False},
                "gunicorn.access": {"level": "INFO", "handlers": ["out"], "propagate": False}},
}
accesslog = "-"
workers = 2

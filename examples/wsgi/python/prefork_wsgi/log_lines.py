"""Formats the lines of the server as the log without Python has them."""
import logging


def quoted(value):
    text = str(value)
    return text if text and not set(text) & set(" =\"'") else '"' + text.replace('"', '\\"') + '"'


class LineFormatter(logging.Formatter):
    """A formatter that adds event=... and the other pairs of a record to its message."""

    def formatMessage(self, record):
        pairs = getattr(record, "pairs", {})
        return super().formatMessage(record) + "".join(f" {key}={quoted(value)}" for key, value in pairs.items())

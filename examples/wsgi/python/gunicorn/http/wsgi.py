"""The response as post_request sees it: its argument `resp`."""
from gunicorn import SERVER


class Response:
    def __init__(self, req, cfg, status=None, headers=None, sent=0):
        self.req, self.cfg, self.version = req, cfg, SERVER
        self.status = status  # "200 OK"; None: start_response was not called
        self.headers = list(headers or [])
        self.sent = sent  # bytes of the body
        self.headers_sent = status is not None
        self.response_length = self._length()
        self.chunked = self.is_chunked()
        self.must_close = self.upgrade = False

    @property
    def status_code(self):
        return int(self.status.split()[0]) if self.status else None

    def _length(self):
        found = [value for name, value in self.headers if name.lower() == "content-length"]
        return int(found[0]) if found else None

    def is_chunked(self):
        return (self.response_length is None and self.req.version > (1, 0) and self.req.method != "HEAD" and
                self.status_code not in (204, 304))

    def force_close(self):
        self.must_close = True

    def should_close(self):
        return self.must_close or self.req.should_close()

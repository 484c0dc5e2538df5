"""A request of tornado's own HTTP server."""


class Request:
    """What tornado calls for a request. The connection waits for it until the header is complete."""
    def __init__(self, delegate, server, connection):
        self.delegate, self.server, self.connection = delegate, server, connection

    def __getattr__(self, name):
        return getattr(self.delegate, name)

    def headers_received(self, line, headers):
        self.server.waiting.discard(self.connection)
        self.server.worker.count_request()
        return self.delegate.headers_received(line, headers)

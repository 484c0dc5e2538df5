"""The request as pre_request and post_request see it: their argument `req`."""


class Request:
    """What pre_request changes reaches environ: prefork_wsgi.requests."""

    def __init__(self, cfg, method, uri, path, query, version, scheme, peer_addr, headers):
        self.cfg = cfg
        self.method, self.uri, self.path, self.query, self.version = method, uri, path, query, version
        self.fragment = uri.partition("#")[2]
        self.scheme = scheme
        self.peer_addr = self.remote_addr = peer_addr  # (address, port), "" for a unix socket
        self.headers = headers  # list of (NAME, value)
        self.trailers = []
        self.body = None  # wsgi.input, once environ exists
        self.proxy_protocol_info = None
        self.must_close = False

    def force_close(self):
        self.must_close = True

    def should_close(self):
        if self.must_close:
            return True
        words = [value.lower().strip() for name, value in self.headers if name == "CONNECTION"]
        return "close" in words or (self.version <= (1, 0) and "keep-alive" not in words)

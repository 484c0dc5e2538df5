"""Behind a proxy that ends TLS and does not say so."""
workers = 1


def pre_request(worker, req):
    req.scheme = "https"

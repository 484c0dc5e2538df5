import time

workers = 1
worker_class = "gthread"
threads = 2


def pre_request(worker, req):
    req.started = time.monotonic()
    req.headers.append(("X-REQUEST-START", "t=1"))
    worker.log.debug("%s %s", req.method, req.path)


def post_request(worker, req, environ, resp):
    worker.log.debug("%s took %.3f s: %s", req.uri, time.monotonic() - req.started, resp.status)

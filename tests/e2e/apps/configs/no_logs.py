accesslog = None
errorlog = None
workers = 1
keepalive = 2

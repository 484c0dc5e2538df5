import json

accesslog = "-"
access_log_format = json.dumps({
    "remote_ip": "%(h)s", "request_id": "%({X-Request-Id}i)s", "response_code": "%(s)s", "request_method": "%(m)s",
    "request_path": "%(U)s", "request_querystring": "%(q)s", "request_timetaken": "%(D)s", "response_length": "%(B)s",
    "type": "%({Content-Type}o)s",
})
workers = 1
loglevel = "info"

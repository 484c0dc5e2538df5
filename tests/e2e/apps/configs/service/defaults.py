GUNICORN = {"workers": 1, "timeout": 40, "graceful_timeout": 20, "loglevel": "info", "accesslog": "-", "errorlog": "-"}

"""Named by -c python:service.settings."""
wsgi_app = "service.wsgi:application"
workers = 2
timeout = 60

"""Ways to start gunicorn from a program. prefork-wsgi is started by its command."""

"""The package gunicorn as far as configuration files, hooks and worker classes import it; prefork-wsgi implements it."""
version_info = (26, 1, 0)  # whose settings, hooks and worker class interface these modules have
__version__ = ".".join(map(str, version_info))
SERVER = "gunicorn"
SERVER_SOFTWARE = f"{SERVER}/{__version__}"

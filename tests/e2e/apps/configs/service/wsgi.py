from service.app import app as application  # noqa: F401

"""A Django site as people deploy it: DEBUG off, middleware, sessions, templates, static files."""
import pathlib

HERE = pathlib.Path(__file__).parent
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "shop.example"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000
DEBUG = False
INSTALLED_APPS = ["django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles"]
LOGGING = {"version": 1, "disable_existing_loggers": False, "handlers": {"console": {"class": "logging.StreamHandler"}},
           "root": {"handlers": ["console"], "level": "WARNING"}}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
]
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "none of this is secret"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
STATIC_URL = "/static/"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [HERE / "templates"]}]
USE_TZ = True
WSGI_APPLICATION = "shop.wsgi.application"

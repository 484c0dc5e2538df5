"""Django in one file: prefork-wsgi --chdir examples/wsgi/hello hello_django:app"""
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none of this is secret")


def hello(request):
    return HttpResponse("Hello from Django!\n", content_type="text/plain")


urlpatterns = [path("", hello)]
app = get_wsgi_application()

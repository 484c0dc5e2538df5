"""A WSGI application that tornado's own server runs."""
import in_loop
import tornado.wsgi

app = tornado.wsgi.WSGIContainer(in_loop.app)

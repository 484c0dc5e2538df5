"""An application of tornado, which has tornado's own server."""
import asyncio
import os
import sys
import time

import tornado.ioloop
import tornado.web
import tornado.websocket
import tornado.wsgi

ticks = [0]


def tick():
    ticks[0] += 1


tornado.ioloop.PeriodicCallback(tick, 20).start()  # at the import, as applications do


class Page(tornado.web.RequestHandler):
    """Subclasses return the response."""
    async def get(self):
        self.write(str(await self.respond(self.request.query)))

    post = get

    async def respond(self, query):
        return query

    def data_received(self, chunk):
        raise NotImplementedError


class Ticks(Page):
    async def respond(self, query):
        return ticks[0]


class Pid(Page):
    async def respond(self, query):
        return os.getpid()


class Nap(Page):
    async def respond(self, query):
        await asyncio.sleep(int(query) / 1000)
        return "slept"


class Block(Page):
    async def respond(self, query):
        time.sleep(60)


class Finally(Page):
    async def respond(self, query):
        try:
            print("waits", flush=True)
            await asyncio.sleep(60)
        finally:
            print("finally ran", flush=True)


class Echo(Page):
    async def respond(self, query):
        return len(self.request.body)


class Fork(Page):
    """The child leaves its handler by an exception."""
    async def respond(self, query):
        child = os.fork()
        if child == 0:
            sys.exit(7)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            await asyncio.sleep(0.02)
        return "of the parent"


class Pieces(Page):
    async def get(self):
        for number in range(int(self.request.query)):
            self.write(b"%04095d\n" % number)
            await self.flush()


class Socket(tornado.websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)

    def data_received(self, chunk):
        raise NotImplementedError


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"wsgi\n"]


app = tornado.web.Application([
    ("/", Page), ("/ticks", Ticks), ("/pid", Pid), ("/nap", Nap), ("/block", Block), ("/finally", Finally), ("/echo", Echo),
    ("/fork", Fork), ("/pieces", Pieces), ("/socket", Socket),
    ("/wsgi", tornado.web.FallbackHandler, {"fallback": tornado.wsgi.WSGIContainer(wsgi)})])

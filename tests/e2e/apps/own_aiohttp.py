"""An application of aiohttp's."""
import asyncio
import time

from aiohttp import web


async def hello(request):
    return web.Response(text="hello")


async def echo(request):
    return web.Response(text=request.query_string)


async def nap(request):
    await asyncio.sleep(int(request.query_string) / 1000)
    return web.Response(text="slept")


async def block(request):
    time.sleep(600)


app = web.Application()
app.add_routes([web.get("/", hello), web.get("/echo", echo), web.get("/nap", nap), web.get("/block", block)])


async def make():
    return app

"""Applications that worker classes of third parties serve: ASGI with starlette, and what those classes are."""
import asyncio
import os
import sys
import time

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def about(request):
    import gunicorn
    return PlainTextResponse(f"{os.getpid()} {request.scope['type']} {gunicorn.__file__} {request.client.host}")


async def body(request):
    return PlainTextResponse(str(len(await request.body())))


async def nap(request):
    try:
        await asyncio.sleep(int(request.url.query) / 1000)
    finally:
        print("finally ran", file=sys.stderr, flush=True)
    return PlainTextResponse("slept")


async def block(request):
    print("blocks", file=sys.stderr, flush=True)
    time.sleep(600)


async def pieces(request):
    async def generate():
        for number in range(int(request.url.query)):
            yield b"%04095d\n" % number
    return StreamingResponse(generate())


async def echo(request):
    return PlainTextResponse(request.url.query)


def note(word):
    async def write():
        print(f"lifespan {word}", file=sys.stderr, flush=True)
    return write


app = Starlette(on_startup=[note("startup")], on_shutdown=[note("shutdown")], routes=[
    Route("/", about), Route("/echo", echo), Route("/body", body, methods=["POST"]), Route("/nap", nap), Route("/block", block),
    Route("/pieces", pieces)])

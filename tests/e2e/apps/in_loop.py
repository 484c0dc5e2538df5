"""A WSGI application in an event loop of asyncio: a request keeps the loop until it returns."""
import asyncio
import contextvars
import os
import time

variable = contextvars.ContextVar("variable", default="fresh")
ticks = [0]
background = []


async def tick():
    try:
        while True:
            await asyncio.sleep(0.01)
            ticks[0] += 1
    finally:
        await asyncio.sleep(0.01)
        print("finally ran", flush=True)


def fresh(environ):
    found = variable.get()
    variable.set(environ["QUERY_STRING"])
    return found


def fork(environ):
    """The child returns from the application."""
    child = os.fork()
    if child == 0:
        return "of the child"
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def later(environ):
    """A callback of the loop sets the number of ticks."""
    if not background:
        background.append(asyncio.get_running_loop().create_task(tick()))
    return str(ticks[0])


def hint(environ):
    environ["wsgi.early_hints"]([("Link", f"</{environ['QUERY_STRING']}>")])
    return environ["QUERY_STRING"]


PAGES = {"/": lambda environ: "hello", "/fresh": fresh, "/fork": fork, "/ticks": later, "/hint": hint,
         "/pid": lambda environ: str(os.getpid()),
         "/block": lambda environ: time.sleep(60),
         "/echo": lambda environ: environ["wsgi.input"].read().decode(),
         "/about": lambda environ: repr((environ["wsgi.multithread"], type(asyncio.get_running_loop()).__name__))}


def app(environ, start_response):
    body = PAGES[environ["PATH_INFO"]](environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

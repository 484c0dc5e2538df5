"""An application with child processes: what they inherit, how they end, and forks that return."""
import asyncio
import multiprocessing
import os
import pathlib
import subprocess
import sys
import threading
import time

ROUTES = {}


def route(function):
    ROUTES["/" + function.__name__] = function
    return function


@route
def signals(environ):
    """The signal state of a program that is started here: no signal blocked, none ignored."""
    text = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if line.startswith(("SigBlk", "SigIgn"))]


@route
def statuses(environ):
    """The application gets the exit statuses of its children."""
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    return [subprocess.run(["sh", "-c", "exit 7"], check=False).returncode, child.wait(10), os.system("exit 3") >> 8]


@route
def terminated(environ):
    """multiprocessing ends its children by SIGTERM."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join(10)
    code = child.exitcode
    child.kill()
    child.join()
    return code


@route
def spawned(environ):
    """The children are Python, and not another server."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(os.path.basename, ("/a/b",))


def fork_and(then):
    pid = os.fork()
    return then() if pid == 0 else f"its status was {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}"


@route
def exits(environ):
    return fork_and(lambda: sys.exit(3))


@route
def complains(environ):
    return fork_and(lambda: sys.exit("an error message of the child"))


@route
def fails(environ):
    return fork_and(lambda: 1 // 0)


@route
def returns(environ):
    return fork_and(lambda: "the result of the child")


@route
def keeps_running(environ):
    """The interpreter waits for such a thread at its exit."""
    def work():
        while "draining" not in pathlib.Path("/proc/self/cmdline").read_text():
            time.sleep(0.01)
        time.sleep(0.1)
        print("the thread of the application is done", flush=True)
    threading.Thread(target=work).start()


@route
def loop(environ):
    """As asgiref does for a view that is a coroutine, and a child process of the event loop."""
    async def main():
        child = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        return [await child.wait(), await asyncio.to_thread(lambda: 6)]
    return asyncio.run(main())


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield repr(ROUTES[environ["PATH_INFO"]](environ)).encode()

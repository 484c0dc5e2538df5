"""--spew: writes each line of Python to the error log before it is executed."""
import linecache
import sys
import threading

from prefork_wsgi import loggers


def source_of(frame):
    """The line; "": loaders of other packages (get_source), and a file name with NUL, may raise any exception."""
    try:
        return linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals).rstrip()
    except Exception:
        return ""


def trace(frame, event, argument):
    """A trace function (sys.settrace). Python does not trace the function itself, and raises its exceptions in the
    application, which must not see them."""
    if event == "line":
        try:
            loggers.State.stream.write(f"{frame.f_globals.get('__name__', '?')}:{frame.f_lineno}: {source_of(frame)}\n")
        except Exception:
            pass
    return trace


def start():
    """Trace this thread, and those that the application starts. Returns the function for threads of the server."""
    threading.settrace(trace)
    sys.settrace(trace)
    return trace

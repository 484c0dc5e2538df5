"""An application that writes to pipes and sockets whose other end is closed, while it is imported and afterwards."""
import os
import signal
import socket
import threading

REFUSED = []


def write_to_closed_ends():
    ours, theirs = socket.socketpair()
    theirs.close()
    try:
        ours.send(b"x")
    except BrokenPipeError:
        REFUSED.append("socket")
    ours.close()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        os.write(writer, b"x")
    except BrokenPipeError:
        REFUSED.append("pipe")
    os.close(writer)


write_to_closed_ends()
BACKGROUND = threading.Thread(target=write_to_closed_ends)
BACKGROUND.start()
BACKGROUND.join()
os.kill(os.getpid(), signal.SIGPIPE)
os.kill(os.getpid(), signal.SIGXFSZ)


def app(environ, start_response):
    write_to_closed_ends()
    handlers = [signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGPIPE, signal.SIGXFSZ)]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{' '.join(REFUSED)} {handlers}".encode()]

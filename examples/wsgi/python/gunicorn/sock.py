"""The listeners of a worker as objects: the elements of worker.sockets."""
import errno
import os
import socket
import stat

from gunicorn import util


class _Listener(socket.socket):
    """A copy of a listener's descriptor. Event loops that call accept() find nothing more once the worker drains."""
    is_closing = False

    def accept(self):
        if self.is_closing:
            raise BlockingIOError(errno.EAGAIN, "the worker drains")
        return super().accept()


class _ListenerSet:
    """With reuse_port: a descriptor to watch, behind which there are the sockets that this worker accepts from now."""
    type, proto, is_closing = socket.SOCK_STREAM, 0, False

    def __init__(self, fd, family, address, accept):
        self._fd, self.family, self._address, self._accept = os.dup(fd), family, address, accept

    def fileno(self):
        return self._fd

    def accept(self):
        if self.is_closing:
            raise BlockingIOError(errno.EAGAIN, "the worker drains")
        client = socket.socket(fileno=self._accept())
        try:
            return client, client.getpeername()
        except OSError as error:  # the client has reset it
            client.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "the client has left") from error

    def getsockname(self):
        return self._address

    def close(self):
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def listen(self, backlog=0):
        """The server has done so, as what follows."""

    def setblocking(self, flag):
        pass

    def settimeout(self, seconds):
        pass

    def set_inheritable(self, inheritable):
        pass


class BaseSocket:
    """What gunicorn has for a listener: the socket is its attribute `sock`, whose methods it has, too."""
    FAMILY = None

    def __init__(self, address, conf, log, fd=None):
        if fd is None:
            raise NotImplementedError("prefork-wsgi binds its listeners itself: name the address in the setting bind")
        self.cfg_addr, self.conf, self.log = address, conf, log
        self.sock = fd if isinstance(fd, _ListenerSet) else _Listener(fileno=os.dup(fd))

    def __getattr__(self, name):
        return getattr(self.__dict__["sock"], name)

    def __str__(self):
        return f"<socket {self.sock.fileno()}>"

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def stop_accepting(self):
        if self.sock is not None:
            self.sock.is_closing = True


class TCPSocket(BaseSocket):
    FAMILY = socket.AF_INET

    def __str__(self):
        host, port = self.sock.getsockname()[:2]
        return f"{'https' if self.conf.is_ssl else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


class TCP6Socket(TCPSocket):
    FAMILY = socket.AF_INET6


class UnixSocket(BaseSocket):
    FAMILY = socket.AF_UNIX

    def __str__(self):
        return f"unix:{self.cfg_addr}"


def of_worker(host, conf, log):
    """The listeners of a worker, whose descriptors stay open. `host` is a prefork.Worker."""
    return [_of_fd(fd, address, lambda index=index: host.accept(index), conf, log)
            for index, (fd, address) in enumerate(zip(host.listeners, host.addresses))]


def _of_fd(fd, address, accept, conf, log):
    kinds = {kind.FAMILY: kind for kind in (TCPSocket, TCP6Socket, UnixSocket)}
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        with socket.socket(fileno=os.dup(fd)) as probe:
            family, name = probe.family, probe.getsockname()
        return kinds[family](name, conf, log, fd=fd)
    name = util.parse_address(address)
    family = socket.AF_INET6 if ":" in name[0] else socket.AF_INET
    return kinds[family](name, conf, log, fd=_ListenerSet(fd, family, name + (0, 0) * (family == socket.AF_INET6), accept))


def create_sockets(conf, log, fds=None):
    raise NotImplementedError("prefork-wsgi binds its listeners itself: name the addresses in the setting bind")


def close_sockets(listeners, unlink=True):
    for listener in listeners:
        listener.close()

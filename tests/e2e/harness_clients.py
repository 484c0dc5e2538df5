"""Clients: one connection of which the test controls every byte, and a load of many requests."""
import collections
import http.client
import select
import socket
import threading

from harness_processes import PATIENCE, wait_until

Response = collections.namedtuple("Response", "status headers body")


class Client:
    """A connection of which the test controls every byte."""

    def __init__(self, connected):
        self.socket, self.buffer = connected, bytearray()  # of bytes, each addition would copy all

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def end_output(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def more(self):
        """Read some bytes; b"" at end of file. A reset raises ConnectionResetError."""
        data = self.socket.recv(65536)
        self.buffer += data
        return data

    def read_all(self):
        """All bytes until the server closes."""
        while self.more():
            pass
        return self.take(len(self.buffer))

    def take(self, count):
        """The first `count` bytes that were read."""
        data = bytes(memoryview(self.buffer)[:count])
        del self.buffer[:count]
        return data

    def read_until(self, mark):
        """The bytes up to and including `mark`."""
        while mark not in self.buffer:
            if not self.more():
                raise AssertionError(f"closed before {mark!r}: {self.buffer!r}")
        return self.take(self.buffer.index(mark) + len(mark))

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise AssertionError(f"closed after {len(self.buffer)} of {count} bytes")
        return self.take(count)

    def read_response(self, head_only=False):
        """One HTTP response: status, headers, and body, framed according to the headers."""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in lines[1:] if line)}
        if head_only or status in (204, 304) or 100 <= status < 200:
            return Response(status, headers, b"")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Response(status, headers, self.chunks())
        if "content-length" in headers:
            return Response(status, headers, self.read_exactly(int(headers["content-length"])))
        return Response(status, headers, self.read_all())

    def chunks(self):
        body = bytearray()  # bytes would be copied for each chunk
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n") != b"\r\n":
                    pass
                return bytes(body)
            body += self.read_exactly(size)
            if self.read_exactly(2) != b"\r\n":
                raise AssertionError("a chunk without CRLF after it")

    def is_quiet(self, seconds=0.2):
        """Whether neither input nor end of file arrives for so long."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


class Load:
    """Clients that send requests without a pause while a block runs. `served` holds the responses, `lost` the errors.

    kept   persistent connections, until the server closes them
    """

    def __init__(self, server, path="/", clients=3, kept=False):
        self.server, self.path, self.kept = server, path, kept
        self.served, self.lost, self.over = [], [], threading.Event()
        self.clients = [threading.Thread(target=self.run) for _ in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *rest):
        self.over.set()
        for client in self.clients:
            client.join()

    def run(self):
        while not self.over.is_set():
            connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=20 * PATIENCE)
            try:
                self.send_on(connection)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)
            finally:
                connection.close()

    def send_on(self, connection):
        """Send one request, or requests until one side closes; the server announces a close in a response."""
        while not self.over.is_set():
            connection.request("GET", self.path, headers={} if self.kept else {"Connection": "close"})
            response = connection.getresponse()
            self.served.append(Response(response.status, response.headers, response.read()))
            if response.will_close or not self.kept:
                return

    def wait_for(self, count, what="responses"):
        """Wait until `count` more responses have arrived."""
        goal = len(self.served) + count
        wait_until(lambda: len(self.served) >= goal or self.lost, f"{count} {what}", seconds=30)

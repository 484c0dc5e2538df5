#!/usr/bin/python3
"""Uploads that are stored until they are complete, up to spool_limit, under every class."""
import contextlib
import os
import pathlib
import signal

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"


@contextlib.contextmanager
def stopped(pid):
    """A process that does not run during the block."""
    def is_stopped():
        stats = [pathlib.Path(f"/proc/{pid}/task/{task}/stat").read_text() for task in os.listdir(f"/proc/{pid}/task")]
        return all(text.rpartition(") ")[2][0] in "tT" for text in stats)
    os.kill(pid, signal.SIGSTOP)
    try:
        harness.wait_until(is_stopped, f"{pid} stops")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def spooled_bytes(pid):
    """Total size of the unnamed files of the worker at one moment: it is stopped while they are counted."""
    total, log = 0, os.readlink(f"/proc/{pid}/fd/2")  # a file of the harness
    with stopped(pid):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            if "(deleted)" in path and "memfd" not in path and path != log:
                total += os.stat(f"/proc/{pid}/fd/{fd}").st_size
    return total


@harness.every_worker_class
class SpoolLimit(harness.Case):
    def serve(self, *flags):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "1", *flags, "kitchen:app"], cwd=APPS)

    @property
    def may_wait(self):
        return "libev" not in self.flags or "--threads" in self.flags

    @staticmethod
    def upload(server, size, chunked=False, wait=True):
        """Returns the status; with wait=False the last byte is not sent, and it returns the client."""
        client = server.connect(30)
        if chunked:
            client.send(b"POST /echo-slowly HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size)
        else:
            client.send(b"POST /echo-slowly HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        try:
            client.send(b"x" * (size if wait else size - 1) + (b"\r\n0\r\n\r\n" if chunked and wait else b""))
        except ConnectionError:
            pass  # it was refused before its end
        if not wait:
            return client
        status = client.read_response().status
        client.__exit__()
        return status

    def test_a_body_above_its_share_is_refused_if_no_thread_may_block(self):
        with self.serve("--spool-limit", "8m", "--body-memory", "64k") as server:
            worker, = server.wait_for_serving(1)
            for chunked in False, True:
                self.assertEqual(self.upload(server, 900000, chunked), 200)
                self.assertEqual(self.upload(server, 3000000, chunked), 200 if self.may_wait else 413)
            with self.upload(server, 900000, wait=False):
                # The file of the previous body is closed with its connection, a moment later.
                harness.wait_until(lambda: 0 < spooled_bytes(worker) <= 1 << 20, "only this body is stored")

    def test_all_bodies_together_do_not_exceed_the_limit(self):
        if self.may_wait:
            self.skipTest("threads wait for bodies that cannot be stored")
        with self.serve("--spool-limit", "2m", "--body-memory", "4096") as server:
            worker, = server.wait_for_serving(1)
            clients = [self.upload(server, 200000, wait=False) for _ in range(20)]
            # Before the first body is complete, the worker must have received those of all clients.
            harness.wait_until(lambda: spooled_bytes(worker) > 1_600_000, "the bodies are received")
            refused = 0
            for client in clients:
                client.send(b"x")
                refused += client.read_response().status == 507
                self.assertLessEqual(spooled_bytes(worker), 2 << 20)
                client.__exit__()
            self.assertGreater(refused, 0)
            harness.wait_until(lambda: spooled_bytes(worker) == 0, "all files are closed")
            self.assertEqual(self.upload(server, 200000), 200)

    def test_an_unwritable_directory_is_reported_at_the_start(self):
        with self.serve("--spool-dir", "/proc", "--body-memory", "64k") as server:
            server.wait_for_serving(1)
            harness.wait_until(lambda: "spool_dir: cannot create a file in /proc" in server.log(), "the warning")
            self.assertEqual(self.upload(server, 3000000), 200)
            self.assertEqual(self.upload(server, 3000000, chunked=True), 200)
            self.assertEqual(server.log().count("cannot create a file"), 1)


if __name__ == "__main__":
    harness.main()

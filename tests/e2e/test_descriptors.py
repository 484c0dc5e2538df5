#!/usr/bin/env python3
"""Applications that fork, and applications that close what is not theirs."""
import contextlib
import os
import signal

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
CHILDREN = ("/fork", "/process", "/program")


def serve(flags, *more, workers=2, **named):
    return harness.Server([harness.program("prefork-wsgi"), *flags, "-w", str(workers), *more, "descriptors:app"],
                          cwd=APPS, **named)


def sockets(pid):
    """The sockets that a process has open; it may end meanwhile."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                found += [(int(number), target)] if target.startswith("socket:") else []
    return found


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Forks(harness.Case):
    """A process that the application forks holds no listening socket and no connection."""
    flags = ("-k", "sync")

    def forked(self, server):
        """Children of each kind, from several requests; those that outlive their worker, which are ended with the test."""
        pids = []
        with server.connect() as bystander:  # a connection that the children must not keep
            bystander.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for path in CHILDREN * 3:
                pids.append(int(server.get(path).body))
                self.addCleanup(kill, pids[-1])
            for pid in pids:
                harness.wait_until(lambda pid=pid: not sockets(pid), f"process {pid} closes {sockets(pid)}")
        return [pid for pid, path in zip(pids, CHILDREN * 3) if path != "/process"]  # multiprocessing ends its own

    def stop_and_start_again(self, *flags):
        with serve(self.flags, *flags) as server:
            server.wait_for_serving(2)
            pids = self.forked(server)
            self.assertEqual(server.stop(), 0)
            for pid in pids:
                self.assertIsNotNone(harness.start_time(pid), "it is to outlive the server")
                server.seen.pop(pid, None)  # and is not left behind by it
            for _ in range(20):
                with self.assertRaises(ConnectionRefusedError), server.dial(2):
                    pass
            server.start()
            server.wait_for_serving(2)
            for _ in range(200):
                self.assertEqual(server.get("/", seconds=5).status, 200)
            for pid in pids:
                kill(pid)

    def test_one_socket(self):
        self.stop_and_start_again()

    def test_preloaded(self):
        self.stop_and_start_again("--reuse-port", "--preload")


@harness.every_worker_class
class ReusePort(Forks):
    """With a socket for each worker of every class."""
    test_one_socket = test_preloaded = None

    def test_reuse_port(self):
        self.stop_and_start_again("--reuse-port")


if __name__ == "__main__":
    harness.main()

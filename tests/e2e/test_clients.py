#!/usr/bin/python3
"""Clients of all kinds: curl, nginx as a proxy, raw sockets that pipeline, disconnect, or send invalid data."""
import hashlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time

import harness

APPS = harness.SOURCE_ROOT / "tests/e2e/apps"
BIG = os.urandom(1 << 20) * 5


class Served(harness.Shared, harness.Case):
    @classmethod
    def make(cls):
        return harness.Server([harness.program("prefork-wsgi"), *cls.flags, "-w", "2", "--keep-alive", "5",
                               "--header-timeout", str(20 * harness.PATIENCE), "kitchen:app"], cwd=APPS)


@harness.every_worker_class
class Curl(Served):
    def curl(self, path, *words, data=None, status=0, server=None):
        """Run curl on a path; returns its standard output and standard error."""
        program = harness.need_program("curl")
        done = subprocess.run([program, "-sS", "-m", str(20 * harness.PATIENCE), "--expect100-timeout",
                               str(20 * harness.PATIENCE), *words,
                               (server or self.server).url + path],
                              input=data, capture_output=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr.decode(errors="replace")

    def test_an_upload_waits_for_100_continue_and_arrives_whole(self):
        body, trace = self.curl("/echo", "-v", "-H", "Expect: 100-continue", "-T", "-", "-X", "POST", data=BIG)
        self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(BIG).digest())
        self.assertIn("< HTTP/1.1 100 Continue", trace)
        self.assertNotIn("Done waiting for 100-continue", trace)  # it has not waited in vain

    def test_an_upload_that_is_not_read_gets_no_100_continue(self):
        """If it is read while it arrives; otherwise it is collected before the application runs."""
        with harness.Server([harness.program("prefork-wsgi"), *self.flags, "--stream-uploads", "kitchen:app"],
                            cwd=APPS) as server:
            for path, status in (("/ignore-body", 200), ("/nowhere", 404)):
                with self.subTest(path=path):
                    trace = self.curl(path, "-v", "-H", "Expect: 100-continue", "--data-binary", "@-", data=BIG,
                                     server=server)[1]
                    self.assertEqual("100 Continue" in trace, self.flags in (("-k", "libev"), ("-k", "tornado")))
                    self.assertIn(f"HTTP/1.1 {status}", trace)

    def test_uploads_of_known_and_of_unknown_length(self):
        for words in ("--data-binary", "@-"), ("-T", "-", "-X", "POST"), ("-0", "--data-binary", "@-"):
            for data in b"", b"x", BIG[:100000]:
                with self.subTest(words=words, size=len(data)):
                    self.assertEqual(self.curl("/echo", *words, data=data)[0], data)

    def test_head_has_the_length_and_no_body(self):
        head = self.curl("/hello", "-I")[0]
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertIn(b"Content-Length: 14\r\n", head)

    def test_a_kept_connection_serves_the_next_request(self):
        url = self.server.url
        body, trace = self.curl("/hello", "-v", f"{url}/generator", f"{url}/hello", "-d", "", f"{url}/no-length")
        self.assertEqual(body.count(b"Hello, world!\n"), 2)
        self.assertIn(b"onetwothree", body)
        self.assertEqual(trace.count("Connected to"), 1)
        self.assertEqual(trace.lower().count("re-using existing connection"), 3)

    def test_http_1_0_gets_no_chunks(self):
        body, trace = self.curl("/no-length", "-0", "-v")
        self.assertEqual(body, b"onetwothree")
        self.assertNotIn("chunked", trace.lower())
        self.assertIn("chunked", self.curl("/generator", "-v")[1].lower())

    def test_a_client_that_disconnects_affects_no_other(self):
        self.curl("/endless", "-m", "0.3", "-o", "/dev/null", status=28)
        self.assertEqual(self.curl("/hello")[0], b"Hello, world!\n")


@harness.every_worker_class
class Raw(Served):
    def test_pipelined_requests_get_responses_in_order(self):
        with self.server.connect() as client:
            client.send(b"".join(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % name for name in (b"hello", b"a-tuple", b"empty")) +
                        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
                        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsix\r\n0\r\n\r\n"
                        b"POST /ignore-body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nnot readx"
                        b"HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            bodies = [client.read_response().body for _ in range(6)]
            self.assertEqual(bodies, [b"Hello, world!\n", b"in a tuple", b"", b"body", b"six", b"not read"])
            self.assertEqual(client.read_response(head_only=True).status, 200)
            self.assertEqual(client.read_response().status, 404)
            self.assertEqual(client.read_all(), b"")

    def test_a_request_may_arrive_byte_by_byte(self):
        with self.server.connect() as client:
            for byte in b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().body, b"ab")

    def test_an_idle_or_slow_connection_delays_no_other(self):
        idle = [self.server.connect() for _ in range(50)]
        try:
            for client in idle[:25]:
                client.send(b"GET /hel")
            for _ in range(20):
                self.assertEqual(self.server.get("/hello").status, 200)
            idle[0].send(b"lo HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(idle[0].read_response().body, b"Hello, world!\n")
        finally:
            for client in idle:
                client.__exit__()

    def test_a_large_body_has_the_same_head_for_head(self):
        self.assertEqual(len(self.server.get("/large").body), 16 << 20)
        self.assertEqual(self.server.request("HEAD", "/large").headers["Content-Length"], str(16 << 20))

    def test_incomplete_bodies_delay_no_other_connection(self):
        """More than both workers have threads."""
        halves = [BIG[:500000], BIG[500000:1000000]]
        heads = [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n7a120\r\n"]
        between, ends = [b"", b"\r\n7a120\r\n"], [b"", b"\r\n0\r\n\r\n"]
        slow = [self.server.connect() for _ in range(32)]
        try:
            for i, client in enumerate(slow):
                client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + heads[i % 2] + halves[0])
            for _ in range(20):
                self.assertEqual(self.server.get("/hello").status, 200)
            for i, client in enumerate(slow):
                client.send(between[i % 2] + halves[1] + ends[i % 2])
                self.assertEqual(hashlib.sha256(client.read_response().body).digest(),
                                 hashlib.sha256(halves[0] + halves[1]).digest())
        finally:
            for client in slow:
                client.__exit__()

    def test_an_iterable_is_closed_once_after_a_disconnect(self):
        """Each worker has its own list: send requests until the worker of the stream responds."""
        with self.server.connect() as client:
            client.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            client.read_until(b"x" * 1000)
            client.reset()
        lists = set()
        harness.wait_until(lambda: lists.add(self.server.get("/show-closed").body) or any(b"endless" in t for t in lists),
                           "close() is called")
        self.assertEqual(max(t.count(b"endless") for t in lists), 1)

    def test_invalid_requests_are_refused_and_end_the_connection(self):
        for data, status in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
                             (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
                             (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
                             (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431)):
            with self.subTest(data=data[:30]), self.server.connect() as client:
                client.send(data)
                self.assertEqual(client.read_response().status, status)
                try:
                    self.assertEqual(client.read_all(), b"")
                except ConnectionResetError:
                    pass
        self.assertEqual(self.server.get("/hello").status, 200)


@harness.every_worker_class
class SlowReaders(harness.Case):
    """Of 20 MB; more clients than threads."""

    WHOLE = hashlib.sha256(b"".join(b"%09d\n" % i * 1000 for i in range(2000))).digest()

    def serve(self, *flags):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "1", *flags, "kitchen:app"], cwd=APPS)

    @staticmethod
    def begin(server, path):
        client = server.connect()
        client.send(b"GET %s HTTP/1.0\r\nHost: x\r\n\r\n" % path.encode())
        client.read_until(b"\r\n\r\n")
        return client

    @staticmethod
    def rest(client):
        """Number of bytes until end of file or a reset, and their digest."""
        size, digest, data = len(client.buffer), hashlib.sha256(client.buffer), b"x"
        while data:
            try:
                data = client.socket.recv(1 << 20)
            except ConnectionResetError:
                break
            size += len(data)
            digest.update(data)
        return size, digest.digest()

    def test_slow_readers_delay_no_other_connection_and_receive_the_complete_body(self):
        paths = ["/big-stream", "/big-writer", "/big-list", "/big-file", "/cursor"]
        with self.serve() as server:
            slow = [(path, self.begin(server, path)) for path in paths * 4]
            for _ in range(20):
                self.assertEqual(server.get("/hello").status, 200)
            for path, client in slow[:len(paths)]:
                with self.subTest(path=path):
                    self.assertEqual(self.rest(client), (20000000, self.WHOLE))
            for _, client in slow:
                client.__exit__()
            harness.wait_until(lambda: server.get("/show-closed").body.count(b"big_stream") == 4, "close() is called")
            self.assertEqual(server.get("/hello").status, 200)
            self.assertEqual(server.stop(), 0)

    def test_a_client_that_reads_nothing_is_closed_and_its_iterable_closed_once(self):
        with self.serve("--write-timeout", "0.5") as server:
            with self.begin(server, "/endless") as client:
                harness.wait_until(lambda: b"endless" in server.get("/show-closed").body, "close() is called")
                self.assertEqual(server.get("/show-closed").body, b"endless")
                self.assertLess(self.rest(client)[0], 1 << 24)

    def test_a_reload_does_not_end_responses_to_slow_readers(self):
        with self.serve("--canary-time", "0.1") as server:
            old = server.wait_for_serving(1)[0]
            slow = [(path, self.begin(server, path)) for path in ("/big-stream", "/big-list", "/big-file")]
            server.send_signal(signal.SIGHUP)
            harness.wait_until(lambda: server.get("/pid").body != b"%d" % old, "the new worker serves")
            self.assertIn(old, server.workers())
            for path, client in slow:
                with self.subTest(path=path), client:
                    self.assertEqual(self.rest(client), (20000000, self.WHOLE))
            harness.wait_until(lambda: old not in server.workers(), "the old worker exits")

    def test_a_stop_waits_for_slow_readers_until_graceful_timeout(self):
        with self.serve("--graceful-timeout", str(2 * harness.PATIENCE)) as server:
            with self.begin(server, "/big-stream") as reader, self.begin(server, "/big-list"):
                server.send_signal(signal.SIGTERM)
                self.assertEqual(self.rest(reader), (20000000, self.WHOLE))
                began = time.monotonic()
                self.assertEqual(server.wait(), 0)
                self.assertLess(time.monotonic() - began, 10 * harness.PATIENCE)

    def test_a_stream_may_take_longer_than_timeout(self):
        pause = 0.3 * harness.PATIENCE  # far shorter than the timeout, so that a worker may be stalled meanwhile
        with self.serve("--timeout", f"{4 * pause:g}") as server:
            self.assertEqual(server.get(f"/steady-stream?{pause}").body, b"0\n1\n2\n3\n4\n")


@harness.every_worker_class
class BehindNginx(harness.Case):
    """nginx as a proxy with persistent connections, by TCP and by a unix socket, with and without buffering."""

    def serve(self, directory, bind):
        return harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "2", "--keep-alive", "5",
                               "--canary-time", "0.2", "shop.wsgi"], cwd=APPS,
                              bind="tcp" if bind == "tcp" else f"unix:{directory}/socket")

    def upload(self, nginx, data):
        mark = "mark7f3a"
        body = (f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode() + data +
                f"\r\n--{mark}--\r\n".encode())
        connection = http.client.HTTPConnection(nginx.host, nginx.port, timeout=30 * harness.PATIENCE)
        connection.request("POST", "/upload", body, {"Content-Type": f"multipart/form-data; boundary={mark}",
                                                     "Host": "shop.example"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        self.assertEqual(response.status, 200, body)
        self.assertEqual(json.loads(body)["sha256"], hashlib.sha256(data).hexdigest())

    def test_pages_uploads_and_a_reload_pass_through(self):
        harness.need_module("django")
        unbuffered = "proxy_request_buffering off; proxy_buffering off;"
        for bind, location in {"sync": (("tcp", ""), ("unix", unbuffered)), "threads": (("unix", ""),),
                               "libev": (("tcp", unbuffered),)}.get(self.flags[1], (("tcp", unbuffered),)):
            with self.subTest(bind=bind), self.directory() as directory, self.serve(directory, bind) as server, harness.Nginx(
                    directory, f"{server.host}:{server.port}" if bind == "tcp" else f"unix:{server.path}", location) as nginx:
                server.wait_for_serving(2, 60)
                with harness.Load(nginx, path="/stream?lines=3", clients=2, kept=True) as load:
                    load.wait_for(50)
                    self.upload(nginx, BIG)
                    server.reload()
                    load.wait_for(50)
                self.assertEqual(load.lost, [])
                self.assertEqual({(response.status, response.body) for response in load.served},
                                 {(200, b"line 0\nline 1\nline 2\n")}, nginx.log())
                self.assertEqual(server.stop(), 0)


@harness.every_worker_class
class Growth(harness.Case):
    def test_memory_and_descriptors_do_not_grow_with_valid_and_invalid_requests(self):
        # Without a quarantine: freed memory that a sanitizer keeps would exceed a leak.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0:detect_stack_use_after_return=0"
        with harness.Server([harness.program("prefork-wsgi"), *self.flags, "-w", "1", "--keep-alive", "5",
                             "--log-file", "/dev/null", "kitchen:app"], cwd=APPS, env={"ASAN_OPTIONS": asan}) as server:
            worker, = server.wait_for_serving(1)
            sizes, fds = [], None
            # The size converges. Temporary memory varies, so the smaller of two sizes counts: a leak increases that, too.
            while len(sizes) < 4 or min(sizes[-2:]) - min(sizes[-4:-2]) > 128:
                self.assertLess(len(sizes), 12, sizes)
                threads = [threading.Thread(target=self.send_requests, args=(server, 250)) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                harness.wait_until(lambda: server.get("/hello").status == 200, "a response")
                sizes.append(harness.memory_kib(worker, "Anonymous"))
                fds = fds or harness.wait_for_quiet(lambda: harness.fd_count(worker))
            self.assertEqual(server.wait_for_serving(1), [worker], "the same worker")
            harness.wait_until(lambda: harness.fd_count(worker) <= fds + 1, f"at most one descriptor more than {fds}")

    @staticmethod
    def send_requests(server, count):
        for number in range(count):
            try:
                with server.connect() as client:
                    client.send((
                        b"GET /environment?%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number,
                        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000,
                        b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"GET /fails HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                        b"\0\1\2\3\r\n\r\n", b"GET /hel")[number % 8])
                    if number % 8 not in (2, 3, 7):
                        client.more()
                    if number % 3:
                        client.reset()
            except ConnectionError:
                pass


if __name__ == "__main__":
    harness.main()

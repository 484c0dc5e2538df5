#!/usr/bin/python3
"""examples/http_hello, observed by clients: requests, a worker that is killed, a reload, a stop."""
import contextlib
import http.client
import os
import signal
import threading
import unittest

import harness

BODY = b"Hello, world!\n"
GET = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"


class HttpHello(harness.Case):
    def server(self, *words):
        return harness.Server([harness.program("http_hello"), *words])

    def test_a_get_gets_the_body(self):
        with self.server("--workers", "1") as server, server.connect() as client:
            client.send(GET)
            response = client.read_response()
            self.assertEqual((response.status, response.body), (200, BODY))
            self.assertEqual(response.headers["content-type"], "text/plain")

    def test_two_lengths_in_one_request_are_refused_and_end_the_connection(self):
        with self.server("--workers", "1") as server, server.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: example\r\nContent-Length: 5\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET)
            with contextlib.suppress(ConnectionResetError):  # the smuggled bytes were never read
                while client.more():
                    pass
            self.assertTrue(client.buffer.startswith(b"HTTP/1.1 400 "), client.buffer)
            self.assertEqual(client.buffer.count(b"HTTP/1.1 "), 1, client.buffer)
            self.assertEqual(server.get().body, BODY)

    def test_a_field_that_does_not_end_is_limited_as_the_header_is(self):
        limits = "--limit-request-field-size", "1073741824", "--limit-request-head", "64k"
        with self.server("--workers", "1", *limits) as server, server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: example\r\nX-Long: " + 65536 * b"x")
            self.assertEqual(client.read_response().status, 431)

    def test_the_next_request_is_served_after_the_only_worker_is_killed(self):
        with self.server("--workers", "1") as server:
            self.assertEqual(server.get().status, 200)
            victim, = server.wait_for_workers(1)
            os.kill(victim, signal.SIGKILL)
            server.wait_for_exit([victim])
            self.assertEqual((server.get().status, server.get().body), (200, BODY))
            self.assertNotEqual(server.wait_for_workers(1), [victim])

    def test_a_reload_under_load_loses_no_request(self):
        with self.server("--workers", "2") as server:
            old = server.wait_for_workers(2)
            over, served, lost = threading.Event(), [], []

            def send():
                while not over.is_set():
                    try:
                        response = server.get()
                        (served if (response.status, response.body) == (200, BODY) else lost).append(response)
                    except (OSError, http.client.HTTPException) as error:
                        lost.append(error)

            clients = [threading.Thread(target=send) for _ in range(3)]
            for client in clients:
                client.start()
            try:
                for number in range(1, 4):
                    harness.wait_until(lambda: len(served) > 20 * number or lost, "requests are served")
                    server.reload()
            finally:
                over.set()
                for client in clients:
                    client.join()
            self.assertEqual(lost, [])
            self.assertFalse(set(old) & set(server.wait_for_workers(2)), "a worker outlived three reloads")

    def test_term_ends_it_with_status_0(self):
        with self.server("--workers", "2") as server:
            server.wait_for_workers(2)
            self.assertEqual(server.get().status, 200)
            self.assertEqual(server.stop(signal.SIGTERM), 0)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/python3
"""Headers of proxies about their clients, and which proxies are trusted."""
import pathlib
import unittest

import harness

APPS = pathlib.Path(__file__).resolve().parent / "apps"
SECURE = {"X-Forwarded-Proto": "https"}


class Forwarded(harness.Case):
    def server(self, *words, env=None):
        return harness.Server([harness.program("prefork-wsgi"), *words, "scheme:app"], cwd=APPS, env=env)

    def test_a_proxy_on_this_machine_is_trusted_for_the_scheme(self):
        with self.server() as server:
            self.assertEqual(server.get().body, b"http 127.0.0.1")
            self.assertEqual(server.get(headers=SECURE).body, b"https 127.0.0.1")
            self.assertEqual(server.get(headers={"X-Forwarded-Ssl": "on"}).body, b"https 127.0.0.1")
            self.assertEqual(server.get(headers={"X-Forwarded-Proto": "http"}).body, b"http 127.0.0.1")

    def test_one_connection_may_carry_requests_of_both_schemes(self):
        with self.server("--keep-alive", "5") as server, server.connect() as client:
            for scheme in (b"https", b"http", b"https"):
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: " + scheme + b"\r\n\r\n")
                self.assertEqual(client.read_response().body, scheme + b" 127.0.0.1")
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(client.read_response().body, b"http 127.0.0.1")

    def test_other_peers_are_not_trusted(self):
        with self.server("--forwarded-allow-ips", "192.0.2.0/24") as server:
            self.assertEqual(server.get(headers=SECURE).body, b"http 127.0.0.1")
            self.assertEqual(server.get(headers={**SECURE, "X-Forwarded-Ssl": "off"}).status, 200)

    def test_the_environment_names_proxies_as_with_gunicorn(self):
        with self.server(env={"FORWARDED_ALLOW_IPS": "192.0.2.1"}) as server:
            self.assertEqual(server.get(headers=SECURE).body, b"http 127.0.0.1")

    def test_a_contradiction_is_a_bad_request(self):
        with self.server() as server:
            self.assertEqual(server.get(headers={**SECURE, "X-Forwarded-Ssl": "off"}).status, 400)

    def test_a_wrong_address_is_reported(self):
        with harness.Server([harness.program("prefork-wsgi"), "--forwarded-allow-ips", "10.0.0.1/8", "--check-config",
                             "scheme:app"], bind=None, cwd=APPS) as server:
            self.assertNotEqual(server.wait(), 0)
            self.assertIn('forwarded_allow_ips: "10.0.0.1/8" has bits set after the network prefix', server.log())


if __name__ == "__main__":
    harness.main()

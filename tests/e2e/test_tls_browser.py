#!/usr/bin/python3
"""Chromium without a window as a client: certificates, kept connections, resumption, bodies of 100 kB."""
import base64
import hashlib
import json
import re
import shutil
import subprocess
import unittest

import harness
from test_tls import APPS, Tls

NAMES = ("chromium-headless-shell", "chromium")  # Debian's packages; the first one is much smaller


class Browser(Tls):
    def fingerprint(self):
        """SHA-256 of the public key, with which the browser accepts the certificate without the authority."""
        key = subprocess.run([self.authority.openssl, "x509", "-in", self.certificate, "-noout", "-pubkey"], capture_output=True,
                             check=True).stdout
        der = subprocess.run([self.authority.openssl, "pkey", "-pubin", "-outform", "der"], input=key, capture_output=True,
                             check=True).stdout
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def page(self, url, *words):
        """The text of a page, after its script has run."""
        harness.need_speed()
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            raise unittest.SkipTest(f"not installed: {NAMES[0]}")
        with self.directory() as profile:
            (profile / "Default").mkdir()  # no spare connections, made before there is a session to resume
            (profile / "Default/Preferences").write_text('{"net": {"network_prediction_options": 2}}')
            done = subprocess.run([found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                                   "--disable-background-networking", f"--user-data-dir={profile}",
                                   "--virtual-time-budget=60000", "--dump-dom", *words, url],
                                  capture_output=True, text=True, check=False, timeout=60 * harness.PATIENCE, stdin=subprocess.DEVNULL)
        return re.sub(r"<[^>]*>", "", done.stdout).strip(), done.stderr

    def test_a_page_and_its_requests(self):
        with self.server("tls_browser:app", "-k", "libev", "--workers", "1", "--threads", "2", program="prefork-wsgi",
                         cwd=APPS) as server:
            text, errors = self.page(f"https://localhost:{server.port}/",
                                     f"--ignore-certificate-errors-spki-list={self.fingerprint()}")
            self.assertIn("REMOTE_PORT", text, errors + server.log())
            first, large, echo, second, *last = json.loads(text)
            self.assertEqual((large, echo["size"]), (100_000, 100_000))
            for seen in (first, second, *last):
                self.assertEqual((seen["SSL_PROTOCOL"], seen["SSL_TLS_SNI"], seen["wsgi.url_scheme"], seen["SERVER_PROTOCOL"]),
                                 ("TLSv1.3", "localhost", "https", "HTTP/1.1"))
            self.assertEqual({one["REMOTE_PORT"] for one in (first, second, echo)}, {first["REMOTE_PORT"]})
            other, = [one for one in last if one["REMOTE_PORT"] != first["REMOTE_PORT"]]
            self.assertEqual(other["SSL_SESSION_RESUMED"], "Resumed")
            self.assertNotIn("handshake failed", server.log())

    def test_a_certificate_of_an_unknown_authority_is_refused(self):
        with self.server("tls_browser:app", program="prefork-wsgi", cwd=APPS) as server:
            text, _ = self.page(f"https://localhost:{server.port}/")
            self.assertNotIn("REMOTE_PORT", text)
            server.wait_for_log("TLS handshake failed: ")


if __name__ == "__main__":
    harness.main()

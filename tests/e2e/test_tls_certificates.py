#!/usr/bin/python3
"""HTTPS: clients' certificates, several certificates, tickets, certificates that change, handshakes that hang."""
import json
import os
import pathlib
import shutil
import signal
import ssl
import statistics
import subprocess
import threading
import time
import unittest

import harness
from harness_tls import ECDSA, RSA, Authority, TlsClient
from test_tls import APPS, GET, LAST, VERSIONS, Tls


def common_name(client):
    return dict(part[0] for part in client.socket.getpeercert()["subject"])["commonName"]


class Info(Tls):
    """prefork-wsgi with an application that returns what it sees."""

    def info(self, *words, **more):
        return self.server(*words, "tls_info:app", program="prefork-wsgi", cwd=APPS, **more)

    def ask(self, client, last=False):
        client.send(LAST if last else GET)
        return json.loads(client.read_response().body)


class Clients(Info):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clients = Authority(cls.path, "Clients")
        cls.mine = cls.clients.issue(cls.path / "ann.pem", cls.path / "ann.key", subject="/O=Tests/CN=Ann", usage="clientAuth")
        cls.foreign = cls.authority.issue(cls.path / "bob.pem", cls.path / "bob.key", subject="/CN=Bob", usage="clientAuth")

    def verified(self, requirement):
        return self.info("--ca-certs", self.clients.certificate, "--cert-reqs", requirement)

    def test_the_application_sees_the_certificate_of_its_client(self):
        with self.verified("2") as server:
            for version in VERSIONS:
                with TlsClient(server, self.authority.context(version, *self.mine)) as client:
                    for _ in range(2):
                        seen = self.ask(client)
                        self.assertEqual(seen["SSL_CLIENT_VERIFY"], "SUCCESS")
                        self.assertEqual(seen["SSL_CLIENT_S_DN"], "CN=Ann,O=Tests")
                        self.assertEqual(seen["SSL_CLIENT_S_DN_CN"], "Ann")
                        self.assertEqual(seen["SSL_CLIENT_I_DN"], "CN=Clients")
                        self.assertEqual(seen["SSL_CLIENT_CERT"], self.mine[0].read_text())
                        self.assertEqual((seen["HTTPS"], seen["scheme"]), ("on", "https"))
                        self.assertEqual(seen["SSL_PROTOCOL"], {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name])
                        self.assertEqual(seen["SSL_TLS_SNI"], "localhost")

    def test_a_name_of_two_bytes_per_character_arrives_in_utf_8(self):
        settings = self.path / "names.cnf"  # 0x800: BMPString
        settings.write_text("[req]\ndistinguished_name=dn\nstring_mask=MASK:0x800\nprompt=no\n[dn]\nCN=Ann\n")
        request, certificate, key = (self.path / f"wide.{suffix}" for suffix in ("csr", "pem", "key"))
        self.clients.call("req", "-new", "-config", settings, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                          "-keyout", key, "-out", request)
        self.clients.call("x509", "-req", "-in", request, "-CA", self.clients.certificate, "-CAkey", self.clients.key,
                          "-CAcreateserial", "-out", certificate)
        with self.verified("2") as server, TlsClient(server, self.authority.context(None, certificate, key)) as client:
            self.assertEqual(self.ask(client)["SSL_CLIENT_S_DN_CN"], "Ann")

    def refused(self, server, version, *pair):
        """The error of a client whose certificate is refused; TLS 1.3 reports it with the first read."""
        with self.assertRaises((ssl.SSLError, ConnectionResetError)) as caught:
            with TlsClient(server, self.authority.context(version, *pair)) as client:
                client.send(GET)
                client.read_response()
        return str(caught.exception)

    def test_a_required_certificate_must_be_there_and_valid(self):
        with self.verified("required") as server:
            for version in VERSIONS:
                self.refused(server, version)
                self.refused(server, version, *self.foreign)
            server.wait_for_log("TLS handshake failed: ")
            self.assertNotIn("GET", server.log())

    def test_an_optional_certificate_may_be_missing_but_not_invalid(self):
        with self.verified("optional") as server:
            for version in VERSIONS:
                with TlsClient(server, self.authority.context(version)) as client:
                    seen = self.ask(client)
                    self.assertEqual(seen["SSL_CLIENT_VERIFY"], "NONE")
                    self.assertNotIn("SSL_CLIENT_S_DN", seen)
                with TlsClient(server, self.authority.context(version, *self.mine)) as client:
                    self.assertEqual(self.ask(client)["SSL_CLIENT_S_DN_CN"], "Ann")
                self.refused(server, version, *self.foreign)


class Names(Info):
    """Certificates that the server name selects."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = cls.path / "certificates"
        cls.directory.mkdir()
        cls.authority.issue(cls.directory / "a.crt", cls.directory / "a.key", "a.test", "www.a.test")
        cls.authority.issue(cls.directory / "b.crt", cls.directory / "b.key", "*.b.test", "b.test")
        secret, certbot = cls.directory / "secret", cls.directory / "live.test"
        secret.mkdir(), certbot.mkdir()
        cls.authority.issue(secret / "tls.crt", secret / "tls.key", "c.test")
        cls.authority.issue(certbot / "fullchain.pem", certbot / "privkey.pem", "live.test")
        both = cls.directory / "both.pem"
        certificate, key = cls.authority.issue(cls.path / "d.crt", cls.path / "d.key", "d.test")
        both.write_text(certificate.read_text() + key.read_text())
        (cls.directory / "README").write_text("no certificate\n")

    def test_the_server_name_selects_the_certificate(self):
        with self.info("--certificates", self.directory) as server:
            for version in VERSIONS:
                context = self.authority.context(version)
                for name, expected in (("a.test", "a.test"), ("www.a.test", "a.test"), ("WWW.A.TEST", "a.test"),
                                       ("x.b.test", "*.b.test"), ("b.test", "*.b.test"), ("c.test", "c.test"),
                                       ("live.test", "live.test"), ("d.test", "d.test"), ("localhost", "localhost")):
                    with TlsClient(server, context, name) as client:
                        self.assertEqual(common_name(client), expected)
                context.check_hostname = False
                for name in ("x.y.b.test", "unknown.test", None):
                    with TlsClient(server, context, name) as client:
                        self.assertEqual(common_name(client), "localhost")
                        self.assertEqual(self.ask(client).get("SSL_TLS_SNI"), name)
                with TlsClient(server, context, "x\r\ny.test") as client:  # text that could end a line of a log
                    self.assertNotIn("SSL_TLS_SNI", self.ask(client))

    def test_a_session_is_not_resumed_under_another_name(self):
        with self.info("--certificates", self.directory) as server:
            for version in VERSIONS:
                context = self.authority.context(version)
                context.check_hostname = False
                session = None
                for name, reused in (("a.test", False), ("a.test", True), ("A.test", True), ("www.a.test", False), ("b.test", False),
                                     (None, False)):
                    with TlsClient(server, context, name, session) as client:
                        self.assertEqual(self.ask(client, True)["SSL_SESSION_RESUMED"], "Resumed" if reused else "Initial", name)
                        if name and name.lower() == "a.test":
                            session = client.socket.session

    def test_a_lowest_version_of_tls(self):
        with self.info("--ssl-version", "tlsv1.3") as server:
            with self.assertRaises(ssl.SSLError):
                TlsClient(server, self.authority.context(ssl.TLSVersion.TLSv1_2))
            with TlsClient(server, self.authority.context()) as client:
                self.assertEqual(self.ask(client)["SSL_PROTOCOL"], "TLSv1.3")
            server.wait_for_log("TLS handshake failed: unsupported protocol")

    def test_ciphers_of_both_kinds(self):
        with self.info("--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256") as server:
            for version, cipher in zip(VERSIONS, ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_CHACHA20_POLY1305_SHA256")):
                with TlsClient(server, self.authority.context(version)) as client:
                    self.assertEqual(self.ask(client)["SSL_CIPHER"], cipher)


class Algorithms(Info):
    """Certificates for the same names, with keys of two types."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = cls.path / "algorithms"
        cls.directory.mkdir()
        for stem, algorithm in (("a.ecdsa", ECDSA), ("a.rsa", RSA)):
            cls.authority.issue(cls.directory / f"{stem}.crt", cls.directory / f"{stem}.key", "a.test", "www.a.test", algorithm=algorithm)
        cls.authority.issue(cls.directory / "b.crt", cls.directory / "b.key", "a.test", "b.test", algorithm=RSA)  # not the same names
        cls.authority.issue(cls.directory / "localhost.crt", cls.directory / "localhost.key", "localhost", algorithm=RSA)

    def key_of(self, server, name, algorithms, *words):
        """The type of the key with which the server signs for a client that has only these algorithms; None: it refuses."""
        done = subprocess.run([self.authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name,
                               "-CAfile", self.authority.certificate, "-sigalgs", algorithms, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, text=True)
        if "BEGIN CERTIFICATE" not in done.stdout:
            return None
        self.assertIn("Verify return code: 0 (ok)", done.stdout)
        return done.stdout.partition("Peer signature type: ")[2].split()[0]

    def test_the_signature_algorithms_of_the_client_select_one(self):
        everything = "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256"
        with self.info("--certificates", self.directory) as server:
            for version in ("-tls1_2", "-tls1_3"):
                for name in ("a.test", "www.a.test", "localhost"):  # localhost has an ECDSA key in certfile
                    for algorithms, expected in (("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256:RSA+SHA256", "RSA-PSS"),
                                                 (everything, "ECDSA")):
                        self.assertEqual(self.key_of(server, name, algorithms, version), expected, (version, name, algorithms))
                self.assertIsNone(self.key_of(server, "b.test", "ECDSA+SHA256", version))
                self.assertEqual(self.key_of(server, "b.test", everything, version), "RSA-PSS")
            context, session = self.authority.context(), None
            for reused in ("Initial", "Resumed", "Resumed"):
                with TlsClient(server, context, "a.test", session) as client:
                    self.assertEqual(self.ask(client, True)["SSL_SESSION_RESUMED"], reused)
                    session = client.socket.session

    def test_each_has_its_own_response_of_ocsp(self):
        authority, index = self.authority, self.path / "algorithms.txt"
        serials = {}
        for stem in ("a.ecdsa", "a.rsa"):
            certificate, request = self.directory / f"{stem}.crt", self.path / f"{stem}.req"
            serials[stem] = authority.call("x509", "-in", certificate, "-noout", "-serial").strip().partition("=")[2]
            index.write_text(f"V\t401231000000Z\t\t{serials[stem]}\tunknown\t/CN=a.test\n")
            authority.call("ocsp", "-issuer", authority.certificate, "-cert", certificate, "-reqout", request)
            authority.call("ocsp", "-index", index, "-CA", authority.certificate, "-rsigner", authority.certificate, "-rkey",
                           authority.key, "-reqin", request, "-respout", self.directory / f"{stem}.ocsp", "-ndays", "1")
        with self.info("--certificates", self.directory) as server:
            for stem, algorithms in (("a.ecdsa", "ECDSA+SHA256"), ("a.rsa", "RSA-PSS+SHA256:RSA+SHA256")):
                for version in ("-tls1_2", "-tls1_3"):
                    done = subprocess.run([authority.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "a.test",
                                           "-status", "-sigalgs", algorithms, version], stdin=subprocess.DEVNULL, capture_output=True,
                                          check=False, text=True)
                    self.assertIn(f"Serial Number: {serials[stem]}", done.stdout)


class Tickets(Info):
    def resume(self, server, context, session, count, allowed=()):
        """So many connections, each with the session of the one before. Returns the pids that served, and the last session."""
        pids = set()
        for number in range(count):
            with TlsClient(server, context, session=session) as client:
                seen = self.ask(client, True)
                if session is not None and number not in allowed:
                    self.assertEqual(seen["SSL_SESSION_RESUMED"], "Resumed", number)
                if seen["SSL_PROTOCOL"] == "TLSv1.3" and session is not None:  # a ticket is used once (RFC 8446, C.4)
                    self.assertNotEqual(client.socket.session.id, session.id)
                session = client.socket.session
                pids.add(seen["pid"])
        return pids, session

    def test_every_worker_resumes_the_sessions_of_the_others(self):
        with self.info("--workers", "4") as server:
            server.wait_for_serving(4)
            for version in VERSIONS:
                harness.wait_for_sleep(server.workers())  # all wait: after 16 connections comes the turn of another one
                pids, _ = self.resume(server, self.authority.context(version), None, 60)
                self.assertGreater(len(pids), 1)

    def test_sessions_outlive_reloads(self):
        with self.info("--workers", "2") as server:
            server.wait_for_serving(2)
            for version in VERSIONS:
                context, session = self.authority.context(version), None
                for _ in range(3):
                    _, session = self.resume(server, context, session, 8)
                    server.reload()
                self.resume(server, context, session, 8)

    def test_sessions_outlive_an_upgrade(self):
        with self.info("--workers", "2", "--upgrade", "automatic", "--pid", self.path / "pid") as server:
            context = self.authority.context()
            _, session = self.resume(server, context, None, 4)
            old = server.workers()
            server.send_signal(harness.signal.SIGUSR2)
            server.wait_for_log("Master has been promoted", 30)
            harness.wait_until(lambda: server.process.poll() is not None, "the old arbiter has exited", 20)
            new = int((self.path / "pid").read_text())
            try:
                pids, _ = self.resume(server, context, session, 8)
                self.assertFalse(pids & set(old))
                environment = pathlib.Path(f"/proc/{new}/environ").read_bytes()
                self.assertNotIn(b"PREFORK_UPGRADE_KEPT=tls-ticket-keys=\0", environment)
                for pid in pids:  # the memfd is the arbiter's
                    self.assertNotIn("prefork-tls", str(harness.open_files(pid)))
            finally:
                os.kill(new, harness.signal.SIGTERM)
                harness.wait_until(lambda: harness.start_time(new) is None, "the new arbiter has exited", 20)


class Changes(Info):
    """Certificates that change while the server runs."""

    def setUp(self):
        self.live = self.path / "live"
        self.live.mkdir()
        self.addCleanup(shutil.rmtree, self.live)
        self.issue(self.live, "first")

    def issue(self, directory, organization):
        """A certificate of localhost in `directory`, replaced by rename(2), the certificate first."""
        certificate, key = self.authority.issue(self.path / "new.pem", self.path / "new.key", "localhost",
                                                subject=f"/O={organization}/CN=localhost")
        certificate.rename(directory / "tls.crt")
        key.rename(directory / "tls.key")

    def serve(self, *words, directory=None):
        directory = directory or self.live
        return self.info("--workers", "3", "--certfile", directory / "tls.crt", "--keyfile", directory / "tls.key", *words)

    def organization(self, server):
        with TlsClient(server, self.authority.context()) as client:
            client.send(LAST)
            self.assertEqual(client.read_response().status, 200)
            return dict(part[0] for part in client.socket.getpeercert()["subject"])["organizationName"]

    def wait_for(self, server, organization):
        """Wait until all workers have the certificate."""
        harness.wait_until(lambda: [self.organization(server) for _ in range(8)] == [organization] * 8,
                           f"the certificate of {organization}")

    def test_changed_files_are_in_force_without_a_reload(self):
        with self.serve() as server:
            server.wait_for_serving(3)
            pids = server.workers()
            with TlsClient(server, self.authority.context()) as kept:
                self.ask(kept)
                for organization in ("second", "third"):
                    self.issue(self.live, organization)
                    self.wait_for(server, organization)
                self.assertIn("pid", self.ask(kept))
            self.assertEqual(server.workers(), pids)
            self.assertNotIn("cannot be used", server.log())

    def test_a_symbolic_link_that_changes_counts_as_well(self):
        """As kubelet swaps ..data, a link to a directory."""
        volume = self.live / "volume"
        for number in (1, 2):
            (volume / f"..{number}").mkdir(parents=True)
            self.issue(volume / f"..{number}", f"volume {number}")
        (volume / "..data").symlink_to("..1")
        for name in ("tls.crt", "tls.key"):
            (volume / name).symlink_to(f"..data/{name}")
        with self.serve(directory=volume) as server:
            self.assertEqual(self.organization(server), "volume 1")
            (volume / "..new").symlink_to("..2")
            (volume / "..new").rename(volume / "..data")
            self.wait_for(server, "volume 2")

    def test_files_that_do_not_fit_leave_the_old_ones_in_force(self):
        with self.serve() as server:
            server.wait_for_serving(3)
            good = (self.live / "tls.key").read_text()
            (self.live / "tls.key").write_text("no key\n")
            server.wait_for_log("Changed certificates cannot be used, the old ones stay in force")
            self.assertEqual(self.organization(server), "first")
            server.reload("failed")
            self.assertEqual(self.organization(server), "first")
            (self.live / "tls.key").write_text(good)
            server.reload()
            self.assertEqual(self.organization(server), "first")

    def test_files_of_a_reload_that_failed_are_not_read_again(self):
        settings, other = self.live / "settings.ini", self.live / "other"
        other.mkdir()
        self.issue(other, "other")
        (other / "tls.key").write_text("no key\n")

        def reload(directory, verdict):
            settings.write_text(f"[prefork]\ncertfile = {directory}/tls.crt\nkeyfile = {directory}/tls.key\n")
            server.reload(verdict)

        settings.write_text(f"[prefork]\ncertfile = {self.live}/tls.crt\nkeyfile = {self.live}/tls.key\n")
        with harness.Server([harness.program("prefork-wsgi"), "--config", settings, "tls_info:app"], cwd=APPS) as server:
            reload(other, "failed")
            (other / "tls.key").write_text("not a key, either\n")
            self.issue(self.live, "second")
            self.wait_for(server, "second")
            (other / "tls.key").write_text("and again\n")
            self.issue(self.live, "third")
            self.wait_for(server, "third")
            self.assertNotIn("Changed certificates cannot be used", server.log())
            self.issue(other, "other")
            reload(other, "done")
            self.assertEqual(self.organization(server), "other")

    def test_a_reload_that_is_refused_leaves_the_certificates_of_one_in_progress(self):
        settings, other = self.live / "settings.ini", self.live / "other"
        other.mkdir()
        self.issue(other, "other")

        def configure(directory, more=""):
            settings.write_text(f"[prefork]\ncertfile = {directory}/tls.crt\nkeyfile = {directory}/tls.key\n{more}")

        configure(self.live)
        with harness.Server([harness.program("https_hello"), "--config", settings, "--workers", "1", "--canary-time", "4s"]) as server:
            server.wait_for_serving(1)
            configure(other)
            server.send_signal(signal.SIGHUP)
            server.wait_for_log("generation=2")
            for number, words in enumerate([(other, "timeout = many\n"), ("/none",)], 1):
                configure(*words)
                server.send_signal(signal.SIGHUP)
                harness.wait_until(lambda number=number: server.log().count("Reload failed") == number, "the reload is refused")
            configure(other)
            server.wait_for_log("Reload done")
            harness.wait_until(lambda: len(server.workers()) == 1, "the old worker has exited")
            worker, = server.workers()
            (other / "tls.key").write_text("no key\n")
            server.wait_for_log("Changed certificates cannot be used, the old ones stay in force")
            os.kill(worker, signal.SIGKILL)
            server.wait_for_exit([worker])
            self.assertEqual(self.organization(server), "other")

    def test_workers_of_another_user_need_not_read_the_key(self):
        if os.getuid() != 0:
            raise unittest.SkipTest("only root can start workers of another user")
        with self.server("--user", "nobody", "--workers", "2", "--certfile", self.live / "tls.crt", "--keyfile",
                         self.live / "tls.key") as server:
            server.wait_for_serving(2)
            (self.live / "tls.key").chmod(0o400)
            for worker in server.workers():
                self.assertNotIn("\nUid:\t0", pathlib.Path(f"/proc/{worker}/status").read_text())
            for organization in ("first", "second"):
                if organization == "second":
                    self.issue(self.live, "second")
                self.wait_for(server, organization)

    def test_a_reload_reads_changed_files(self):
        with self.serve() as server:
            server.wait_for_serving(3)
            self.issue(self.live, "second")
            server.reload()
            self.assertEqual([self.organization(server) for _ in range(6)], ["second"] * 6)

    def test_changes_under_load_lose_nothing(self):
        stop, lost, served = threading.Event(), [], []

        def load():
            while not stop.is_set():
                try:
                    with TlsClient(server, self.authority.context()) as client:
                        self.ask(client)
                        served.append(self.ask(client, True)["pid"])
                except (OSError, AssertionError) as error:
                    lost.append(error)

        with self.serve() as server:
            server.wait_for_serving(3)
            threads = [threading.Thread(target=load) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                for number in range(10):
                    self.issue(self.live, f"number {number}")
                    self.wait_for(server, f"number {number}")
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(lost, [])
            self.assertGreater(len(served), 30)


@harness.every_worker_class
class Handshakes(Tls):
    def test_clients_that_hang_in_the_handshake_hinder_no_request(self):
        with self.server("--workers", "1", "--handshake-timeout", "60s", "--worker-connections", "2000") as server:
            hello, alone = self.hello(), self.usual_time(server, 20)
            hanging = []
            try:
                for number in range(500):
                    hanging.append(server.dial(10))
                    hanging[-1].sendall(hello[:[0, 1, len(hello) // 2, len(hello)][number % 4]])
                self.assertLess(self.usual_time(server, 100), 0.2 * harness.PATIENCE + 4 * alone)
            finally:
                for one in hanging:
                    one.close()

    def usual_time(self, server, count):
        """The median of the times that so many requests take, each with a handshake."""
        times = []
        for _ in range(count):
            began = time.monotonic()
            with TlsClient(server, self.authority.context()) as client:
                client.send(LAST)
                self.assertEqual(client.read_response().status, 200)
            times.append(time.monotonic() - began)
        return statistics.median(times)

    def hello(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.authority.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            return outgoing.read()

    def test_the_handshake_has_a_limit_and_is_no_request(self):
        with self.server("--handshake-timeout", "1s", "--max-requests", "1") as server:
            pids = server.wait_for_serving(1)
            with server.connect() as client:
                client.send(self.hello()[:20])
                self.assertEqual(client.read_all(), b"")
            server.wait_for_log("TLS handshake failed: handshake_timeout has passed")
            self.assertEqual(server.workers(), pids)


if __name__ == "__main__":
    harness.main()

"""Certificates for tests, made by openssl(1), and clients that use TLS."""
import pathlib
import ssl
import subprocess

from harness_clients import Client
from harness_processes import PATIENCE, need_program


ECDSA, RSA = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:2048",)


class Authority:
    """A certificate authority in `directory`, which issues certificates (ECDSA P-256)."""

    def __init__(self, directory, name="Test authority"):
        self.openssl, self.directory, self.count = need_program("openssl"), pathlib.Path(directory), 0
        stem = name.lower().replace(" ", "-")
        self.certificate, self.key = self.directory / f"{stem}.pem", self.directory / f"{stem}.key"
        self.call("req", "-x509", "-newkey", *ECDSA, "-nodes", "-keyout", self.key,
                  "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}",
                  "-addext", "basicConstraints=critical,CA:TRUE")

    def call(self, *words):
        done = subprocess.run([self.openssl, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"openssl {words[0]}: {done.stderr}")
        return done.stdout

    def issue(self, certificate, key, *names, days=20, subject=None, usage="serverAuth", algorithm=ECDSA):
        """Write a certificate and its key into the files `certificate` and `key`."""
        self.count += 1
        request, extensions = self.directory / f"{self.count}.csr", self.directory / f"{self.count}.ext"
        alternatives = ",".join("DNS:" + name for name in names)
        extensions.write_text("\n".join(["basicConstraints=CA:FALSE", f"extendedKeyUsage={usage}",
                                         *([f"subjectAltName={alternatives}"] if names else [])]))
        self.call("req", "-new", "-newkey", *algorithm, "-nodes", "-keyout", key, "-out", request, "-subj",
                  subject or f"/CN={names[0]}")
        self.call("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
                  str(days), "-extfile", extensions, "-out", certificate)
        return pathlib.Path(certificate), pathlib.Path(key)

    def context(self, version=None, certificate=None, key=None):
        """A client's context that trusts this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate)
        if version:
            context.minimum_version = context.maximum_version = version
        if certificate:
            context.load_cert_chain(certificate, key)
        return context


class TlsClient(Client):
    """A Client whose bytes are encrypted. A server that closes without close_notify raises ssl.SSLEOFError."""

    def __init__(self, server, context, name="localhost", session=None, seconds=10):
        plain = server.dial(seconds * PATIENCE)
        try:
            super().__init__(context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False, session=session))
        except BaseException:
            plain.close()
            raise

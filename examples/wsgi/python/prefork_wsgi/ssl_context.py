"""The hook ssl_context: gets an object like ssl.SSLContext, whose calls become settings of TLS.

The server does TLS itself (OpenSSL, below Python), so that a context of Python's is of no use to it.
"""
import ssl

from prefork_wsgi import hooks

SETTINGS = "certfile, keyfile, certificates, ca_certs, cert_reqs, ciphers, ssl_version, alpn_protocols"
VERSIONS = {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3",
            ssl.TLSVersion.MAXIMUM_SUPPORTED: "TLSv1.3"}


class Context:
    """What ssl.SSLContext has for servers, as far as the settings of TLS can express it."""

    protocol = ssl.PROTOCOL_TLS_SERVER

    def __init__(self, cfg):
        self.__dict__.update(
            settings={}, certificates=1 if cfg.certfile else 0, replaced=False, check_hostname=False,
            options=ssl.OP_ALL | ssl.OP_NO_SSLv3, verify_flags=ssl.VERIFY_DEFAULT, sni_callback=None,
            minimum_version=ssl.TLSVersion.TLSv1_2, maximum_version=ssl.TLSVersion.MAXIMUM_SUPPORTED,
            verify_mode=ssl.CERT_NONE, post_handshake_auth=False)

    def __setattr__(self, name, value):
        setter = getattr(type(self), "set_" + name, None)
        if name not in self.__dict__:
            raise AttributeError(f"{name} is not available: use the settings {SETTINGS}")
        if setter:
            setter(self, value)
        self.__dict__[name] = value

    # Assignments

    def set_minimum_version(self, version):
        self.settings["ssl_version"] = VERSIONS.get(version, "TLSv1.2")  # older ones are never accepted

    def set_maximum_version(self, version):
        if VERSIONS.get(version) != "TLSv1.3":
            raise ValueError("maximum_version: TLS 1.3 cannot be switched off")

    def set_verify_mode(self, mode):
        self.settings["cert_reqs"] = str(int(mode))

    def set_check_hostname(self, value):
        if value:
            raise ValueError("check_hostname is for clients")

    def set_sni_callback(self, function):
        if function is not None:
            raise ValueError("sni_callback is not available: use the setting certificates, a directory from which the "
                             "name that the client asks for selects one")

    def set_options(self, options):
        if options & ssl.OP_NO_TLSv1_3:
            raise ValueError("options: TLS 1.3 cannot be switched off")
        if options & ssl.OP_NO_TLSv1_2:
            self.settings["ssl_version"] = "TLSv1.3"

    def set_post_handshake_auth(self, value):
        if value:
            raise ValueError("post_handshake_auth is not available")

    # Calls

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        if password is not None:
            raise ValueError("load_cert_chain: a key with a passphrase is not available: store it without one, readable "
                             "by root only")
        if self.replaced:
            raise ValueError("load_cert_chain was called twice: use the setting certificates, a directory, for more than "
                             "one certificate")
        self.__dict__["replaced"] = True
        self.settings["certfile"], self.settings["keyfile"] = str(certfile), str(keyfile or "")

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None or capath is not None or cadata is not None:
            raise ValueError("load_verify_locations: only cafile is available: put all authorities into one file")
        self.settings["ca_certs"] = str(cafile)

    def load_default_certs(self, purpose=ssl.Purpose.SERVER_AUTH):
        self.load_verify_locations(ssl.get_default_verify_paths().cafile)

    def set_default_verify_paths(self):
        self.load_default_certs()

    def set_ciphers(self, ciphers):
        self.settings["ciphers"] = ciphers

    def set_alpn_protocols(self, protocols):
        self.settings["alpn_protocols"] = ",".join(protocols)

    def set_servername_callback(self, function):
        self.sni_callback = function

    def set_ecdh_curve(self, name):
        """OpenSSL offers its own list of groups, best first."""

    def __getattr__(self, name):
        raise AttributeError(f"ssl_context: {name} is not available: use the settings {SETTINGS}")


def assignments(cfg, seconds):
    """The settings (name, text) that the hook has chosen; none without a certificate in the settings, as with gunicorn."""
    setting = cfg.settings["ssl_context"]
    if setting.get() is setting.default or not cfg.is_ssl:
        return []
    context = hooks.Limit("ssl_context", seconds).call(setting.get(), cfg, lambda: Context(cfg))
    if isinstance(context, ssl.SSLContext):
        raise TypeError("ssl_context returns an ssl.SSLContext: change the object that default_ssl_context_factory() "
                        f"returns, or use the settings {SETTINGS}")
    if not isinstance(context, Context):
        raise TypeError(f"ssl_context returns {context!r}, and not what default_ssl_context_factory() returns")
    return list(context.settings.items())

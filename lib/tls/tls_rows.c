/* The rows of the settings of TLS. Names are gunicorn's where it has them. */
#include "tls/tls_rows.h"

#include <stddef.h>

#define RELOADABLE PREFORK_OPTION_RELOADABLE
#define MAY_BE_EMPTY PREFORK_OPTION_MAY_BE_EMPTY
#define ROW(row_name, row_type, member_name) \
	.struct_size = sizeof(struct prefork_option), .name = row_name, \
	PREFORK_OPTION_IN(row_type, struct pfi_tls_settings, member_name), .section = "TLS"

static const struct prefork_option rows[] = {
	{ ROW("certfile", STRING, certfile), .unit = "FILE", .traits = RELOADABLE | MAY_BE_EMPTY,
	  .doc = "Serve TLS on all addresses of bind, with the certificate in this file: PEM, the certificate of the server first, "
	         "then those of its issuers. Changed files are in force for new connections after a reload, and by themselves "
	         "within a second." },
	{ ROW("keyfile", STRING, keyfile), .unit = "FILE", .traits = RELOADABLE | MAY_BE_EMPTY,
	  .doc = "The private key of certfile, PEM without a passphrase. Only the arbiter must be able to read it. Empty: "
	         "it is in certfile, too." },
	{ ROW("certificates", STRING, certificates), .unit = "DIRECTORY", .traits = RELOADABLE | MAY_BE_EMPTY,
	  .doc = "More certificates, of which the client's server name (SNI) selects one: NAME.crt with NAME.key, NAME.pem with both, "
	         "or directories with tls.crt and tls.key, or with fullchain.pem and privkey.pem. The names are those in "
	         "the certificates. For another name, certfile is used, or, without certfile, the first one." },
	{ ROW("ca_certs", STRING, ca_certs), .unit = "FILE", .traits = RELOADABLE | MAY_BE_EMPTY,
	  .doc = "Certificates (PEM) of the authorities that clients' certificates are verified with." },
	{ ROW("cert_reqs", CHOICE, cert_reqs), .choices = "0|1|2|none|optional|required", .default_text = "none",
	  .traits = RELOADABLE,
	  .doc = "Whether clients are asked for a certificate: none (0); optional (1), one that is sent must be valid; or required "
	         "(2)." },
	{ ROW("ciphers", STRING, ciphers), .unit = "LIST", .traits = RELOADABLE | MAY_BE_EMPTY,
	  .doc = "Ciphers, best first, with colons between them, as openssl-ciphers(1) has them. Names that begin with TLS_ are those "
	         "of TLS 1.3. Empty: forward secrecy and authenticated encryption only." },
	{ ROW("ssl_version", CHOICE, ssl_version), .choices = "TLSv1.2|TLSv1.3", .default_text = "TLSv1.2",
	  .traits = RELOADABLE, .doc = "The lowest version of TLS that is accepted." },
	{ ROW("ocsp_file", STRING, ocsp_file), .unit = "FILE", .traits = RELOADABLE | MAY_BE_EMPTY,
	  .doc = "A response of OCSP (DER) for certfile, which is sent to clients that ask for it (stapling). In the directory of "
	         "certificates: NAME.ocsp, or ocsp.der in a directory." },
	{ ROW("alpn_protocols", LIST, alpn_protocols), .max = 16, .unit = "PROTOCOL", .default_text = "http/1.1",
	  .traits = RELOADABLE | PREFORK_OPTION_COMMAS | MAY_BE_EMPTY,
	  .doc = "The application protocols that are agreed on in the handshake (ALPN), best first. A client that offers only others "
	         "is refused. Empty: no ALPN." },
	{ ROW("ktls", BOOL, ktls), .traits = RELOADABLE,
	  .doc = "Let the kernel encrypt what is sent (Linux, module tls), so that files go by sendfile(2). Without that module, "
	         "or with a cipher that the kernel does not have, OpenSSL encrypts as usual. A client that asks for new keys "
	         "(KeyUpdate of TLS 1.3) loses its connection." },
	{ ROW("suppress_ragged_eofs", BOOL, suppress_ragged_eofs), .traits = RELOADABLE,
	  .doc = "Take the end of a connection without close_notify for a regular end of file. Otherwise it is an error of the "
	         "connection, since anyone in between could have cut it." },
	{ ROW("do_handshake_on_connect", BOOL, do_handshake_on_connect), .traits = RELOADABLE,
	  .doc = "No effect: the handshake is always the first thing on a connection, and never blocks a worker." },
};

const struct prefork_module pfi_tls_module = {
	.struct_size = sizeof pfi_tls_module,
	.name = "tls",
	.options = rows,
	.option_count = sizeof rows / sizeof rows[0],
	.values_size = sizeof(struct pfi_tls_settings),
};

int pfi_tls_rows_add(struct prefork_settings *settings)
{
	return prefork_settings_add_module(settings, &pfi_tls_module);
}

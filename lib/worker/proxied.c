/* The public functions that read the PROXY header of a connection. */
#include <prefork/proxy.h>

#include "base/required.h"
#include "worker/connection.h"
#include "worker/proxy_stage.h"

#include <errno.h>

/* The bits of the protocol are those of enum prefork_proxy_ssl. */
enum {
	CLIENT_BITS = PREFORK_PROXY_CLIENT_SSL | PREFORK_PROXY_CLIENT_CERT | PREFORK_PROXY_CLIENT_CERT_SESSION,
	PARSED_BITS = PFI_PROXY_SSL | PFI_PROXY_SSL_CERT_CONN | PFI_PROXY_SSL_CERT_SESSION,
};
_Static_assert((unsigned)CLIENT_BITS == (unsigned)PARSED_BITS, "the bits are those of the protocol");

unsigned prefork_connection_proxy_version(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, 0);
	return connection->proxy ? connection->proxy->header.version : 0;
}

bool prefork_connection_proxy_is_local(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);
	return connection->proxy && connection->proxy->header.source.size == 0;
}

const char *prefork_connection_socket_peer(struct prefork_connection *connection, unsigned *ret_port)
{
	PFI_RETURN_IF_NULL(connection, NULL);

	struct pfi_proxy *const proxy = connection->proxy;

	if (!proxy)
		return prefork_connection_peer(connection, ret_port);
	proxy->socket_port = pfi_peer_format(&proxy->socket_peer, proxy->socket_text);
	if (ret_port)
		*ret_port = proxy->socket_port;
	return proxy->socket_text;
}

const char *prefork_connection_proxy_destination(struct prefork_connection *connection, unsigned *ret_port)
{
	PFI_RETURN_IF_NULL(connection, NULL);

	const struct pfi_proxy *const proxy = connection->proxy;
	const bool is_known = proxy && proxy->header.source.size > 0;

	if (ret_port)
		*ret_port = is_known ? proxy->destination_port : 0;
	return is_known ? proxy->destination : NULL;
}

unsigned prefork_connection_proxy_ssl(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, 0);

	const struct pfi_proxy *const proxy = connection->proxy;

	if (!proxy || !proxy->header.has_ssl || !(proxy->header.ssl.client & PFI_PROXY_SSL))
		return 0;
	return (proxy->header.ssl.client & CLIENT_BITS) |
	       (pfi_proxy_ssl_verified(&proxy->header) ? PREFORK_PROXY_CLIENT_VERIFIED : 0);
}

/* A value inside the SSL TLV. */
static struct pfi_proxy_value ssl_value(const struct pfi_proxy_ssl *ssl, unsigned type)
{
	switch (type) {
	case PREFORK_PROXY_SSL_VERSION:
		return ssl->version;
	case PREFORK_PROXY_SSL_CN:
		return ssl->cn;
	case PREFORK_PROXY_SSL_CIPHER:
		return ssl->cipher;
	case PREFORK_PROXY_SSL_SIG_ALG:
		return ssl->sig_alg;
	case PREFORK_PROXY_SSL_KEY_ALG:
		return ssl->key_alg;
	case PREFORK_PROXY_SSL_GROUP:
		return ssl->group;
	case PREFORK_PROXY_SSL_SIG_SCHEME:
		return ssl->sig_scheme;
	case PREFORK_PROXY_SSL_CLIENT_CERT:
		return ssl->certificate;
	default:
		return (struct pfi_proxy_value){ 0 };
	}
}

static struct pfi_proxy_value find(const struct pfi_proxy *proxy, unsigned type)
{
	struct pfi_proxy_value value;
	uint16_t at = 0;
	uint8_t found;

	if (type >= PREFORK_PROXY_SSL_VERSION && type < PREFORK_PROXY_NETNS)
		return proxy->header.has_ssl ? ssl_value(&proxy->header.ssl, type) : (struct pfi_proxy_value){ 0 };
	while (pfi_proxy_tlv_next(&proxy->header, proxy->bytes, &at, &found, &value))
		if (found == type)
			return value;
	return (struct pfi_proxy_value){ 0 };
}

const void *prefork_connection_proxy_tlv(const struct prefork_connection *connection, unsigned type, size_t *ret_size)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	PFI_RETURN_IF_NULL(ret_size, NULL);

	const struct pfi_proxy *const proxy = connection->proxy;
	const struct pfi_proxy_value value = proxy ? find(proxy, type) : (struct pfi_proxy_value){ 0 };

	*ret_size = value.length;
	return value.at > 0 ? proxy->bytes + value.at : NULL;
}

/*
 * prefork/proxy.h -- what the PROXY header of a connection says (setting proxy_protocol).
 *
 * A proxy that forwards connections (HAProxy, nginx, AWS NLB) sends the header before the first byte of its client. The
 * library reads it before TLS and before the service: in the first callback of a connection it is complete, and it does
 * not change. prefork_connection_peer() returns the address of the client that it names.
 *
 * The texts and bytes belong to the connection, and are valid until it is closed. Threads: as for service.h.
 */
#ifndef PREFORK_PROXY_H
#define PREFORK_PROXY_H

#include <prefork/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_connection;

/* Types for prefork_connection_proxy_tlv(), sections 2.2.1 to 2.2.8 of
 * https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt. Texts have no NUL at the end. */
enum prefork_proxy_type {
	PREFORK_PROXY_ALPN = 0x01,          /* protocol that the client negotiated by TLS: "http/1.1"        */
	PREFORK_PROXY_AUTHORITY = 0x02,     /* host name that the client asked for by TLS (SNI), UTF-8       */
	PREFORK_PROXY_UNIQUE_ID = 0x05,     /* of the connection, at most 128 bytes of any value             */
	PREFORK_PROXY_SSL = 0x20,           /* see prefork_connection_proxy_ssl()                            */
	PREFORK_PROXY_SSL_VERSION = 0x21,   /* "TLSv1.3"                                                     */
	PREFORK_PROXY_SSL_CN = 0x22,        /* common name in the certificate of the client, UTF-8           */
	PREFORK_PROXY_SSL_CIPHER = 0x23,    /* "ECDHE-RSA-AES128-GCM-SHA256"                                 */
	PREFORK_PROXY_SSL_SIG_ALG = 0x24,   /* of the certificate of the proxy: "SHA256"                     */
	PREFORK_PROXY_SSL_KEY_ALG = 0x25,   /* of the certificate of the proxy: "RSA2048"                    */
	PREFORK_PROXY_SSL_GROUP = 0x26,     /* of the key exchange: "secp256r1"                              */
	PREFORK_PROXY_SSL_SIG_SCHEME = 0x27, /* "rsa_pss_rsae_sha256"                                        */
	PREFORK_PROXY_SSL_CLIENT_CERT = 0x28, /* certificate of the client, DER                              */
	PREFORK_PROXY_NETNS = 0x30,         /* network namespace of the proxy                                */
	PREFORK_PROXY_AWS = 0xea,           /* subtype 1 in the first byte: id of the VPC endpoint           */
};

/* Bits of prefork_connection_proxy_ssl(). */
enum prefork_proxy_ssl {
	PREFORK_PROXY_CLIENT_SSL = 1u << 0,      /* the client uses TLS towards the proxy                    */
	PREFORK_PROXY_CLIENT_CERT = 1u << 1,     /* the client has sent a certificate on this connection,    */
	PREFORK_PROXY_CLIENT_CERT_SESSION = 1u << 2, /* or earlier in the TLS session that it resumed        */
	PREFORK_PROXY_CLIENT_VERIFIED = 1u << 3, /* there is such a certificate, and the proxy verified it   */
};

/** The version of the header: 1, 2, or 0 if the connection began without one because the setting
 *  proxy_protocol is off. Since 0.1. */
PREFORK_API unsigned prefork_connection_proxy_version(const struct prefork_connection *connection);

/** Whether the header names no client: version 2 LOCAL, a health check of the proxy itself; version 1
 *  UNKNOWN or version 2 UNSPEC, a client whose address has no place in the header, for example on a
 *  unix socket of the proxy. prefork_connection_peer() is then the proxy. False without a header.
 *  Since 0.1. */
PREFORK_API bool prefork_connection_proxy_is_local(const struct prefork_connection *connection);

/** The address of the other end of the socket, in the form of prefork_connection_peer(). Behind a
 *  proxy it is the proxy, otherwise it is the client. `ret_port` may be NULL. Since 0.1. */
PREFORK_API const char *prefork_connection_socket_peer(struct prefork_connection *connection, unsigned *ret_port);

/** The address that the client of the proxy connected to, in the form of prefork_connection_peer().
 *  NULL, with *ret_port 0: there is no header, or it names no client. `ret_port` may be NULL. Since
 *  0.1. */
PREFORK_API const char *prefork_connection_proxy_destination(struct prefork_connection *connection,
                                                             unsigned *ret_port);

/** What the proxy says about TLS between it and its client: bits of enum prefork_proxy_ssl; 0: the
 *  client does not use TLS, or the header does not say so. Since 0.1. */
PREFORK_API unsigned prefork_connection_proxy_ssl(const struct prefork_connection *connection);

/** The value of the first TLV of `type` (enum prefork_proxy_type, or any other up to 0xff), and its
 *  size. Types 0x21 to 0x28 are those inside PREFORK_PROXY_SSL. NULL, with *ret_size 0: there is
 *  none. Since 0.1. */
PREFORK_API const void *prefork_connection_proxy_tlv(const struct prefork_connection *connection, unsigned type,
                                                     size_t *ret_size);

#ifdef __cplusplus
}
#endif

#endif

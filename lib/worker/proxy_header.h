/*
 * proxy_header -- the PROXY protocol, versions 1 and 2: the header that a proxy sends on a
 * connection before the first byte of its client. "Section" means the sections of
 * https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt.
 *
 * Pure: it reads the caller's buffer, keeps offsets into it, and makes no system call. The buffer
 * begins with the first byte of the connection; it may move between two calls.
 *
 * The bytes after the header belong to another layer: TLS, HTTP, any service. So the parser
 * returns how many bytes to read next, and never more than the shortest valid header still lacks
 * that begins with the bytes read so far. A caller that reads pfi_proxy_header_wanted() bytes leaves
 * everything after the header in the socket and needs no MSG_PEEK, which in a level-triggered
 * epoll(7) set returns the same event without end while half a header is unread:
 *
 *	pfi_proxy_header_start(&header, PFI_PROXY_AUTO);
 *	do {
 *		n += read(fd, buffer + n, pfi_proxy_header_wanted(&header));
 *		verdict = pfi_proxy_header_feed(&header, buffer, n);
 *	} while (verdict == PFI_MORE);
 *
 * Version 2 takes three reads: 8 bytes, 8 bytes, the rest. A version 1 line does not begin with its length:
 * usually 6 to 8 reads, at most 50.
 *
 * Whether the peer may send a header at all is not decided here (sections 2 and 5: trusted proxies
 * only). With the protocol configured, a connection without a header is BAD, never guessed.
 */
#ifndef PFI_WORKER_PROXY_HEADER_H
#define PFI_WORKER_PROXY_HEADER_H

#include "base/parser.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Versions that are accepted. */
enum {
	PFI_PROXY_V1 = 1,
	PFI_PROXY_V2 = 2,
	PFI_PROXY_AUTO = PFI_PROXY_V1 | PFI_PROXY_V2,
};

/* Bytes of a header. The length field of version 2 allows 65551, to be buffered for every
 * connection that is accepted. 4096 is nginx's bound (NGX_PROXY_PROTOCOL_MAX_HEADER). The largest
 * address block has 216 bytes and the text TLVs of HAProxy together less than 1 KiB, so a DER client
 * certificate of 2.5 KiB fits. A larger header is BAD. */
enum { PFI_PROXY_HEADER_MAX = 4096, PFI_PROXY_LINE_MAX = 107, PFI_PROXY_UNIQUE_ID_MAX = 128 };

union pfi_proxy_socket {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

struct pfi_proxy_address {
	union pfi_proxy_socket socket;
	socklen_t size; /* 0: no address */
};

/* A value inside the header. `at` counts from the first byte of the header; 0: there is none. */
struct pfi_proxy_value {
	uint16_t at;
	uint16_t length;
};

/* Bits of pfi_proxy_ssl.client (section 2.2.6). */
enum {
	PFI_PROXY_SSL = 0x01,              /* the client used TLS towards the proxy         */
	PFI_PROXY_SSL_CERT_CONN = 0x02,    /* it sent a certificate on this connection      */
	PFI_PROXY_SSL_CERT_SESSION = 0x04, /* ... or at least once in the resumed session   */
};

struct pfi_proxy_ssl {
	uint8_t client;
	uint32_t verify; /* see pfi_proxy_ssl_verified() */
	struct pfi_proxy_value version;     /* ASCII: "TLSv1.3"             */
	struct pfi_proxy_value cn;          /* UTF-8, of the client certificate */
	struct pfi_proxy_value cipher;      /* ASCII, like the next four    */
	struct pfi_proxy_value sig_alg;     /* of the proxy's certificate   */
	struct pfi_proxy_value key_alg;
	struct pfi_proxy_value group;
	struct pfi_proxy_value sig_scheme;
	struct pfi_proxy_value certificate; /* DER, of the client           */
};

struct pfi_proxy_header {
	uint8_t versions; /* accepted: PFI_PROXY_V1, PFI_PROXY_V2, PFI_PROXY_AUTO */
	uint8_t version;  /* 1 or 2; 0: not yet known                             */
	uint8_t verdict;  /* enum pfi_verdict                                     */
	/* LOCAL (section 2.2): the proxy itself opened the connection, for a health check, or the
	 * address family of its client has no place in the header (HAProxy behind a unix socket).
	 * A request may follow, or nothing. */
	bool local;
	bool datagram; /* the client used UDP towards the proxy: HTTP/3 */
	bool has_ssl;
	bool has_checksum; /* CRC32C was sent; it is right, or the header would be BAD */
	uint16_t length;   /* of the header; known at DONE             */
	uint16_t wanted;   /* bytes to read next                       */

	/* Of the client, and the address that it connected to. Both or neither are there. Neither
	 * (LOCAL, UNKNOWN, UNSPEC): use those of the connection. */
	struct pfi_proxy_address source;
	struct pfi_proxy_address destination;

	struct pfi_proxy_value tlvs;      /* all of them: see pfi_proxy_tlv_next() */
	struct pfi_proxy_value alpn;      /* printable ASCII                       */
	struct pfi_proxy_value authority; /* the host name that the client asked for (SNI), UTF-8 */
	struct pfi_proxy_value unique_id; /* opaque, at most 128 bytes             */
	struct pfi_proxy_value netns;     /* printable ASCII                       */
	struct pfi_proxy_ssl ssl;         /* if has_ssl                            */

	const char *problem; /* at BAD: static text, begins with a small letter */
};

/* Prepares for the first byte of a connection. */
void pfi_proxy_header_start(struct pfi_proxy_header *header, unsigned versions);

/* Continues. `bytes` are the `length` bytes received so far, from the first one. More bytes than
 * wanted do no harm: at DONE, `header->length` says where the header ends. */
enum pfi_verdict pfi_proxy_header_feed(struct pfi_proxy_header *header, const char *bytes, size_t length);

/* How many bytes to read next: at least 1 after start and at MORE; 0 at DONE and BAD. */
static inline size_t pfi_proxy_header_wanted(const struct pfi_proxy_header *header)
{
	return header->wanted;
}

/* Whether the client sent a certificate and the proxy verified it. `verify` alone is not
 * enough: HAProxy sends 0 (success) also if there was no certificate to verify. */
static inline bool pfi_proxy_ssl_verified(const struct pfi_proxy_header *header)
{
	return header->has_ssl && (header->ssl.client & PFI_PROXY_SSL) != 0 &&
	       (header->ssl.client & (PFI_PROXY_SSL_CERT_CONN | PFI_PROXY_SSL_CERT_SESSION)) != 0 &&
	       header->ssl.verify == 0;
}

/* Iterates over the TLVs of a header that is DONE, for types that have no member above (0xE0 to 0xEF
 * are the application's, 0xEA is the VPC endpoint id of AWS). `*at` is 0 at the start; false: no
 * more. */
bool pfi_proxy_tlv_next(const struct pfi_proxy_header *header, const char *bytes, uint16_t *at,
                        uint8_t *ret_type, struct pfi_proxy_value *ret_value);

#endif

/*
 * uwsgi_packet -- a request in the uwsgi protocol, as nginx (uwsgi_pass) sends it
 * (https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html):
 *
 *	modifier1 u8 = 0 | size u16 | modifier2 u8 = 0 | variables, `size` bytes | body
 *	each variable:  length u16 | name | length u16 | value
 *
 * Numbers are little endian. The variables are those of CGI (RFC 3875), for example REQUEST_METHOD, and
 * the header fields of the client as HTTP_*. The body has CONTENT_LENGTH bytes: the proxy has decoded
 * chunks. The response is HTTP.
 *
 * Pure: it reads the caller's buffer, keeps offsets into it and copies nothing. It never requests bytes
 * after the packet, so the body stays in the socket. Method, target and header fields have the rules,
 * limits and statuses of head and framing: an application gets nothing over uwsgi that it could not get
 * over HTTP.
 *
 * The peer sets the address and the scheme of the client (REMOTE_ADDR, HTTPS). The caller decides whether
 * to trust the peer.
 */
#ifndef HTTP_UWSGI_PACKET_H
#define HTTP_UWSGI_PACKET_H

#include "http/limits.h"
#include "http/verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* id, name, its rule (uwsgi_packet.c). */
#define PFI_UWSGI_VARIABLES(X)                          \
	X(REQUEST_METHOD, "REQUEST_METHOD", METHOD)     \
	X(REQUEST_URI, "REQUEST_URI", URI)              \
	X(QUERY_STRING, "QUERY_STRING", QUERY)          \
	X(CONTENT_LENGTH, "CONTENT_LENGTH", LENGTH)     \
	X(CONTENT_TYPE, "CONTENT_TYPE", VALUE)          \
	X(PATH_INFO, "PATH_INFO", PATH)                 \
	X(SCRIPT_NAME, "SCRIPT_NAME", PATH)             \
	X(SERVER_PROTOCOL, "SERVER_PROTOCOL", PROTOCOL) \
	X(SERVER_NAME, "SERVER_NAME", VALUE)            \
	X(SERVER_PORT, "SERVER_PORT", PORT)             \
	X(REMOTE_ADDR, "REMOTE_ADDR", ADDRESS)          \
	X(REMOTE_PORT, "REMOTE_PORT", PORT)             \
	X(REMOTE_USER, "REMOTE_USER", VALUE)            \
	X(REQUEST_SCHEME, "REQUEST_SCHEME", SCHEME)     \
	X(HTTPS, "HTTPS", VALUE)

#define PFI_ENUM_UWSGI(id, name, rule) PFI_UWSGI_##id,
enum pfi_uwsgi_id {
	PFI_UWSGI_OTHER, /* the proxy's configuration names it */
	PFI_UWSGI_FIELD, /* HTTP_*: a header field of the client */
	PFI_UWSGI_VARIABLES(PFI_ENUM_UWSGI)
	PFI_UWSGI_COUNT
};
#undef PFI_ENUM_UWSGI

/* Variables in a packet, as many as gunicorn reads. Of these limits->fields_max may be HTTP_*. */
enum { PFI_UWSGI_VARIABLES_MAX = 1000 };

struct pfi_uwsgi_variable {
	struct pfi_span name; /* HTTP_* with its prefix */
	struct pfi_span value;
	uint8_t id;    /* enum pfi_uwsgi_id */
	uint8_t field; /* FIELD: enum pfi_field_id */
};

struct pfi_uwsgi_packet {
	const struct pfi_limits *limits;      /* borrowed */
	struct pfi_uwsgi_variable *variables; /* borrowed: space for PFI_UWSGI_VARIABLES_MAX */
	uint32_t variables_count;
	uint32_t fields_count; /* of them HTTP_* */
	uint32_t length;       /* of the packet, known at DONE; the body follows */
	uint32_t wanted;       /* bytes to read next */
	uint64_t body_length;  /* CONTENT_LENGTH; 0 if it is empty or absent */
	bool has_body_length;
	uint8_t verdict;                       /* enum pfi_verdict */
	uint64_t seen_fields;                  /* a bit per enum pfi_field_id */
	uint16_t known[PFI_UWSGI_COUNT];       /* index + 1 into variables; 0: absent */
	struct pfi_http_error http_error;            /* at BAD */
};

/* *Borrows* both. */
void pfi_uwsgi_packet_start(struct pfi_uwsgi_packet *packet, struct pfi_uwsgi_variable *variables,
                            const struct pfi_limits *limits);

/* Continues. `bytes` are the `length` bytes received so far, from the first byte of the packet; the
 * buffer may move between two calls. */
enum pfi_verdict pfi_uwsgi_packet_feed(struct pfi_uwsgi_packet *packet, const char *bytes, size_t length);

/* How many bytes to read next: at least 1 after start and at MORE; 0 at DONE and BAD. */
static inline size_t pfi_uwsgi_packet_wanted(const struct pfi_uwsgi_packet *packet)
{
	return packet->wanted;
}

/* A variable by its id, above FIELD; NULL: absent. */
static inline const struct pfi_uwsgi_variable *
pfi_uwsgi_variable(const struct pfi_uwsgi_packet *packet, enum pfi_uwsgi_id id)
{
	return packet->known[id] != 0 ? &packet->variables[packet->known[id] - 1] : NULL;
}

#endif

/*
 * uwsgi_head -- the request in a uwsgi packet, as the head that the proxy has received over HTTP/1.
 *
 * So the request is parsed by the same rules (head, framing), and an application sees no difference. What concerns the
 * connection between the proxy and its client is left out: hop-by-hop fields, Expect, and framing other than
 * CONTENT_LENGTH. Proxy is left out, too: as HTTP_PROXY it would be the proxy of programs that a CGI starts (httpoxy,
 * CVE-2016-5385). Pure.
 */
#ifndef HTTP_UWSGI_HEAD_H
#define HTTP_UWSGI_HEAD_H

#include "http/response_head.h"
#include "http/uwsgi_packet.h"

enum { PFI_UWSGI_ADDRESS_SIZE = 46 };

/* What the proxy reports about its client. */
struct pfi_uwsgi_client {
	bool is_known;  /* REMOTE_ADDR is there */
	bool is_secure; /* HTTPS or REQUEST_SCHEME: the client uses TLS */
	unsigned port;
	char address[PFI_UWSGI_ADDRESS_SIZE]; /* "": a unix socket */
};

/* Write the head of a packet that is DONE. It is at most as long as the packet. */
void pfi_uwsgi_head_write(const struct pfi_uwsgi_packet *packet, const char *bytes, struct pfi_out *out);

/* Whether the proxy has rewritten the request, so that PATH_INFO or QUERY_STRING differs from REQUEST_URI. */
bool pfi_uwsgi_is_rewritten(const struct pfi_uwsgi_packet *packet, const char *bytes);

/* Write PATH_INFO in the form of a request target, or "/" if it is empty: up to three times as long. */
void pfi_uwsgi_path_write(const struct pfi_uwsgi_packet *packet, const char *bytes, struct pfi_out *out);

struct pfi_uwsgi_client pfi_uwsgi_client_read(const struct pfi_uwsgi_packet *packet, const char *bytes);

#endif

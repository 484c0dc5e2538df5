/*
 * address -- where to listen, from text and back.
 *
 *   HOST:PORT  HOST  :PORT  *:PORT  [IPV6]:PORT  tcp://...
 *   unix:PATH  unix://PATH  unix:@NAME (abstract)
 *   fd://NUMBER
 *
 * Parsing makes no system call and asks no name server. Resolving may block: the arbiter does it at the start; for a
 * reload, a child does (arbiter/lookups.c).
 */
#ifndef LISTENER_ADDRESS_H
#define LISTENER_ADDRESS_H

#include "listener/lookup.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PFI_DEFAULT_PORT = 8000, PFI_HOST_MAX = 253, PFI_ADDRESS_TEXT_MAX = 512 };

enum pfi_address_kind {
	PFI_ADDRESS_TCP,
	PFI_ADDRESS_UNIX, /* a path, or an abstract name */
	PFI_ADDRESS_FD,
};

struct pfi_address {
	enum pfi_address_kind kind;
	int fd;                           /* FD */
	char host[PFI_HOST_MAX + 1];      /* TCP: as written, without brackets; "": any IPv4 address */
	uint16_t port;                    /* TCP */
	struct sockaddr_storage socket;   /* UNIX; TCP: once resolved */
	socklen_t socket_size;            /* 0: not yet resolved */
};

/* 0, or -EINVAL with an error message that says what is wrong with `text`. */
int pfi_address_parse(const char *text, struct pfi_address *ret);

/* The same for the address of another program: without a default for host and port, fd:// and relative paths. */
int pfi_address_parse_peer(const char *text, struct pfi_address *ret);

/* Whether its host is a name that is not resolved yet. */
bool pfi_address_needs_lookup(const struct pfi_address *address);

/* Fill in `socket` of a TCP address: at once for a number, by pfi_lookup_host() for a name, which may take seconds. 0,
 * -EINVAL (no such name), -EAGAIN (no name server responded). */
int pfi_address_resolve(struct pfi_address *address);

/* The same from the result of an earlier lookup. */
int pfi_address_apply(struct pfi_address *address, const struct pfi_lookup_result *result);

/* The canonical form: "127.0.0.1:80", "[::1]:80", "unix:/run/a", "unix:@name".
 * Unprintable bytes are escaped, and the text is cut to `text_size`. */
void pfi_address_format(const struct sockaddr_storage *socket, socklen_t size, char *text, size_t text_size);

/* Whether two sockets would have the same address; port 0 matches nothing. */
bool pfi_address_equal(const struct sockaddr_storage *a, socklen_t a_size,
                       const struct sockaddr_storage *b, socklen_t b_size);

#endif

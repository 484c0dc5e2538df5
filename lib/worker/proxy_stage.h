/*
 * proxy_stage -- reads the PROXY header of a new connection, as its first stage, and keeps it with the connection.
 */
#ifndef WORKER_PROXY_STAGE_H
#define WORKER_PROXY_STAGE_H

#include "worker/peer.h"
#include "worker/proxy_header.h"

struct prefork_worker;

/* The header of a connection, while it is received and afterwards. */
struct pfi_proxy {
	struct pfi_proxy_header header;
	union pfi_peer_address socket_peer; /* of accept4(2): the proxy */
	unsigned socket_port;
	unsigned destination_port;
	char socket_text[INET6_ADDRSTRLEN];
	char destination[INET6_ADDRSTRLEN]; /* "" and port 0: not in the header */
	size_t size;                        /* bytes received */
	size_t capacity;
	char bytes[]; /* the header, from its first byte */
};

/* If the setting proxy_protocol is not off, each connection of the worker begins with this stage. Before pfi_stage_add()
 * of TLS. 0, or a negative errno with an error message. */
int pfi_proxy_stage_open(struct prefork_worker *worker);
void pfi_proxy_stage_close(struct prefork_worker *worker);

#endif

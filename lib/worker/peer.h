/*
 * peer -- the address of the other end of a connection.
 */
#ifndef WORKER_PEER_H
#define WORKER_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* What accept4(2) stores. Without sockaddr_un: the address of a unix client is not used. */
union pfi_peer_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The address as text, "" for a unix socket, and the port or 0. An IPv4 client of a dual-stack listener has its IPv4
 * address. */
unsigned pfi_peer_format(const union pfi_peer_address *address, char text[INET6_ADDRSTRLEN]);

/* The address as in base/networks.h. False: it is a unix socket. */
bool pfi_peer_bytes(const union pfi_peer_address *address, uint8_t bytes[16]);

#endif

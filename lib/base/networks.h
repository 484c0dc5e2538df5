/*
 * base/networks.h -- lists of networks, for settings that name trusted peers (forwarded_allow_ips, proxy_allow_ips).
 *
 * An IPv4 address is an IPv6 address here: ::ffff:192.0.2.1. Zero is the empty list. Pure.
 */
#ifndef PFI_BASE_NETWORKS_H
#define PFI_BASE_NETWORKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PFI_ADDRESS_SIZE = 16 };

/* An IPv4 network such as 10.0.0.0/8 is ::ffff:10.0.0.0/104. */
struct pfi_network {
	uint8_t bytes[PFI_ADDRESS_SIZE];
	uint8_t bits;
};

struct pfi_networks {
	struct pfi_network *list; /* own */
	size_t count;
	bool all;  /* "*"    */
	bool unix_sockets; /* "unix" */
};

/* Add "10.0.0.1", "10.0.0.0/8", "fd00::/8", "*", or "unix": peers on unix sockets. -EINVAL with an error message that
 * begins with the name of the setting, or -ENOMEM. */
int pfi_networks_add(struct pfi_networks *networks, const char *setting, const char *text);

/* Whether the address is in a network of the list, or the list has "*". */
bool pfi_networks_have(const struct pfi_networks *networks, const uint8_t address[PFI_ADDRESS_SIZE]);

/* Whether the peer is on the list: an address as text, or "" for a peer on a unix socket. */
bool pfi_networks_have_peer(const struct pfi_networks *networks, const char *peer);

/* Make the list empty. */
void pfi_networks_clear(struct pfi_networks *networks);

#endif

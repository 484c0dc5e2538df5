/*
 * lookup -- host names, looked up by getaddrinfo(3): the only part of an address that may block.
 *
 * Uses libc alone, since the program of lookup_main.c consists of it, too. A result crosses a pipe, so its content is
 * input.
 */
#ifndef LISTENER_LOOKUP_H
#define LISTENER_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

enum { PFI_LOOKUP_MAGIC = 0x31464c50, PFI_LOOKUP_BYTES = 16 };

struct pfi_lookup_result {
	uint32_t magic;                  /* of this layout                                              */
	int32_t error;                   /* EAI_..., as getaddrinfo(3); 0: the other members have values */
	uint32_t family;                 /* AF_INET or AF_INET6                                         */
	uint32_t scope;                  /* of a link-local address                                     */
	uint8_t bytes[PFI_LOOKUP_BYTES]; /* the address, in network order                               */
};

/* Look up `host`; of several addresses the first IPv4 address is taken. May take seconds, and must not run in a child
 * that was forked with other threads running: getaddrinfo(3) takes locks. */
void pfi_lookup_host(const char *host, struct pfi_lookup_result *ret);

/* Look up each host and write the results to `fd`, in the same order. 0 or a negative errno. */
int pfi_lookup_all(const char *const *hosts, size_t count, int fd);

#endif

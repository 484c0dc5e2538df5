/*
 * lookup -- host names, asked of the system: the one thing about addresses that may block.
 *
 * Uses libc alone, since the program of lookup_main.c is made of it, too. An answer crosses
 * a pipe, so what it holds is input.
 */
#ifndef LISTENER_LOOKUP_H
#define LISTENER_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

enum { PFI_LOOKUP_MAGIC = 0x31464c50, PFI_LOOKUP_BYTES = 16 };

struct pfi_lookup_answer {
	uint32_t magic;                  /* of this layout                                         */
	int32_t error;                   /* EAI_..., as getaddrinfo(3); 0: the rest has a meaning */
	uint32_t family;                 /* AF_INET or AF_INET6                                    */
	uint32_t scope;                  /* of a link-local address                                */
	uint8_t bytes[PFI_LOOKUP_BYTES]; /* the address, in network order                          */
};

/* Look `host` up; of several addresses the first IPv4 one is taken. May take seconds, and must
 * not run in a child that was forked beside other threads: getaddrinfo(3) takes locks. */
void pfi_lookup_host(const char *host, struct pfi_lookup_answer *ret);

/* Look each up and write the answers to `fd`, in their order. 0 or a negative errno. */
int pfi_lookup_all(const char *const *hosts, size_t count, int fd);

#endif

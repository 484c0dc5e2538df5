/*
 * proxy_internal -- what the files of the PROXY protocol parser share.
 */
#ifndef PFI_WORKER_PROXY_INTERNAL_H
#define PFI_WORKER_PROXY_INTERNAL_H

#include "worker/proxy_header.h"

/* Sets the problem; returns BAD. */
static inline enum pfi_verdict pfi_proxy_refuse(struct pfi_proxy_header *header, const char *problem)
{
	header->problem = problem;
	return PFI_BAD;
}

/* Version 1: the line, from its first byte. MORE sets `wanted`, DONE sets `length`. */
enum pfi_verdict pfi_proxy_line_read(struct pfi_proxy_header *header, const char *bytes, size_t length);

/* Version 2: the TLVs of a complete header, from `at` to header->length. DONE or BAD. */
enum pfi_verdict pfi_proxy_tlvs_read(struct pfi_proxy_header *header, const char *bytes, uint16_t at);

#endif

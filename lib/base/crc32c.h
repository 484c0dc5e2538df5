/*
 * base/crc32c.h -- CRC-32C (Castagnoli), as in RFC 9260 appendix A and the PROXY protocol. Threads: any.
 */
#ifndef PFI_BASE_CRC32C_H
#define PFI_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `length` bytes that follow bytes with the checksum `crc` (0: none):
 * crc32c(crc32c(0, a), b) is the checksum of a followed by b. */
uint32_t pfi_crc32c(uint32_t crc, const void *bytes, size_t length);

#endif

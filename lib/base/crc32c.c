/* Computes CRC-32C with a table of 16 entries, four bits at a time. */
#include "base/crc32c.h"

/* The bit-reversed polynomial 0x1EDC6F41, for four bits at a time. A table of 256 entries is twice as fast but occupies
 * 16 cache lines instead of one; a connection has a checksum over at most a few hundred bytes. */
static const uint32_t table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t pfi_crc32c(uint32_t crc, const void *bytes, size_t length)
{
	const uint8_t *const in = bytes;

	crc = ~crc;
	for (size_t i = 0; i < length; i++) {
		crc ^= in[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

/* The parser of the PROXY protocol: detects the version, and reads version 2. */
#include "worker/proxy_header.h"

#include "worker/proxy_internal.h"

#include <string.h>

/* Section 2.2: not the start of a request of HTTP, SMTP or TLS. */
static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* The first 8 bytes distinguish the versions, and are part of every valid header of both. */
enum { DETECT_LENGTH = 8, FIXED_LENGTH = 16 };

void pfi_proxy_header_start(struct pfi_proxy_header *header, unsigned versions)
{
	*header = (struct pfi_proxy_header){ .versions = (uint8_t)versions, .wanted = DETECT_LENGTH };
}

/* Version 2, byte 13: address family and transport protocol. */
struct block {
	uint16_t size; /* of both addresses */
	uint8_t family;
	bool datagram;
	bool valid;
};

static const struct block blocks[256] = {
	[0x00] = { 0, AF_UNSPEC, false, true },  [0x11] = { 12, AF_INET, false, true },
	[0x12] = { 12, AF_INET, true, true },    [0x21] = { 36, AF_INET6, false, true },
	[0x22] = { 36, AF_INET6, true, true },   [0x31] = { 216, AF_UNIX, false, true },
	[0x32] = { 216, AF_UNIX, true, true },
};

static void set_inet(struct pfi_proxy_address *address, const char *ip, const char *port)
{
	address->socket.in = (struct sockaddr_in){ .sin_family = AF_INET };
	memcpy(&address->socket.in.sin_addr, ip, 4);
	memcpy(&address->socket.in.sin_port, port, 2);
	address->size = sizeof address->socket.in;
}

static void set_inet6(struct pfi_proxy_address *address, const char *ip, const char *port)
{
	address->socket.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	memcpy(&address->socket.in6.sin6_addr, ip, 16);
	memcpy(&address->socket.in6.sin6_port, port, 2);
	address->size = sizeof address->socket.in6;
}

/* The field of 108 bytes has no length: a path ends at its first NUL, an abstract name (its first
 * byte is NUL, unix(7)) at the last byte that is not NUL. A socket without a name is all NUL. */
static void set_unix(struct pfi_proxy_address *address, const char *path)
{
	const size_t size = sizeof address->socket.un.sun_path;
	size_t length = path[0] != '\0' ? strnlen(path, size) : size;

	while (length > 0 && path[length - 1] == '\0')
		length--;
	address->socket.un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->socket.un.sun_path, path, length);
	/* The kernel counts the NUL after a path, if there is space for it. */
	if (length > 0 && path[0] != '\0' && length < size)
		length++;
	address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void set_addresses(struct pfi_proxy_header *header, const char *block, uint8_t family)
{
	switch (family) {
	case AF_INET:
		set_inet(&header->source, block, block + 8);
		set_inet(&header->destination, block + 4, block + 10);
		break;
	case AF_INET6:
		set_inet6(&header->source, block, block + 32);
		set_inet6(&header->destination, block + 16, block + 34);
		break;
	case AF_UNIX:
		set_unix(&header->source, block);
		set_unix(&header->destination, block + 108);
		break;
	default: /* UNSPEC: the addresses are those of the connection */
		break;
	}
}

/* Reads the first 16 bytes; sets `length` and `local`. */
static enum pfi_verdict read_fixed(struct pfi_proxy_header *header, const char *bytes)
{
	const uint8_t version = (uint8_t)bytes[12] >> 4, command = (uint8_t)bytes[12] & 15;
	const struct block *const block = &blocks[(uint8_t)bytes[13]];
	const unsigned length = (unsigned)(uint8_t)bytes[14] << 8 | (uint8_t)bytes[15];

	if (version != 2)
		return pfi_proxy_refuse(header, "the version in the binary header is not 2");
	if (command > 1)
		return pfi_proxy_refuse(header, "the command is neither LOCAL nor PROXY");
	header->local = command == 0;
	if (!header->local && !block->valid)
		return pfi_proxy_refuse(header, "the address family or transport is unknown");
	if (!header->local && length < block->size)
		return pfi_proxy_refuse(header, "the header is shorter than its addresses");
	if (length > PFI_PROXY_HEADER_MAX - FIXED_LENGTH)
		return pfi_proxy_refuse(header, "the header is longer than 4096 bytes");
	header->length = (uint16_t)(FIXED_LENGTH + length);
	return PFI_DONE;
}

static enum pfi_verdict read_binary(struct pfi_proxy_header *header, const char *bytes, size_t length)
{
	if (memcmp(bytes, signature, length < sizeof signature ? length : sizeof signature) != 0)
		return pfi_proxy_refuse(header, "the signature of version 2 is wrong");
	if (length < FIXED_LENGTH) {
		header->wanted = (uint16_t)(FIXED_LENGTH - length);
		return PFI_MORE;
	}
	if (read_fixed(header, bytes) == PFI_BAD)
		return PFI_BAD;
	if (length < header->length) {
		header->wanted = (uint16_t)(header->length - length);
		return PFI_MORE;
	}
	/* LOCAL: "discard the protocol block including the family which is ignored". Without the
	 * family, the offset of the TLVs is unknown. */
	if (header->local)
		return PFI_DONE;
	const struct block *const block = &blocks[(uint8_t)bytes[13]];

	header->datagram = block->datagram;
	set_addresses(header, bytes + FIXED_LENGTH, block->family);
	return pfi_proxy_tlvs_read(header, bytes, (uint16_t)(FIXED_LENGTH + block->size));
}

/* "PROXY" and a space, or the signature: the first byte decides. */
static enum pfi_verdict detect(struct pfi_proxy_header *header, char first)
{
	if (first != 'P' && first != signature[0])
		return pfi_proxy_refuse(header, "the connection does not begin with a PROXY header");
	header->version = first == 'P' ? 1 : 2;
	if ((header->versions & (first == 'P' ? PFI_PROXY_V1 : PFI_PROXY_V2)) == 0)
		return pfi_proxy_refuse(header, first == 'P' ? "version 1 is not accepted" :
		                                               "version 2 is not accepted");
	return PFI_DONE;
}

static enum pfi_verdict read_header(struct pfi_proxy_header *header, const char *bytes, size_t length)
{
	if (length == 0)
		return PFI_MORE;
	if (detect(header, bytes[0]) == PFI_BAD)
		return PFI_BAD;
	const enum pfi_verdict verdict = header->version == 1 ?
	                                         pfi_proxy_line_read(header, bytes, length) :
	                                         read_binary(header, bytes, length);

	if (verdict == PFI_MORE && length < DETECT_LENGTH)
		header->wanted = (uint16_t)(DETECT_LENGTH - length);
	return verdict;
}

/* A header is short, and arrives in one to seven pieces: each call reads it from its first byte,
 * which costs less than the states of a parser that continues in the middle. A binary header is
 * only read when it is complete. */
enum pfi_verdict pfi_proxy_header_feed(struct pfi_proxy_header *header, const char *bytes, size_t length)
{
	if (header->verdict != PFI_MORE)
		return (enum pfi_verdict)header->verdict;
	const enum pfi_verdict verdict = read_header(header, bytes, length);

	header->verdict = (uint8_t)verdict;
	if (verdict != PFI_MORE)
		header->wanted = 0;
	return verdict;
}

/* Sections 2.2.1 to 2.2.8: the TLVs (type, length, value) of a version 2 header. */
#include "worker/proxy_internal.h"

#include "base/crc32c.h"
#include "base/text.h"

#include <stddef.h>
#include <string.h>

enum {
	TYPE_ALPN = 0x01,
	TYPE_AUTHORITY = 0x02,
	TYPE_CRC32C = 0x03,
	TYPE_UNIQUE_ID = 0x05,
	TYPE_SSL = 0x20,
	TYPE_NETNS = 0x30,

	TLV_START = 3,    /* type and length                 */
	SSL_START = 5,    /* client and verify               */
	AUTHORITY_MAX = 255, /* HAProxy's bound; a DNS name has at most 253 bytes */
};

/* Values reach logs and the environment of applications, so text is checked here. */
enum content {
	CONTENT_OPAQUE,
	CONTENT_ASCII, /* printable                       */
	CONTENT_UTF8,  /* without control characters      */
};

/* A type whose value is kept. NOOP, and types that are not listed, are skipped. */
struct rule {
	uint8_t type;
	uint8_t content; /* enum content */
	uint16_t min; /* length of the value */
	uint16_t max;
	uint16_t offset; /* of its struct pfi_proxy_value */
	const char *problem;
};

#define AT(member) offsetof(struct pfi_proxy_header, member)

static const struct rule header_rules[] = {
	{ TYPE_ALPN, CONTENT_ASCII, 1, 255, AT(alpn), "the ALPN is not 1 to 255 printable bytes" },
	{ TYPE_AUTHORITY, CONTENT_UTF8, 1, AUTHORITY_MAX, AT(authority),
	  "the authority is not 1 to 255 bytes of UTF-8 text" },
	{ TYPE_UNIQUE_ID, CONTENT_OPAQUE, 0, PFI_PROXY_UNIQUE_ID_MAX, AT(unique_id),
	  "the unique id has more than 128 bytes" },
	{ TYPE_NETNS, CONTENT_ASCII, 1, 255, AT(netns),
	  "the network namespace is not 1 to 255 printable bytes" },
	{ .type = 0 },
};

#define SSL_TEXT(type, member, name) \
	{ type, CONTENT_ASCII, 1, 255, AT(ssl.member), "the TLS " name " is not 1 to 255 printable bytes" }

static const struct rule ssl_rules[] = {
	SSL_TEXT(0x21, version, "version"),
	/* A NUL in a name splits it for programs that read it as a C string (CVE-2009-2408). */
	{ 0x22, CONTENT_UTF8, 0, 1024, AT(ssl.cn), "the common name is not UTF-8 text" },
	SSL_TEXT(0x23, cipher, "cipher"),
	SSL_TEXT(0x24, sig_alg, "signature algorithm"),
	SSL_TEXT(0x25, key_alg, "key algorithm"),
	SSL_TEXT(0x26, group, "group"),
	SSL_TEXT(0x27, sig_scheme, "signature scheme"),
	{ 0x28, CONTENT_OPAQUE, 1, PFI_PROXY_HEADER_MAX, AT(ssl.certificate),
	  "the client certificate is empty" },
	{ .type = 0 },
};

static bool is_text(const char *bytes, size_t length, enum content content)
{
	for (size_t i = 0; i < length;) {
		const unsigned char c = (unsigned char)bytes[i];
		const size_t n = content == CONTENT_UTF8 ? pfi_utf8_length(bytes + i, length - i) : c < 0x80;

		if (n == 0 || c < 0x20 || c == 0x7f)
			return false;
		i += n;
	}
	return true;
}

static enum pfi_verdict keep(struct pfi_proxy_header *header, const struct rule *rule, const char *bytes,
                             struct pfi_proxy_value value)
{
	struct pfi_proxy_value *const kept = (void *)((char *)header + rule->offset);

	if (kept->at != 0)
		return pfi_proxy_refuse(header, "a TLV is there twice");
	if (value.length < rule->min || value.length > rule->max ||
	    (rule->content != CONTENT_OPAQUE &&
	     !is_text(bytes + value.at, value.length, (enum content)rule->content)))
		return pfi_proxy_refuse(header, rule->problem);
	*kept = value;
	return PFI_DONE;
}

/* Reads the TLV at `*at` and advances `*at`. DONE, BAD if it crosses `end`, MORE at the end. */
static enum pfi_verdict next(const char *bytes, uint16_t end, uint16_t *at, uint8_t *ret_type,
                             struct pfi_proxy_value *ret_value)
{
	const unsigned left = (unsigned)(end - *at);

	if (left == 0)
		return PFI_MORE;
	if (left < TLV_START)
		return PFI_BAD;
	const uint8_t *const tlv = (const uint8_t *)bytes + *at;
	const unsigned length = (unsigned)tlv[1] << 8 | tlv[2];

	if (length > left - TLV_START)
		return PFI_BAD;
	*ret_type = tlv[0];
	*ret_value = (struct pfi_proxy_value){ (uint16_t)(*at + TLV_START), (uint16_t)length };
	*at = (uint16_t)(*at + TLV_START + length);
	return PFI_DONE;
}

static uint32_t read_u32(const char *bytes)
{
	const uint8_t *const b = (const uint8_t *)bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The CRC32C of the whole header, with zeros in the four bytes of the checksum (section 2.2.3). */
static enum pfi_verdict check_sum(struct pfi_proxy_header *header, const char *bytes,
                                  struct pfi_proxy_value value)
{
	static const char zeros[4] = { 0, 0, 0, 0 };
	uint32_t crc = 0;

	if (header->has_checksum)
		return pfi_proxy_refuse(header, "a TLV is there twice");
	if (value.length != sizeof zeros)
		return pfi_proxy_refuse(header, "the checksum has not 4 bytes");
	const size_t after = value.at + sizeof zeros;

	crc = pfi_crc32c(crc, bytes, value.at);
	crc = pfi_crc32c(crc, zeros, sizeof zeros);
	crc = pfi_crc32c(crc, bytes + after, header->length - after);
	if (crc != read_u32(bytes + value.at))
		return pfi_proxy_refuse(header, "the checksum is wrong");
	header->has_checksum = true;
	return PFI_DONE;
}

static enum pfi_verdict apply(struct pfi_proxy_header *header, const struct rule *rules, uint8_t type,
                              const char *bytes, struct pfi_proxy_value value)
{
	for (; rules->type != 0; rules++)
		if (rules->type == type)
			return keep(header, rules, bytes, value);
	return PFI_DONE;
}

/* One level of nesting, without recursion: a parser that called itself for SSL inside SSL overflowed
 * its stack (CVE-2022-41881, netty). */
static enum pfi_verdict read_ssl(struct pfi_proxy_header *header, const char *bytes,
                                 struct pfi_proxy_value value)
{
	const uint16_t end = (uint16_t)(value.at + value.length);
	uint16_t at = (uint16_t)(value.at + SSL_START);
	enum pfi_verdict verdict;
	uint8_t type;

	if (header->has_ssl)
		return pfi_proxy_refuse(header, "a TLV is there twice");
	if (value.length < SSL_START)
		return pfi_proxy_refuse(header, "the SSL TLV has less than 5 bytes");
	header->has_ssl = true;
	header->ssl.client = (uint8_t)bytes[value.at];
	header->ssl.verify = read_u32(bytes + value.at + 1);
	while ((verdict = next(bytes, end, &at, &type, &value)) == PFI_DONE) {
		if (type == TYPE_SSL)
			return pfi_proxy_refuse(header, "an SSL TLV is inside another one");
		if (apply(header, ssl_rules, type, bytes, value) == PFI_BAD)
			return PFI_BAD;
	}
	return verdict == PFI_MORE ? PFI_DONE :
	                             pfi_proxy_refuse(header, "a TLV does not end inside the SSL TLV");
}

static enum pfi_verdict read_one(struct pfi_proxy_header *header, const char *bytes, uint8_t type,
                                 struct pfi_proxy_value value)
{
	switch (type) {
	case TYPE_CRC32C:
		return check_sum(header, bytes, value);
	case TYPE_SSL:
		return read_ssl(header, bytes, value);
	default:
		return apply(header, header_rules, type, bytes, value);
	}
}

enum pfi_verdict pfi_proxy_tlvs_read(struct pfi_proxy_header *header, const char *bytes, uint16_t at)
{
	struct pfi_proxy_value value;
	enum pfi_verdict verdict;
	uint8_t type;

	header->tlvs = (struct pfi_proxy_value){ at, (uint16_t)(header->length - at) };
	while ((verdict = next(bytes, header->length, &at, &type, &value)) == PFI_DONE)
		if (read_one(header, bytes, type, value) == PFI_BAD)
			return PFI_BAD;
	/* HAProxy before 2.2 read TLVs beyond the header, out of the client's first bytes. */
	return verdict == PFI_MORE ? PFI_DONE :
	                             pfi_proxy_refuse(header, "a TLV does not end inside the header");
}

bool pfi_proxy_tlv_next(const struct pfi_proxy_header *header, const char *bytes, uint16_t *at,
                        uint8_t *ret_type, struct pfi_proxy_value *ret_value)
{
	if (*at == 0)
		*at = header->tlvs.at;
	return next(bytes, (uint16_t)(header->tlvs.at + header->tlvs.length), at, ret_type, ret_value) ==
	       PFI_DONE;
}

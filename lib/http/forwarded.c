/* Compares the peer with the trusted networks, and reads the scheme that a trusted proxy reports. */
#include "http/forwarded.h"

#include <prefork/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_address(const char *text, uint8_t bytes[16], bool *ret_is_ipv4)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	*ret_is_ipv4 = inet_pton(AF_INET, text, bytes + 12) == 1;
	if (*ret_is_ipv4) {
		memcpy(bytes, mapped, sizeof mapped);
		return true;
	}
	return inet_pton(AF_INET6, text, bytes) == 1;
}

static int refuse(const char *text, const char *why)
{
	return prefork_fail(-EINVAL, "forwarded_allow_ips: \"%s\" %s", text, why);
}

/* "/24" after an address, or nothing. */
static bool read_bits(const char *slash, unsigned most, unsigned *ret)
{
	char *end;

	*ret = most;
	if (slash == NULL)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	const unsigned long bits = strtoul(slash + 1, &end, 10);
	*ret = (unsigned)bits;
	return *end == '\0' && bits <= most;
}

/* Bits after the network prefix must be 0: otherwise the prefix length or the address is a mistake. */
static bool is_network(const struct pfi_network *network)
{
	for (unsigned bit = network->bits; bit < 128; bit++) {
		if (network->bytes[bit / 8] & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

int pfi_forwarded_add_peer(struct pfi_forwarded *forwarded, const char *text)
{
	const char *const slash = strchr(text, '/');
	const size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct pfi_network network;
	char address[64];
	bool is_ipv4;
	unsigned bits;

	if (strcmp(text, "*") == 0) {
		forwarded->all_peers = true;
		return 0;
	}
	if (length >= sizeof address)
		return refuse(text, "is not an address");
	memcpy(address, text, length);
	address[length] = '\0';
	if (!read_address(address, network.bytes, &is_ipv4))
		return refuse(text, "is not an IPv4 or IPv6 address, a network such as 10.0.0.0/8, or *");
	if (!read_bits(slash, is_ipv4 ? 32 : 128, &bits))
		return refuse(text, is_ipv4 ? "has no prefix length from 0 to 32 after the slash"
		                            : "has no prefix length from 0 to 128 after the slash");
	network.bits = (uint8_t)(is_ipv4 ? 96 + bits : bits);
	if (!is_network(&network))
		return refuse(text, "has bits set after the network prefix");

	struct pfi_network *const more = realloc(forwarded->networks, (forwarded->network_count + 1) * sizeof *more);
	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for forwarded_allow_ips");
	forwarded->networks = more;
	more[forwarded->network_count++] = network;
	return 0;
}

int pfi_forwarded_add_field(struct pfi_forwarded *forwarded, const char *text)
{
	const char *const equals = strchr(text, '=');

	if (equals == NULL || !pfi_token_valid(text, (size_t)(equals - text)) || equals[1] == '\0')
		return prefork_fail(-EINVAL, "secure_scheme_headers: \"%s\" is not NAME=VALUE", text);
	if (forwarded->field_count == PFI_FORWARDED_FIELDS_MAX)
		return prefork_fail(-EINVAL, "secure_scheme_headers: more than %d headers", PFI_FORWARDED_FIELDS_MAX);

	struct pfi_secure_field *const field = &forwarded->fields[forwarded->field_count++];
	*field = (struct pfi_secure_field){
		.name = text, .name_length = (size_t)(equals - text),
		.value = equals + 1, .value_length = strlen(equals + 1),
		.id = pfi_field_find(text, (size_t)(equals - text)),
	};
	if (field->id == PFI_FIELD_OTHER)
		forwarded->has_others = true;
	else
		forwarded->known |= PFI_FIELD_BIT(field->id);
	return 0;
}

static bool is_in(const struct pfi_network *network, const uint8_t bytes[16])
{
	const unsigned whole = network->bits / 8, rest = network->bits % 8;

	if (memcmp(network->bytes, bytes, whole) != 0)
		return false;
	return rest == 0 || ((network->bytes[whole] ^ bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool pfi_forwarded_is_trusted(const struct pfi_forwarded *forwarded, const char *peer)
{
	uint8_t bytes[16];
	bool is_ipv4;

	if (forwarded->all_peers || *peer == '\0')
		return true;
	if (!read_address(peer, bytes, &is_ipv4))
		return false;
	for (size_t i = 0; i < forwarded->network_count; i++) {
		if (is_in(&forwarded->networks[i], bytes))
			return true;
	}
	return false;
}

/* Case-insensitive. pfi_text_is() needs one side in lower case; here neither is. */
static bool is_name(const char *a, const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const char x = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] | 0x20) : a[i];
		const char y = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] | 0x20) : b[i];

		if (x != y)
			return false;
	}
	return true;
}

static const struct pfi_secure_field *find(const struct pfi_forwarded *forwarded, const struct pfi_field *field,
                                           const char *bytes)
{
	for (size_t i = 0; i < forwarded->field_count; i++) {
		const struct pfi_secure_field *const one = &forwarded->fields[i];

		if (one->id == field->id && one->name_length == field->name.length &&
		    is_name(one->name, bytes + field->name.at, field->name.length))
			return one;
	}
	return NULL;
}

enum pfi_scheme pfi_forwarded_scheme(const struct pfi_forwarded *forwarded, const struct pfi_head *head, const char *bytes)
{
	enum pfi_scheme scheme = PFI_SCHEME_PLAIN;
	bool found = false;

	for (uint32_t i = 0; i < head->fields_count; i++) {
		const struct pfi_field *const field = &head->fields[i];
		const struct pfi_secure_field *const one = find(forwarded, field, bytes);

		if (one == NULL)
			continue;
		const bool secure = field->value.length == one->value_length &&
		                    memcmp(bytes + field->value.at, one->value, one->value_length) == 0;
		const enum pfi_scheme reported = secure ? PFI_SCHEME_SECURE : PFI_SCHEME_PLAIN;
		if (found && reported != scheme)
			return PFI_SCHEME_CONTRADICTORY;
		scheme = reported;
		found = true;
	}
	return scheme;
}

void pfi_forwarded_clear(struct pfi_forwarded *forwarded)
{
	free(forwarded->networks);
	*forwarded = (struct pfi_forwarded){ 0 };
}

/* Reads lists of networks, and finds addresses in them. */
#include "base/networks.h"

#include <prefork/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_address(const char *text, uint8_t bytes[PFI_ADDRESS_SIZE], bool *ret_is_ipv4)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	*ret_is_ipv4 = inet_pton(AF_INET, text, bytes + 12) == 1;
	if (*ret_is_ipv4) {
		memcpy(bytes, mapped, sizeof mapped);
		return true;
	}
	return inet_pton(AF_INET6, text, bytes) == 1;
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
	for (unsigned bit = network->bits; bit < 8 * PFI_ADDRESS_SIZE; bit++) {
		if (network->bytes[bit / 8] & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

/* Returns NULL, or what is wrong with the text. */
static const char *read_network(const char *text, struct pfi_network *ret)
{
	const char *const slash = strchr(text, '/');
	const size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char address[64];
	bool is_ipv4;
	unsigned bits;

	if (length >= sizeof address)
		return "is not an address";
	memcpy(address, text, length);
	address[length] = '\0';
	if (!read_address(address, ret->bytes, &is_ipv4))
		return "is not an IPv4 or IPv6 address, a network such as 10.0.0.0/8, or *";
	if (!read_bits(slash, is_ipv4 ? 32 : 128, &bits))
		return is_ipv4 ? "has no prefix length from 0 to 32 after the slash"
		               : "has no prefix length from 0 to 128 after the slash";
	ret->bits = (uint8_t)(is_ipv4 ? 96 + bits : bits);
	return is_network(ret) ? NULL : "has bits set after the network prefix";
}

int pfi_networks_add(struct pfi_networks *networks, const char *setting, const char *text)
{
	struct pfi_network network = { 0 };

	if (strcmp(text, "*") == 0) {
		networks->all = true;
		return 0;
	}
	if (strcmp(text, "unix") == 0) {
		networks->unix_sockets = true;
		return 0;
	}
	const char *const problem = read_network(text, &network);
	if (problem != NULL)
		return prefork_fail(-EINVAL, "%s: \"%s\" %s", setting, text, problem);

	struct pfi_network *const more = realloc(networks->list, (networks->count + 1) * sizeof *more);
	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for %s", setting);
	networks->list = more;
	more[networks->count++] = network;
	return 0;
}

static bool is_in(const struct pfi_network *network, const uint8_t address[PFI_ADDRESS_SIZE])
{
	const unsigned whole = network->bits / 8, rest = network->bits % 8;

	if (memcmp(network->bytes, address, whole) != 0)
		return false;
	return rest == 0 || ((network->bytes[whole] ^ address[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool pfi_networks_have(const struct pfi_networks *networks, const uint8_t address[PFI_ADDRESS_SIZE])
{
	for (size_t i = 0; i < networks->count; i++) {
		if (is_in(&networks->list[i], address))
			return true;
	}
	return networks->all;
}

bool pfi_networks_have_peer(const struct pfi_networks *networks, const char *peer)
{
	uint8_t address[PFI_ADDRESS_SIZE];
	bool is_ipv4;

	if (networks->all)
		return true;
	if (*peer == '\0')
		return networks->unix_sockets;
	return read_address(peer, address, &is_ipv4) && pfi_networks_have(networks, address);
}

void pfi_networks_clear(struct pfi_networks *networks)
{
	free(networks->list);
	*networks = (struct pfi_networks){ 0 };
}

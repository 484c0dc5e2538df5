/* Input: an address. It is refused with an error message, or its canonical form is parsed to the same address. */
#include "listener/address.h"

#include <prefork/error.h>

#include "fuzz.h"

static void read_back(const struct pfi_address *address)
{
	char text[PFI_ADDRESS_TEXT_MAX];
	struct pfi_address again;

	pfi_address_format(&address->socket, address->socket_size, text, sizeof text);
	if (strchr(text, '\\') || strncmp(text, "unix://", 7) == 0)
		return; /* escaped; or a path whose // would belong to the scheme */
	if (pfi_address_parse(text, &again) < 0)
		abort();
	if (again.socket_size != address->socket_size || again.port != address->port ||
	    memcmp(&again.socket, &address->socket, again.socket_size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct pfi_address address;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (pfi_address_parse(text, &address) < 0) {
		if (!*prefork_error())
			abort();
	} else if (address.socket_size > 0) {
		read_back(&address);
	}
	free(text);
	return 0;
}

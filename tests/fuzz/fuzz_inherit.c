/* Input: a line each for LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, PREFORK_FDS and SERVER_STARTER_PORT. The
 * result is a list of different descriptors from 3, each with a name. */
#include "listener/inherit.h"

#include "fuzz.h"

enum { SELF = 1234 };

static void check(struct pfi_inherited *inherited)
{
	if (inherited->count > PFI_INHERITED_MAX)
		abort();
	for (size_t i = 0; i < inherited->count; i++) {
		if (inherited->sockets[i].fd < 3 || !*inherited->sockets[i].name)
			abort();
		for (size_t j = 0; j < i; j++) {
			if (inherited->sockets[i].fd == inherited->sockets[j].fd)
				abort();
		}
	}
	for (size_t i = 0; i < inherited->count; i++) { /* descriptors of the fuzzer stay open */
		struct pfi_inherited_socket *const socket = &inherited->sockets[i];

		if (socket->file == socket->fd || socket->listening > socket->more_count + 1)
			abort();
		for (unsigned n = 0; n < socket->more_count; n++) {
			if (socket->more[n] < 3 || socket->more[n] == socket->fd)
				abort();
			socket->more[n] = -1;
		}
		socket->fd = socket->file = -1;
	}
	pfi_inherit_finish(inherited);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pfi_inherit_variables variables = { 0 };
	const char **const each[] = { &variables.listen_pid, &variables.listen_fds,
		                      &variables.listen_fdnames, &variables.prefork_fds,
		                      &variables.server_starter_port };
	struct pfi_inherited inherited = { 0 };
	char *text = malloc(size + 1);
	char *rest = text;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	for (size_t i = 0; i < sizeof each / sizeof each[0] && rest; i++)
		*each[i] = strsep(&rest, "\n");
	if (pfi_inherit_parse(&variables, SELF, &inherited) == 0)
		check(&inherited);
	else if (inherited.sockets)
		abort();
	free(text);
	return 0;
}

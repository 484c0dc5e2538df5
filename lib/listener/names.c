/* A list of host names and their looked-up addresses. */
#include "listener/names.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct pfi_lookup_result *pfi_names_find(const struct pfi_names *names, const char *host)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->list[i].host, host) == 0)
			return &names->list[i].result;
	}
	return NULL;
}

int pfi_names_add(struct pfi_names *names, const char *host, const struct pfi_lookup_result *result)
{
	if (pfi_names_find(names, host))
		return 0;
	struct pfi_name *const more = realloc(names->list, (names->count + 1) * sizeof *more);

	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for the address of a host name");
	names->list = more;
	more[names->count].result = *result;
	(void)snprintf(more[names->count++].host, sizeof more->host, "%s", host);
	return 0;
}

int pfi_names_set(struct pfi_names *names, const char *host, const struct pfi_lookup_result *result)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->list[i].host, host) == 0) {
			names->list[i].result = *result;
			return 0;
		}
	}
	return pfi_names_add(names, host, result);
}

int pfi_names_copy(struct pfi_names *names, const struct pfi_names *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++)
		r = pfi_names_add(names, from->list[i].host, &from->list[i].result);
	return r;
}

void pfi_names_finish(struct pfi_names *names)
{
	free(names->list);
	*names = (struct pfi_names){ 0 };
}

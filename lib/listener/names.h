/*
 * names -- host names whose addresses are known, so that they are not looked up again.
 */
#ifndef LISTENER_NAMES_H
#define LISTENER_NAMES_H

#include "listener/address.h"
#include "listener/lookup.h"

struct pfi_names {
	struct pfi_name {
		char host[PFI_HOST_MAX + 1];
		struct pfi_lookup_result result;
	} *list;
	size_t count;
};

/* The result for `host`, or NULL. Borrowed until the next call that changes `names`. */
const struct pfi_lookup_result *pfi_names_find(const struct pfi_names *names, const char *host);

/* Add a result without an error. 0 or -ENOMEM. */
int pfi_names_add(struct pfi_names *names, const char *host, const struct pfi_lookup_result *result);

/* Add a result, or replace the one that `host` has. 0 or -ENOMEM. */
int pfi_names_set(struct pfi_names *names, const char *host, const struct pfi_lookup_result *result);

/* Add all of `from`. 0 or -ENOMEM. */
int pfi_names_copy(struct pfi_names *names, const struct pfi_names *from);

void pfi_names_finish(struct pfi_names *names);

#endif

/*
 * explain -- why a listener could not be opened, and what its reader can do.
 */
#ifndef LISTENER_EXPLAIN_H
#define LISTENER_EXPLAIN_H

#include "listener/address.h"

#include <sys/types.h>

/* Records the error message for `error`, a negative errno of socket(2), bind(2) or listen(2), and
 * answers it. `text` is the address as the error message shows it. */
int pfi_explain_tcp(int error, const char *text, const struct pfi_address *address);

/* The same for unix sockets. */
int pfi_explain_unix(int error, const char *text);

/* There is a server at the address: `pid`, 0 when that is not known. -EADDRINUSE. */
int pfi_explain_taken(const char *text, pid_t pid);

#endif

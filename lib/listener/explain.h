/*
 * explain -- error messages for listeners that cannot be opened: the cause, and what the operator can do.
 */
#ifndef LISTENER_EXPLAIN_H
#define LISTENER_EXPLAIN_H

#include "listener/address.h"

#include <sys/types.h>

/* Record the error message for `error`, a negative errno of socket(2), bind(2) or listen(2), and return it. `text` is
 * the address as the error message shows it. */
int pfi_explain_tcp(int error, const char *text, const struct pfi_address *address);

/* The same for unix sockets. */
int pfi_explain_unix(int error, const char *text);

/* The process `pid` listens at the address; 0: it is not known which. Returns -EADDRINUSE. */
int pfi_explain_taken(const char *text, pid_t pid);

#endif

/*
 * echo -- a service that sends back its input and does nothing else.
 */
#ifndef TESTS_ECHO_H
#define TESTS_ECHO_H

#include <prefork/service.h>

#include <errno.h>

/* `ready` of the service. Runs in the worker. */
static inline enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	return prefork_connection_write(connection, bytes, (size_t)n);
}

#endif

/* An echo server: the smallest program that uses the library. */
#include <prefork/prefork.h>
#include <errno.h>
#include <stdio.h>

/* Called in a worker when the connection is readable; with sync and threads it may block. */
static enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker, (void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	return prefork_connection_write(connection, bytes, (size_t)n); /* buffers what the socket does not accept */
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = echo };

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	int r = prefork_settings_load(argc, argv, &settings); /* 1: done, for example --help */

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(arbiter, "echo", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter); /* ./echo --bind 127.0.0.1:7000 --workers 4 */
	if (r < 0)
		fprintf(stderr, "echo: %s\n", prefork_error()); /* error message of the last error in this thread */
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}

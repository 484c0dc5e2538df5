/*
 * embed_poll: the arbiter in a program with its own event loop, here poll(2).
 *
 * The program executes commands from its standard input, one per line. In the same thread it
 * supervises the workers of an echo server:
 *
 *   status      print the number of ready workers
 *   scale N     run exactly N workers
 *   reload      replace the workers
 *   stop        drain the workers, then exit
 *
 * It shows: prefork_arbiter_start() instead of prefork_arbiter_run(), the arbiter's descriptor in
 * the program's poll set, one call when it is readable, and hooks for events. The library handles
 * no signal of the program and reaps no child of the program.
 */
#include <prefork/prefork.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct application {
	int ready;
	bool reads_input; /* false after the end of standard input */
	size_t length;
	char line[256];
};

static enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	return prefork_connection_write(connection, bytes, (size_t)n);
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = echo };

static void print_number(const char *text, long number)
{
	printf("%s %ld\n", text, number);
	fflush(stdout);
}

/* Hooks run in this process, inside prefork_arbiter_dispatch(). */

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct application *const app = user;

	(void)arbiter;
	app->ready++;
	prefork_process_set_user(process, app); /* counted in `ready` until it exits */
	print_number("ready", prefork_process_pid(process));
}

static void on_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct application *const app = user;

	(void)arbiter;
	if (prefork_process_user(process))
		app->ready--;
	print_number("exited", prefork_process_pid(process));
}

static void on_reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter;
	(void)user;
	printf("reloaded %d %s\n", (int)verdict, why);
	fflush(stdout);
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks, .worker_ready = on_ready, .worker_exited = on_exited, .reload_end = on_reload_end,
};

static void execute(struct prefork_arbiter *arbiter, struct application *app, const char *line)
{
	if (strcmp(line, "status") == 0)
		print_number("workers", app->ready);
	else if (strncmp(line, "scale ", 6) == 0)
		(void)prefork_arbiter_request_scale(arbiter, 0, (unsigned)strtoul(line + 6, NULL, 10));
	else if (strcmp(line, "reload") == 0)
		prefork_arbiter_request_reload(arbiter);
	else if (strcmp(line, "stop") == 0)
		prefork_arbiter_request_stop(arbiter, true);
	else
		printf("unknown: %s\n", line), fflush(stdout);
}

/* The program's own work. Byte by byte is fast enough for a console. */
static void read_input(struct prefork_arbiter *arbiter, struct application *app)
{
	char byte;

	if (read(STDIN_FILENO, &byte, 1) != 1) {
		app->reads_input = false;
		prefork_arbiter_request_stop(arbiter, true);
	} else if (byte == '\n') {
		app->line[app->length] = 0;
		app->length = 0;
		execute(arbiter, app, app->line);
	} else if (app->length < sizeof app->line - 1) {
		app->line[app->length++] = byte;
	}
}

/* The program's event loop. */
static int loop(struct prefork_arbiter *arbiter, struct application *app)
{
	int r;

	while ((r = prefork_arbiter_dispatch(arbiter)) == 1) {
		struct pollfd wait[] = { { .fd = prefork_arbiter_fd(arbiter), .events = POLLIN },
			                 { .fd = app->reads_input ? STDIN_FILENO : -1, .events = POLLIN } };

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return prefork_fail(-errno, "poll: %s", strerror(errno));
		if (wait[1].revents)
			read_input(arbiter, app);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	struct application app = { .reads_input = true };
	int r = prefork_settings_load(argc, argv, &settings); /* 1: done, for example --help */

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(arbiter, "echo", &service, NULL)) == 0 &&
	    (r = prefork_arbiter_add_hooks(arbiter, &hooks, &app)) == 0 && (r = prefork_arbiter_start(arbiter)) == 0)
		r = loop(arbiter, &app);
	if (r < 0)
		fprintf(stderr, "embed_poll: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}

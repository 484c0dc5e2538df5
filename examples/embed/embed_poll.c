/*
 * embed_poll: the arbiter inside a program that has a loop of its own, here one of poll(2).
 *
 * The program reads commands from its standard input, a line each, and answers them; beside it,
 * and without a thread, an echo server runs and is supervised:
 *
 *   status      how many workers are ready
 *   scale N     exactly N workers
 *   reload      replace them one by one
 *   stop        finish what there is, then end
 *
 * What it shows: prefork_arbiter_start() in place of run(), one descriptor among the host's own, one call
 * when it is readable, hooks that tell the host what happens. The library takes no signal
 * and no child of the host's here.
 */
#include <prefork/prefork.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct host {
	int ready;
	bool listens; /* to its standard input */
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

static void say(const char *text, long number)
{
	printf("%s %ld\n", text, number);
	fflush(stdout);
}

/* Hooks run in this process, inside prefork_arbiter_dispatch(). */

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct host *const host = user;

	(void)arbiter;
	host->ready++;
	prefork_process_set_user(process, host); /* it counts, until it is gone */
	say("ready", prefork_process_pid(process));
}

static void on_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct host *const host = user;

	(void)arbiter;
	if (prefork_process_user(process))
		host->ready--;
	say("gone", prefork_process_pid(process));
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

static void obey(struct prefork_arbiter *arbiter, struct host *host, const char *line)
{
	if (strcmp(line, "status") == 0)
		say("workers", host->ready);
	else if (strncmp(line, "scale ", 6) == 0)
		(void)prefork_arbiter_request_scale(arbiter, 0, (unsigned)strtoul(line + 6, NULL, 10));
	else if (strcmp(line, "reload") == 0)
		prefork_arbiter_request_reload(arbiter);
	else if (strcmp(line, "stop") == 0)
		prefork_arbiter_request_stop(arbiter, true);
	else
		printf("unknown: %s\n", line), fflush(stdout);
}

/* The host's own work: a byte at a time will do for a console. */
static void read_input(struct prefork_arbiter *arbiter, struct host *host)
{
	char byte;

	if (read(STDIN_FILENO, &byte, 1) != 1) {
		host->listens = false;
		prefork_arbiter_request_stop(arbiter, true);
	} else if (byte == '\n') {
		host->line[host->length] = 0;
		host->length = 0;
		obey(arbiter, host, host->line);
	} else if (host->length < sizeof host->line - 1) {
		host->line[host->length++] = byte;
	}
}

/* The host's loop. */
static int loop(struct prefork_arbiter *arbiter, struct host *host)
{
	int r;

	while ((r = prefork_arbiter_dispatch(arbiter)) == 1) {
		struct pollfd wait[] = { { .fd = prefork_arbiter_fd(arbiter), .events = POLLIN },
			                 { .fd = host->listens ? STDIN_FILENO : -1, .events = POLLIN } };

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return prefork_fail(-errno, "poll: %s", strerror(errno));
		if (wait[1].revents)
			read_input(arbiter, host);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	struct host host = { .listens = true };
	int r = prefork_settings_load(argc, argv, &settings); /* 1: --help and the like were answered */

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_service(arbiter, "echo", &service, NULL)) == 0 &&
	    (r = prefork_arbiter_add_hooks(arbiter, &hooks, &host)) == 0 && (r = prefork_arbiter_start(arbiter)) == 0)
		r = loop(arbiter, &host);
	if (r < 0)
		fprintf(stderr, "embed_poll: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}

/* Starts this program anew in a child process: builds its environment, forks, closes descriptors, and executes. */
#include "os/reexec.h"

#include "base/number.h"
#include "os/control_channel.h"
#include "os/fdtable.h"
#include "os/start_record.h"
#include "os/starter.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOT_EXECUTED = 127, PID_DIGITS = 10 };

static const char pid_variable[] = PFI_REEXEC_PID_VARIABLE "=";

struct execution {
	const struct pfi_start_record *record;
	char **environment;
	char pid_text[sizeof pid_variable + PID_DIGITS];
	const struct pfi_reexec *order;
};

/* Without printf(3), which is not async-signal-safe. */
static void write_pid(struct execution *start)
{
	char *digit = start->pid_text + sizeof start->pid_text - 1;
	pid_t pid = getpid();

	*digit = '\0';
	for (int i = 0; i < PID_DIGITS; i++, pid /= 10)
		*--digit = (char)('0' + pid % 10);
	memcpy(start->pid_text, pid_variable, sizeof pid_variable - 1);
}

/* Runs in the child: async-signal-safe, since the parent may have other threads, except for what the hooks do. */
static int run(void *arg)
{
	struct execution *const start = arg;
	const struct pfi_reexec *const order = start->order;
	uint32_t value;

	order->prepare(order->arg);
	write_pid(start);
	if (order->mask >= 0)
		(void)umask((mode_t)order->mask);
	for (size_t i = 0; i < order->fd_count; i++)
		pfi_fdtable_keep(order->fds[i]);
	pfi_fdtable_close_rest(PFI_FD_NO_SLOT); /* logs stay until the exec */
	(void)pfi_fdtable_close_unlisted();      /* Linux before 5.9: those without close-on-exec stay open */
	if (chdir(start->record->directory) < 0) {
		value = (uint32_t)errno | PFI_REEXEC_NO_DIRECTORY;
	} else {
		for (size_t i = 0; i < order->fd_count; i++)
			(void)fcntl(order->fds[i], F_SETFD, 0);
		pfi_spawn_unblock();
		(void)execve(start->record->program, start->record->arguments, start->environment);
		value = (uint32_t)errno & PFI_REEXEC_ERRNO;
	}
	(void)pfi_channel_send(order->report, PFI_REEXEC_FAILED, value, NULL);
	return NOT_EXECUTED;
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	return n;
}

/* Environment of the start without what was for this process alone, then `variables`, then the pid. */
static int build_environment(struct execution *start, char *const *variables)
{
	char *const *const before = start->record->environment;
	size_t used = 0;

	start->environment = calloc(count(before) + count(variables) + 2, sizeof *start->environment);
	if (start->environment == NULL)
		return prefork_fail(-ENOMEM, "no memory for the environment of the new program");
	for (size_t i = 0; before[i] != NULL; i++) {
		if (!pfi_starter_is_own_variable(before[i]))
			start->environment[used++] = before[i];
	}
	for (size_t i = 0; variables[i] != NULL; i++)
		start->environment[used++] = variables[i];
	start->environment[used] = start->pid_text;
	return 0;
}

int pfi_reexec(const struct pfi_reexec *order, struct pfi_child *ret)
{
	struct execution start = { .record = pfi_start_record_get(), .order = order };
	int r;

	if (start.record == NULL)
		return prefork_fail(-ENOENT, "how this program was started is not known: /proc is needed");
	r = build_environment(&start, order->variables);
	if (r == 0)
		r = pfi_spawn(run, &start, ret);
	free(start.environment);
	return r;
}

void pfi_reexec_report(uint32_t type, const char *text)
{
	const char *const variable = getenv(PFI_REEXEC_CHANNEL_VARIABLE);
	int64_t fd;

	if (pfi_starter_is_upgrade() && variable != NULL && pfi_parse_whole(variable, &fd) == 0 && fd > STDERR_FILENO &&
	    fd <= INT_MAX)
		(void)pfi_channel_send((int)fd, type, 0, text); /* ENOTSOCK: the variable is wrong */
}

/* Collects the descriptors and variables for the new arbiter of an upgrade, and starts it. */
#include "arbiter/upgrade_spawn.h"

#include "arbiter/arbiter.h"
#include "listener/hand_over.h"
#include "listener/listener.h"
#include "os/control_channel.h"
#include "os/fd.h"
#include "os/reexec.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* For the new program. */
struct parcel {
	char *variables[6];
	int *fds;
	size_t fd_count;
};

static void parcel_free(struct parcel *parcel)
{
	for (size_t i = 0; i < sizeof parcel->variables / sizeof parcel->variables[0]; i++)
		free(parcel->variables[i]);
	free(parcel->fds);
}

/* A listener that refuses closes soon; standard descriptors are passed in any case. */
static bool is_handed_over(const struct prefork_listener *listener)
{
	return !listener->is_refusing && listener->fd > STDERR_FILENO;
}

static int add_fds(const struct prefork_arbiter *arbiter, struct parcel *parcel)
{
	size_t max = PFI_OLDER_MAX + PFI_KEPT_FDS_MAX + 1;

	for (size_t i = 0; i < arbiter->listeners.count; i++)
		max += pfi_hand_over_fds(arbiter->listeners.list[i]->listener, NULL, 0);
	parcel->fds = malloc(max * sizeof *parcel->fds);
	if (parcel->fds == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		const struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (is_handed_over(listener))
			parcel->fd_count += pfi_hand_over_fds(listener, parcel->fds + parcel->fd_count,
							      max - parcel->fd_count);
	}
	return 0;
}

static void write_listeners(const struct prefork_arbiter *arbiter, FILE *out)
{
	bool is_first = true;

	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		const struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (!is_handed_over(listener))
			continue;
		if (!is_first)
			(void)fputc(',', out);
		is_first = false;
		pfi_hand_over_write(listener, out);
	}
}

enum variable { SOCKETS, FROM, REPORT, OLDER, KEPT };

static int write_variable(const struct prefork_arbiter *arbiter, enum variable which, int report, struct parcel *parcel)
{
	size_t size;
	FILE *const out = open_memstream(&parcel->variables[which], &size);

	if (out == NULL)
		return -ENOMEM;
	if (which == SOCKETS) {
		(void)fputs("PREFORK_FDS=", out);
		write_listeners(arbiter, out);
	} else if (which == FROM) {
		(void)fprintf(out, "PREFORK_UPGRADE_FROM=%d", (int)getpid());
	} else if (which == REPORT) {
		(void)fprintf(out, PFI_REEXEC_CHANNEL_VARIABLE "=%d", report);
	} else if (which == OLDER) {
		(void)fputs("PREFORK_UPGRADE_OLDER=", out);
		parcel->fd_count += pfi_predecessor_write(arbiter, out, parcel->fds + parcel->fd_count);
	} else {
		(void)fputs("PREFORK_UPGRADE_KEPT=", out);
		parcel->fd_count += pfi_kept_fds_write(arbiter, out, parcel->fds + parcel->fd_count);
	}
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

static int fill(const struct prefork_arbiter *arbiter, int report, struct parcel *parcel)
{
	int r = add_fds(arbiter, parcel);

	for (int which = SOCKETS; r == 0 && which <= KEPT; which++)
		r = write_variable(arbiter, (enum variable)which, report, parcel);
	if (r < 0)
		return prefork_fail(r, "no memory for what the new program is to get");
	parcel->fds[parcel->fd_count++] = report;
	return 0;
}

/* Runs in the child. */
static void call_exec_hooks(const void *arg)
{
	struct prefork_arbiter *const arbiter = (struct prefork_arbiter *)(uintptr_t)arg;

	PFI_HOOKS(arbiter, upgrade_exec, arbiter);
}

static int execute(struct prefork_arbiter *arbiter, const struct parcel *parcel, int report, struct pfi_child *ret)
{
	const struct pfi_reexec order = {
		.variables = parcel->variables, .fds = parcel->fds, .fd_count = parcel->fd_count, .report = report,
		.mask = arbiter->umask_before, .prepare = call_exec_hooks, .arg = arbiter,
	};

	PFI_HOOKS(arbiter, upgrade_fork, arbiter);

	const int r = pfi_reexec(&order, ret);

	PFI_HOOKS(arbiter, upgrade_forked, arbiter, r < 0 ? r : (int)ret->pid);
	return r;
}

int pfi_upgrade_spawn(struct prefork_arbiter *arbiter, struct pfi_child *ret, int *ret_channel)
{
	struct parcel parcel = { 0 };
	int ends[2] = { -1, -1 };
	int r = pfi_channel_open(ends);

	if (r == 0)
		r = fill(arbiter, ends[1], &parcel);
	if (r == 0)
		r = execute(arbiter, &parcel, ends[1], ret);
	parcel_free(&parcel);
	pfi_close(&ends[1]);
	if (r < 0)
		pfi_close(&ends[0]);
	else
		*ret_channel = ends[0];
	return r;
}

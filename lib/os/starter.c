/* Removes variables from the environment that are meant for this process alone. */
#include "os/starter.h"

#include "os/slot_variable.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const socket_variables[] = { "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
					     "PREFORK_FDS", "SERVER_STARTER_PORT" };
static const char *const upgrade_variables[] = { "PREFORK_UPGRADE_PID", "PREFORK_UPGRADE_FROM", "PREFORK_UPGRADE_FD",
						 "PREFORK_UPGRADE_OLDER", "PREFORK_UPGRADE_KEPT" };
/* The worker that has started this program is one of another server (os/slot_variable.h). */
static const char *const worker_variables[] = { PFI_SLOT_VARIABLE };
static const char *const notify_variables[] = { "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE" };

enum {
	SOCKETS_COUNT = sizeof socket_variables / sizeof socket_variables[0],
	UPGRADE_COUNT = sizeof upgrade_variables / sizeof upgrade_variables[0],
	WORKER_COUNT = sizeof worker_variables / sizeof worker_variables[0],
	NOTIFY_COUNT = sizeof notify_variables / sizeof notify_variables[0]
};

void pfi_starter_forget_upgrade(void)
{
	for (size_t i = 0; i < UPGRADE_COUNT; i++)
		(void)unsetenv(upgrade_variables[i]);
}

void pfi_starter_forget_sockets(void)
{
	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		(void)unsetenv(socket_variables[i]);
	for (size_t i = 0; i < WORKER_COUNT; i++)
		(void)unsetenv(worker_variables[i]);
	pfi_starter_forget_upgrade();
}

void pfi_starter_forget_notify(void)
{
	for (size_t i = 0; i < NOTIFY_COUNT; i++)
		(void)unsetenv(notify_variables[i]);
}

static bool is_one_of(const char *variable, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const size_t length = strlen(names[i]);

		if (strncmp(variable, names[i], length) == 0 && variable[length] == '=')
			return true;
	}
	return false;
}

bool pfi_starter_is_own_variable(const char *variable)
{
	return is_one_of(variable, socket_variables, SOCKETS_COUNT) || is_one_of(variable, upgrade_variables, UPGRADE_COUNT) ||
	       is_one_of(variable, worker_variables, WORKER_COUNT);
}

bool pfi_starter_is_upgrade(void)
{
	const char *const pid = getenv("PREFORK_UPGRADE_PID");

	return pid != NULL && strtol(pid, NULL, 10) == (long)getpid();
}

void pfi_starter_forget_in_child(void)
{
	char **kept = environ;

	for (char **each = environ; each && *each; each++) {
		if (!pfi_starter_is_own_variable(*each) && !is_one_of(*each, notify_variables, NOTIFY_COUNT))
			*kept++ = *each;
	}
	if (kept)
		*kept = NULL;
}

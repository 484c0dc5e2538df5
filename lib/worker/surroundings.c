/* Changes directory, standard streams, resource limits, user and groups of a worker. The user comes last: only root may
 * raise a limit. */
#include "worker/surroundings.h"

#include "model/library_options.h"
#include "os/credentials.h"
#include "os/daemon.h"
#include "os/fd.h"
#include "os/log.h"
#include "os/logfile.h"
#include "worker/spawn_context.h"
#include "worker/take_rlimits.h"

#include <stddef.h>
#include <unistd.h>

/* The starter of a daemon waits until the server is ready, and shows what the arbiter prints until then. */
static void leave_terminal(const struct pfi_spawn_context *context)
{
	if (context->daemon == NULL || context->daemon->ready_fd < 0 || !context->daemon->detaches_stdio)
		return;
	if (pfi_log_is_standard(context->log))
		(void)pfi_log_move(context->log, "/dev/null", STDERR_FILENO);
	pfi_daemon_detach(context->daemon);
}

void pfi_surroundings_capture(const struct pfi_spawn_context *context)
{
	if (context->settings == NULL || !pfi_library_settings(context->settings)->capture_output ||
	    pfi_log_is_standard(context->log))
		return;
	/* What the application prints must not fail with EAGAIN when a pipe is full: it waits, as it does with any pipe. */
	int waiting = pfi_logfile_open_waiting(pfi_log_fd(context->log));

	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		(void)dup2(waiting >= 0 ? waiting : pfi_log_fd(context->log), fd);
	pfi_close(&waiting);
}

int pfi_surroundings_take_user(const struct pfi_spawn_context *context)
{
	return context->credentials != NULL ? pfi_credentials_take(context->credentials) : 0;
}

int pfi_surroundings_enter(const struct pfi_spawn_context *context)
{
	if (context->directory > 0)
		(void)!fchdir(context->directory); /* on failure the worker keeps the arbiter's directory */
	leave_terminal(context);
	pfi_surroundings_capture(context);

	return context->settings != NULL ? pfi_rlimits_take(context->settings) : 0;
}

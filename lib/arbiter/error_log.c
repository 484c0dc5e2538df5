/* Opens the error log of an arbiter: the file of the setting errorlog, and syslog. Gives new log files to the user of
 * the workers. */
#include "arbiter/error_log.h"

#include "arbiter/arbiter.h"
#include "model/library_options.h"
#include "os/log.h"
#include "os/logfile.h"
#include "os/standard_fds.h"

#include <prefork/error.h>
#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Lines of the error log as PREFIX.error, as gunicorn names them. */
static int add_syslog(struct prefork_arbiter *arbiter, const struct pfi_library_settings *values)
{
	const char *const prefix = values->syslog_prefix;
	char identity[128];

	if (!values->syslog)
		return 0;
	(void)snprintf(identity, sizeof identity, "%.70s.error", prefix != NULL && *prefix != '\0' ? prefix : arbiter->program);
	return prefork_log_add_syslog(arbiter->log, values->syslog_addr, identity, values->syslog_facility);
}

int pfi_error_log_open(struct prefork_arbiter *arbiter)
{
	const struct pfi_library_settings *const values = pfi_library_settings(arbiter->settings);
	/* Before /dev/null takes the place of a closed standard error: -EBADF is still seen here. */
	int r = prefork_log_check(values->errorlog, STDERR_FILENO);

	if (r == 0 && (r = pfi_standard_fds_fill()) < 0)
		return prefork_fail(r, "cannot open /dev/null for a standard descriptor that is closed: %s", strerror(-r));
	if (r == 0)
		r = prefork_log_create(values->errorlog, STDERR_FILENO, &arbiter->log);
	if (r < 0)
		return prefork_fail(r, "errorlog: %s", prefork_error());
	pfi_log_follow_level(arbiter->log, values->loglevel);
	return add_syslog(arbiter, values);
}

void pfi_logs_give(const struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count && geteuid() == 0; i++) {
		const struct pfi_credentials *const credentials = &arbiter->pools[i].credentials;

		if (credentials->is_set) {
			pfi_logfiles_give(arbiter->id, credentials->uid, credentials->gid);
			return;
		}
	}
}

int pfi_error_log_follow(struct prefork_arbiter *arbiter, const struct prefork_settings *from,
			 const struct prefork_settings *to)
{
	const struct pfi_library_settings *const old = pfi_library_settings(from), *const new = pfi_library_settings(to);
	int r = 0;

	if (strcmp(old->errorlog, new->errorlog) != 0)
		r = pfi_log_move(arbiter->log, new->errorlog, STDERR_FILENO);
	if (r == 0 && old->loglevel != new->loglevel)
		pfi_log_follow_level(arbiter->log, new->loglevel);
	return r;
}

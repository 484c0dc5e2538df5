/* Adds the HTTP service to an arbiter. */
#include "http/access.h"

#include "base/struct_size.h"
#include "http/http_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/log.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stddef.h>

/* The UTC offset changes twice a year; a worker keeps the one of its fork. */
static int on_before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct pfi_http *const http = user;

	http->zone_s = pfi_access_zone_s();
	pfi_access_file_follow(&http->access_file, pfi_http_settings(prefork_arbiter_settings(arbiter))->accesslog);
	pfi_statsd_arbiter_follow(&http->statsd, arbiter, process);
	return 0;
}

static void on_after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct pfi_http *const http = user;

	(void)arbiter;
	pfi_statsd_arbiter_count(&http->statsd, process, 1);
}

static void on_worker_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	struct pfi_http *const http = user;

	(void)arbiter;
	pfi_statsd_arbiter_count(&http->statsd, process, -1);
}

static void on_upgrade_end(struct prefork_arbiter *arbiter, enum prefork_upgrade_verdict verdict, int pid,
                           const char *why, void *user)
{
	struct pfi_http *const http = user;

	(void)arbiter;
	(void)why;
	if (verdict == PREFORK_UPGRADE_DONE || verdict == PREFORK_UPGRADE_STOPPED)
		pfi_statsd_arbiter_replaced(&http->statsd, pid);
}

/* The counter of the arbiter; a worker has its own once it starts. One of the application stays. */
static void in_child(struct prefork_worker *worker, void *user)
{
	const struct pfi_http *const http = user;

	if (http->statsd.counts_lines)
		(void)prefork_log_set_counter(prefork_worker_log(worker), NULL, NULL);
}

static void on_arbiter_reopen(struct prefork_arbiter *arbiter, void *user)
{
	struct pfi_http *const http = user;

	(void)arbiter;
	pfi_access_file_reopen(&http->access_file);
}

static void on_reopen(struct prefork_worker *worker, void *user)
{
	struct pfi_http *const http = user;

	pfi_access_reopen(http->access, worker);
}

static void on_destroyed(void *user)
{
	pfi_http_destroy(user);
}

static int check_table(const struct prefork_http_service *service)
{
	const size_t least = PFI_SIZE_WITH(struct prefork_http_service, handle);
	const int r = service == NULL ? prefork_fail(-EINVAL, "the struct prefork_http_service is NULL") :
	                                pfi_struct_check(service, service->struct_size, least, sizeof *service,
	                                                "struct prefork_http_service");

	return r == 0 && service->handle == NULL ? prefork_fail(-EINVAL, "the callback `handle` of struct prefork_http_service is NULL") : r;
}

int prefork_http_add_service(struct prefork_arbiter *arbiter, const char *pool,
                             const struct prefork_http_service *service, void *user)
{
	static const struct prefork_hooks hooks = {
		.struct_size = sizeof hooks,
		.before_fork = on_before_fork,
		.after_fork = on_after_fork,
		.worker_exited = on_worker_exited,
		.child_after_fork = in_child,
		.upgrade_end = on_upgrade_end,
		.worker_reopen = on_reopen,
		.destroyed = on_destroyed,
		.reopen = on_arbiter_reopen,
	};
	struct pfi_http *http;
	int r;

	if (arbiter == NULL || pool == NULL)
		return prefork_fail(-EINVAL, "the arbiter or the name of the pool is NULL");
	r = check_table(service);
	if (r < 0)
		return r;
	http = pfi_http_create(service, user);
	if (http == NULL)
		return prefork_fail(-ENOMEM, "no memory for an HTTP service");
	r = pfi_statsd_arbiter_init(&http->statsd, pool);
	if (r == 0)
		r = pfi_http_configure(&http->config, prefork_arbiter_settings(arbiter));
	if (r == 0)
		r = prefork_arbiter_add_hooks(arbiter, &hooks, http);
	if (r < 0) {
		pfi_http_destroy(http);
		return r;
	}
	return prefork_arbiter_add_service(arbiter, pool, pfi_http_table(), http);
}

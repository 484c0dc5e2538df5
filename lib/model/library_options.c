#include "model/library_options.h"

#include "base/required.h"
#include "model/settings.h"

#include <prefork/error.h>

#include <stdbool.h>
#include <string.h>

enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };

#define RELOADABLE PREFORK_OPTION_RELOADABLE
#define SERVER PREFORK_OPTION_SERVER
#define ROW(row_name, row_type, struct_member)                             \
	.struct_size = sizeof(struct prefork_option), .name = row_name,   \
	PREFORK_OPTION_IN(row_type, struct pfi_library_settings, struct_member)

/* In the order of --help. A DURATION of 0 means "never" where its doc says so. */
static const struct prefork_option options[] = {
	/* Server socket */
	{ ROW("bind", LIST, bind), .flags = "-b, --bind", .max = 64, .default_text = "127.0.0.1:8000",
	  .unit = "ADDRESS", .traits = RELOADABLE | PREFORK_OPTION_COMMAS, .section = "Server socket",
	  .doc = "Where to listen: HOST[:PORT], [IPV6][:PORT], unix:PATH, unix:@NAME (abstract) or fd://NUMBER. "
		 "Without a port it is 8000; port 0 takes a free one. A socket that is handed over (fd://, systemd) is made "
		 "non-blocking and is left so at the end: its next server may be using it already." },
	{ ROW("backlog", INT, backlog), .min = 1, .max = 1048576, .default_text = "2048", .section = "Server socket",
	  .doc = "How many connections may wait to be accepted, per address." },
	{ ROW("defer_accept", CHOICE, defer_accept), .choices = "auto|on|off", .default_text = "auto",
	  .section = "Server socket",
	  .doc = "Let the kernel hold a connection back until its first bytes are there (at most 1 s). auto: "
		 "for HTTP, on addresses bound here." },
	{ ROW("ipv6_only", BOOL, ipv6_only), .section = "Server socket",
	  .doc = "Let [::] take IPv6 alone; otherwise it takes IPv4, too." },
	{ ROW("reuse_port", BOOL, reuse_port), .section = "Server socket",
	  .doc = "Give each worker a TCP socket of its own, between which the kernel deals out the connections, "
		 "instead of one for all." },
	{ ROW("socket_mode", MODE, socket_mode), .min = 0, .max = 0777, .default_text = "0666", .section = "Server socket",
	  .doc = "The mode of a unix:PATH socket." },
	{ ROW("socket_user", STRING, socket_user), .unit = "USER", .traits = PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Server socket", .doc = "Who owns a unix:PATH socket: a name or a number." },
	{ ROW("socket_group", STRING, socket_group), .unit = "GROUP", .traits = PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Server socket", .doc = "The group of a unix:PATH socket: a name or a number." },

	/* Workers */
	{ ROW("workers", INT, workers), .flags = "-w, --workers", .min = 1, .max = 4096, .default_text = "1",
	  .traits = RELOADABLE, .section = "Workers", .doc = "How many worker processes serve." },
	{ ROW("workers_max", INT, workers_max), .min = 0, .max = 4096, .default_text = "0", .section = "Workers",
	  .doc = "How many workers TTIN, a scale command or a reload may ask for. 0: twice --workers, and at "
		 "least four more." },
	{ ROW("worker_class", CHOICE, worker_class), .flags = "-k, --worker-class", .choices = "sync|threads|libev",
	  .default_text = "sync", .unit = "CLASS", .traits = RELOADABLE, .section = "Workers",
	  .doc = "How a worker handles its connections." },
	{ ROW("threads", INT, threads), .min = 0, .max = 1024, .default_text = "0", .section = "Workers",
	  .doc = "How many threads handle requests in one worker. 0: one under the class threads; none of "
		 "their own under libev, where the loop handles requests itself." },
	{ ROW("worker_connections", INT, worker_connections), .min = 1, .max = 1048576, .default_text = "1000",
	  .traits = RELOADABLE, .section = "Workers",
	  .doc = "How many connections one worker holds at a time." },

	/* Time limits */
	{ ROW("timeout", DURATION, timeout_ms), .flags = "-t, --timeout", .min = 0, .max = 30 * (int64_t)DAY,
	  .default_text = "30s", .traits = RELOADABLE, .section = "Time limits",
	  .doc = "How long a request may keep a thread, from one piece of its answer to the next, before its stack is "
		 "logged and its worker replaced. The worker's other threads serve until the new one is ready. 0: for ever." },
	{ ROW("soft_timeout", DURATION, soft_timeout_ms), .min = 0, .max = 30 * (int64_t)DAY, .default_text = "0",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "After this long a request is noted in the log, and goes on. 0: never." },
	{ ROW("boot_timeout", DURATION, boot_timeout_ms), .min = 0, .max = DAY, .default_text = "60s", .traits = RELOADABLE,
	  .section = "Time limits", .doc = "How long a worker may take to become ready. 0: for ever." },
	{ ROW("graceful_timeout", DURATION, graceful_timeout_ms), .min = 0, .max = DAY, .default_text = "30s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "How long a worker that was asked to leave may take to finish its requests." },
	{ ROW("lookup_timeout", DURATION, lookup_timeout_ms), .min = 100, .max = 60 * SECOND, .default_text = "5s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "How long a reload waits for a name server when bind has a new host name, before it fails." },
	{ ROW("abort_timeout", DURATION, abort_timeout_ms), .min = 10, .max = 60 * SECOND, .default_text = "1s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "How long a stuck worker has, from SIGABRT to SIGKILL, to write down what it was doing." },
	{ ROW("orphan_timeout", DURATION, orphan_timeout_ms), .min = 0, .max = HOUR, .default_text = "1s", .traits = RELOADABLE,
	  .section = "Time limits",
	  .doc = "How long workers may finish their requests after the arbiter was killed." },
	{ ROW("stop_linger", DURATION, stop_linger_ms), .min = 0, .max = 60 * SECOND, .default_text = "auto",
	  .traits = SERVER | RELOADABLE | PREFORK_OPTION_MAY_BE_AUTO, .section = "Time limits",
	  .doc = "How long a stop waits for connections that are on their way. auto: 100 ms, and 1.2 s where "
		 "the kernel holds connections back (--defer-accept)." },

	/* Replacing workers */
	{ ROW("surge", INT, surge), .min = 0, .max = 4096, .default_text = "1", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "How many workers more than --workers may run while old ones are replaced by new ones. 0, with "
		 "--max-unavailable 1: a worker is started only when the process that it replaces is gone, so that "
		 "two never overlap, with a gap in between." },
	{ ROW("max_unavailable", INT, max_unavailable), .min = 0, .max = 4096, .default_text = "0", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "How many workers fewer than --workers may be ready meanwhile." },
	{ ROW("max_requests", INT, max_requests), .min = 0, .max = INT32_MAX, .default_text = "0", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "After how many requests a worker is replaced (of a service that counts none: closed connections). It "
		 "serves until the new one is ready. 0: never." },
	{ ROW("max_requests_jitter", INT, max_requests_jitter), .min = 0, .max = INT32_MAX, .default_text = "0", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "At most so many requests more, different for each worker, lest all be due at once." },
	{ ROW("canary_time", DURATION, canary_ms), .min = 0, .max = HOUR, .default_text = "1s", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "How long the first worker of a reload must live before the others are replaced." },
	{ ROW("restart_intensity", INT, restart_intensity), .min = 1, .max = 10000, .default_text = "10", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "So many failures within --restart-period are too many; see --boot-failure-policy." },
	{ ROW("restart_period", DURATION, restart_period_ms), .min = SECOND, .max = DAY, .default_text = "60s",
	  .traits = RELOADABLE, .section = "Replacing workers",
	  .doc = "The period that --restart-intensity counts in." },
	{ ROW("boot_failure_policy", CHOICE, boot_failure_policy), .choices = "auto|stop|degrade", .default_text = "auto",
	  .unit = "POLICY", .traits = RELOADABLE, .section = "Replacing workers",
	  .doc = "What happens when too many workers failed: stop the server, or degrade: go on with those "
		 "there are and try again, ever slower. auto: stop if none was ever ready." },

	/* Log */
	{ ROW("errorlog", STRING, errorlog), .flags = "--error-logfile, --log-file", .default_text = "-", .unit = "FILE",
	  .traits = SERVER | RELOADABLE, .section = "Log", .doc = "The file that messages go to. -: standard error." },
	{ ROW("loglevel", CHOICE, loglevel), .flags = "--log-level", .choices = "debug|info|warning|error|critical",
	  .default_text = "info", .unit = "LEVEL", .traits = SERVER | RELOADABLE, .section = "Log",
	  .doc = "The least important messages that are written." },

	/* Process */
	{ ROW("proc_name", STRING, proc_name), .flags = "-n, --name", .max = 64, .unit = "NAME",
	  .traits = SERVER | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "What ps and top call the server." },
	{ ROW("child_subreaper", BOOL, child_subreaper), .section = "Process",
	  .doc = "Adopt the processes that workers leave behind (PR_SET_CHILD_SUBREAPER), and reap those that have been "
		 "zombies for 10 s. A process with the id 1, as in a container, does so anyway." },
	{ ROW("close_fds", BOOL, close_fds), .section = "Process",
	  .doc = "Close, in workers, every descriptor that is none of the library's." },

	/* This start */
	{ ROW("config", STRING, config), .flags = "-c, --config", .unit = "FILE",
	  .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "This start", .doc = "Read settings from this INI file, section [prefork]." },
	{ ROW("check_config", BOOL, check_config), .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE, .section = "This start",
	  .doc = "Check all settings, and whether the files and addresses in them can be used; start and make "
		 "nothing; status 0 if they are right." },
	{ ROW("print_config", BOOL, print_config), .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE, .section = "This start",
	  .doc = "Print all settings in the form of a file, with where each came from; start nothing." },
};

const struct prefork_module pfi_library_module = {
	.struct_size = sizeof pfi_library_module,
	.name = "prefork",
	.options = options,
	.option_count = sizeof options / sizeof options[0],
	.values_size = sizeof(struct pfi_library_settings),
};

int prefork_settings_create(struct prefork_settings **ret)
{
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	struct prefork_settings *settings = NULL;
	int r = pfi_settings_create_empty(&settings);

	if (r == 0)
		r = prefork_settings_add_module(settings, &pfi_library_module);
	if (r < 0) {
		prefork_settings_destroy(settings);
		return r;
	}
	*ret = settings;
	return 0;
}

uint32_t pfi_settings_workers_max(const struct pfi_library_settings *values)
{
	const uint32_t workers = values->workers;

	if (values->workers_max > 0)
		return values->workers_max;
	return workers * 2 > workers + 4 ? workers * 2 : workers + 4;
}

unsigned pfi_settings_threads(const struct pfi_library_settings *values)
{
	return values->threads > 0 ? values->threads : 1;
}

/* Where the application has given one pool the class sync, the operator's threads are for the others. */
static bool is_sync_for_threads(const struct prefork_settings *settings, const struct pfi_library_settings *values)
{
	enum prefork_origin origin = PREFORK_FROM_ROW;

	(void)prefork_settings_origin_of(settings, &values->worker_class, &origin, NULL);
	return strcmp(values->worker_class, "sync") == 0 && origin != PREFORK_FROM_POOL;
}

static int check_workers(const struct prefork_settings *settings, const struct pfi_library_settings *values)
{
	if (pfi_settings_workers_max(values) < values->workers)
		return prefork_fail(PREFORK_ECONFIG, "workers_max (%s) is %u, less than workers (%s), which is %u",
				    pfi_settings_place(settings, &values->workers_max), pfi_settings_workers_max(values),
				    pfi_settings_place(settings, &values->workers), values->workers);
	if (values->max_unavailable > values->workers)
		return prefork_fail(PREFORK_ECONFIG, "max_unavailable (%s) is more than workers (%s), which is %u",
				    pfi_settings_place(settings, &values->max_unavailable),
				    pfi_settings_place(settings, &values->workers), values->workers);
	if (values->surge == 0 && values->max_unavailable == 0)
		return prefork_fail(PREFORK_ECONFIG,
				    "surge (%s) and max_unavailable (%s) are both 0, so that no worker could be replaced: "
				    "with surge 0, max_unavailable must be 1 or more",
				    pfi_settings_place(settings, &values->surge),
				    pfi_settings_place(settings, &values->max_unavailable));
	return 0;
}

int pfi_options_check(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const uint64_t soft_ms = values->soft_timeout_ms, hard_ms = values->timeout_ms;
	const int r = check_workers(settings, values);

	if (r < 0)
		return r;
	if (soft_ms > 0 && hard_ms > 0 && soft_ms >= hard_ms)
		return prefork_fail(PREFORK_ECONFIG, "soft_timeout (%s) must be shorter than timeout (%s)",
				    pfi_settings_place(settings, &values->soft_timeout_ms),
				    pfi_settings_place(settings, &values->timeout_ms));
	if (values->threads > 1 && is_sync_for_threads(settings, values))
		return prefork_fail(PREFORK_ECONFIG,
				    "threads (%s) is %u, and the worker class sync (%s) handles one request at a time: "
				    "say --worker-class threads, or leave threads out",
				    pfi_settings_place(settings, &values->threads), values->threads,
				    pfi_settings_place(settings, &values->worker_class));
	if (values->bind.count == 0)
		return prefork_fail(PREFORK_ECONFIG, "bind (%s) names no address",
				    pfi_settings_place(settings, &values->bind));
	return 0;
}

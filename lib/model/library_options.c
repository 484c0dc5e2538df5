/* The table of the library's settings. */
#include "model/library_options.h"

#include "base/networks.h"
#include "base/required.h"
#include "model/rlimits.h"
#include "model/settings.h"

#include <prefork/error.h>

#include <stdbool.h>
#include <string.h>

enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };
enum { WORKERS_MAX = 4096, WORKERS_MAX_LEAST = 64 };

#define RELOADABLE PREFORK_OPTION_RELOADABLE
#define SERVER PREFORK_OPTION_SERVER
#define ROW(row_name, row_type, struct_member)                             \
	.struct_size = sizeof(struct prefork_option), .name = row_name,   \
	PREFORK_OPTION_IN(row_type, struct pfi_library_settings, struct_member)

/* In the order of --help. */
static const struct prefork_option options[] = {
	/* Server socket */
	{ ROW("bind", LIST, bind), .flags = "-b, --bind", .max = 64, .default_text = "127.0.0.1:8000",
	  .unit = "ADDRESS", .traits = RELOADABLE | PREFORK_OPTION_COMMAS, .section = "Server socket",
	  .doc = "The addresses to listen on: HOST[:PORT], [IPV6][:PORT], unix:PATH, unix:@NAME (abstract) or "
		 "fd://NUMBER. The default port is 8000; port 0 takes a free port. An inherited socket (fd://, "
		 "systemd) is set non-blocking and stays so after the stop, since its next server may already use "
		 "it." },
	{ ROW("backlog", INT, backlog), .min = 1, .max = 1048576, .default_text = "2048", .section = "Server socket",
	  .doc = "The number of connections per address that the kernel queues until a worker accepts them "
		 "(listen(2))." },
	{ ROW("defer_accept", CHOICE, defer_accept), .choices = "auto|on|off", .default_text = "auto",
	  .section = "Server socket",
	  .doc = "Set TCP_DEFER_ACCEPT: the kernel wakes a worker when the first data of a connection arrives, or "
		 "after about 1 s. auto: for HTTP, on addresses that this server binds." },
	{ ROW("ipv6_only", BOOL, ipv6_only), .section = "Server socket",
	  .doc = "Accept only IPv6 connections on [::]. Without this flag [::] also accepts IPv4." },
	{ ROW("reuse_port", BOOL, reuse_port), .section = "Server socket",
	  .doc = "Give each worker its own TCP socket (SO_REUSEPORT). The kernel distributes connections between "
		 "the sockets. Without this flag all workers accept from one socket. Unless --workers-max is set, "
		 "workers beyond twice --workers, and at least four more, share the sockets." },
	{ ROW("socket_mode", MODE, socket_mode), .min = 0, .max = 0777, .default_text = "0666", .section = "Server socket",
	  .doc = "The mode of a unix:PATH socket." },
	{ ROW("socket_user", STRING, socket_user), .unit = "USER", .traits = PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Server socket",
	  .doc = "The owner of a unix:PATH socket, as a name or a number." },
	{ ROW("socket_group", STRING, socket_group), .unit = "GROUP", .traits = PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Server socket",
	  .doc = "The group of a unix:PATH socket, as a name or a number." },
	{ ROW("fd_store", CHOICE, fd_store), .choices = "auto|on|off", .default_text = "auto", .traits = SERVER,
	  .section = "Server socket",
	  .doc = "Leave copies of the listening sockets with the service manager, so that they outlive a restart or a "
		 "crash (FileDescriptorStoreMax= of systemd). auto: if the variable FDSTORE is set (systemd 254)." },

	{ ROW("proxy_protocol", CHOICE, proxy_protocol), .choices = "off|v1|v2|auto", .default_text = "off", .unit = "VERSION",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_BOOL, .section = "Server socket",
	  .doc = "Expect a PROXY header of this version at the beginning of each connection, before TLS: it names the client "
		 "of a proxy that forwards connections (HAProxy, nginx, AWS NLB). auto: version 1 or 2. A connection that "
		 "begins without one is closed." },
	{ ROW("proxy_allow_ips", LIST, proxy_allow_ips), .flags = "--proxy-allow-from", .max = 1024, .unit = "ADDRESS",
	  .default_text = "127.0.0.1,::1", .traits = RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Server socket",
	  .doc = "With --proxy-protocol, the proxies: addresses, networks such as 10.0.0.0/8, unix for peers on unix sockets, "
		 "or * for all. Connections of other peers are closed." },

	/* Workers */
	{ ROW("workers", INT, workers), .flags = "-w, --workers", .min = 1, .max = WORKERS_MAX, .default_text = "1",
	  .traits = RELOADABLE, .section = "Workers",
	  .doc = "The number of worker processes." },
	{ ROW("workers_max", INT, workers_max), .min = 0, .max = WORKERS_MAX, .default_text = "0", .section = "Workers",
	  .doc = "The highest number of workers that TTIN, a scale command or a reload can set. 0: four times "
		 "--workers, and at least 64." },
	{ ROW("worker_class", CHOICE, worker_class), .flags = "-k, --worker-class", .choices = "sync|threads|libev",
	  .default_text = "sync", .unit = "CLASS", .traits = RELOADABLE, .section = "Workers",
	  .doc = "How a worker handles connections: one request at a time (sync), a pool of threads (threads), or "
		 "an event loop (libev)." },
	{ ROW("threads", INT, threads), .min = 0, .max = 1024, .default_text = "0", .section = "Workers",
	  .doc = "The number of threads per worker that handle requests. 0: one thread with the class threads. "
		 "With libev and 0 the event loop handles requests itself; above 0 it offloads them to threads." },
	{ ROW("worker_connections", INT, worker_connections), .min = 1, .max = 1048576, .default_text = "1000",
	  .traits = RELOADABLE, .section = "Workers",
	  .doc = "The highest number of simultaneous connections per worker. With the class threads, up to "
		 "one more per thread." },

	/* Time limits */
	{ ROW("timeout", DURATION, timeout_ms), .flags = "-t, --timeout", .min = 0, .max = 30 * (int64_t)DAY,
	  .default_text = "30s", .traits = RELOADABLE, .section = "Time limits",
	  .doc = "The longest time a request may use a thread without producing output. When it expires, the stack "
		 "of the thread is logged and the worker is replaced; its other threads serve until the "
		 "replacement is ready. 0: no limit." },
	{ ROW("soft_timeout", DURATION, soft_timeout_ms), .min = 0, .max = 30 * (int64_t)DAY, .default_text = "0",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "Log a request that uses a thread for longer than this; the request continues. 0: never." },
	{ ROW("boot_timeout", DURATION, boot_timeout_ms), .min = 0, .max = DAY, .default_text = "60s", .traits = RELOADABLE,
	  .section = "Time limits",
	  .doc = "The longest time from the fork of a worker until it is ready. 0: no limit." },
	{ ROW("handshake_timeout", DURATION, handshake_timeout_ms), .min = 100, .max = HOUR, .default_text = "10s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "The longest time from the accept of a connection until its first request may begin, if something must come "
		 "before that: a PROXY header, a TLS handshake. When it expires, the connection is closed." },
	{ ROW("graceful_timeout", DURATION, graceful_timeout_ms), .min = 0, .max = DAY, .default_text = "30s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "The longest time a draining worker has to finish its requests. 0: no limit." },
	{ ROW("drain_idle", DURATION, drain_idle_ms), .min = 0, .max = HOUR, .default_text = "2s", .traits = RELOADABLE,
	  .section = "Time limits",
	  .doc = "How long a draining worker (reload, recycling, scale-down, stop) keeps a connection open between two "
		 "requests. A request that arrives in this time is served, and the connection is closed after the "
		 "response. At most three quarters of --graceful-timeout. A quick stop does not wait. 0: close idle "
		 "connections at once." },
	{ ROW("lookup_timeout", DURATION, lookup_timeout_ms), .min = 100, .max = 60 * SECOND, .default_text = "5s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "The longest time that name servers have. A reload waits so long for new host names in bind, and fails "
		 "without their addresses. It also waits for the names of other programs, such as in statsd_host, as the start "
		 "does, and goes on without those." },
	{ ROW("abort_timeout", DURATION, abort_timeout_ms), .min = 10, .max = 60 * SECOND, .default_text = "1s",
	  .traits = RELOADABLE, .section = "Time limits",
	  .doc = "The time between SIGABRT and SIGKILL for a stuck worker, in which it logs its stack." },
	{ ROW("orphan_timeout", DURATION, orphan_timeout_ms), .min = 0, .max = HOUR, .default_text = "1s", .traits = RELOADABLE,
	  .section = "Time limits",
	  .doc = "The longest time workers have to finish their requests after the arbiter has been killed." },
	{ ROW("stop_linger", DURATION, stop_linger_ms), .min = 0, .max = 60 * SECOND, .default_text = "auto",
	  .traits = SERVER | RELOADABLE | PREFORK_OPTION_MAY_BE_AUTO, .section = "Time limits",
	  .doc = "The longest time a stop waits for connections that are being established. auto: 100 ms, or 1.2 s "
		 "with --defer-accept. 0: do not wait." },

	/* Replacing workers */
	{ ROW("surge", INT, surge), .min = 0, .max = 4096, .default_text = "1", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "The number of workers above --workers that may run while workers are replaced. 0 (needs "
		 "--max-unavailable 1 or more): a worker starts only after the worker that it replaces has exited, "
		 "so that they never overlap." },
	{ ROW("max_unavailable", INT, max_unavailable), .min = 0, .max = 4096, .default_text = "0", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "The number of workers below --workers that are allowed while workers are replaced." },
	{ ROW("max_requests", INT, max_requests), .min = 0, .max = INT32_MAX, .default_text = "0", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "Replace a worker after this number of requests (closed connections, if the service counts no "
		 "requests). The worker serves until its replacement is ready. 0: never." },
	{ ROW("max_requests_jitter", INT, max_requests_jitter), .min = 0, .max = INT32_MAX, .default_text = "0", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "Add a random number up to this to --max-requests of each worker, so that workers are not "
		 "replaced all at once." },
	{ ROW("canary_time", DURATION, canary_ms), .min = 0, .max = HOUR, .default_text = "1s", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "How long the first worker of a reload must run after it is ready before the other workers are "
		 "replaced." },
	{ ROW("restart_intensity", INT, restart_intensity), .min = 1, .max = 10000, .default_text = "10", .traits = RELOADABLE,
	  .section = "Replacing workers",
	  .doc = "The number of worker failures within --restart-period that makes --boot-failure-policy take "
		 "effect." },
	{ ROW("restart_period", DURATION, restart_period_ms), .min = SECOND, .max = DAY, .default_text = "60s",
	  .traits = RELOADABLE, .section = "Replacing workers",
	  .doc = "The period in which --restart-intensity counts failures." },
	{ ROW("boot_failure_policy", CHOICE, boot_failure_policy), .choices = "auto|stop|degrade", .default_text = "auto",
	  .unit = "POLICY", .traits = RELOADABLE, .section = "Replacing workers",
	  .doc = "What to do after too many worker failures. stop: stop the server. degrade: keep the running "
		 "workers and retry with growing delays. auto: stop if no worker was ever ready, else degrade." },
	{ ROW("upgrade", CHOICE, upgrade), .choices = "automatic|manual", .default_text = "automatic",
	  .traits = SERVER | RELOADABLE, .section = "Replacing workers",
	  .doc = "What USR2 does once the new program serves. automatic: the old arbiter drains and exits. manual: both "
		 "serve until the operator stops one of them with TERM or QUIT." },
	{ ROW("generations_max", INT, generations_max), .min = 2, .max = 64, .default_text = "4",
	  .traits = SERVER | RELOADABLE, .section = "Replacing workers",
	  .doc = "The number of arbiters that may exist during upgrades, those that still drain included. The oldest is "
		 "aborted if another upgrade would exceed it." },

	/* Log */
	{ ROW("errorlog", STRING, errorlog), .flags = "--error-logfile, --log-file", .default_text = "-", .unit = "FILE",
	  .traits = SERVER | RELOADABLE, .section = "Log",
	  .doc = "The file for log lines; - is standard error." },
	{ ROW("capture_output", BOOL, capture_output), .traits = SERVER, .section = "Log",
	  .doc = "Write what workers print to standard output and standard error to the file of errorlog. If that is a pipe "
		 "that is not read, the worker that prints waits; log lines do not wait, and are lost and counted." },
	{ ROW("loglevel", CHOICE, loglevel), .flags = "--log-level", .choices = "debug|info|warning|error|critical",
	  .default_text = "info", .unit = "LEVEL", .traits = SERVER | RELOADABLE, .section = "Log",
	  .doc = "The lowest level that is logged." },
	{ ROW("syslog", BOOL, syslog), .flags = "--log-syslog", .traits = SERVER, .section = "Log",
	  .doc = "Send the lines of the error log and of the access log also to syslog, without waiting for it. Lines that "
		 "the daemon does not take are counted, and the next line has the number." },
	{ ROW("syslog_addr", STRING, syslog_addr), .flags = "--log-syslog-to", .unit = "ADDRESS",
	  .default_text = "udp://localhost:514", .traits = SERVER, .section = "Log",
	  .doc = "The syslog daemon: unix://PATH, for example unix:///dev/log, or udp://ADDRESS:PORT with an IP address or "
		 "localhost. Streams (tcp://, unix://PATH#stream) are refused, since they could block." },
	{ ROW("syslog_prefix", STRING, syslog_prefix), .flags = "--log-syslog-prefix", .max = 70, .unit = "NAME",
	  .traits = SERVER | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Log",
	  .doc = "The program name of lines in syslog is NAME.error or NAME.access. Default: --name, or the name of the "
		 "program." },
	{ ROW("syslog_facility", STRING, syslog_facility), .flags = "--log-syslog-facility", .unit = "FACILITY",
	  .default_text = "user", .traits = SERVER, .section = "Log",
	  .doc = "The syslog facility: user, daemon, local0 to local7 and the others of RFC 3164, also with LOG_ before it." },

	/* Process */
	{ ROW("pidfile", STRING, pidfile), .flags = "-p, --pid", .unit = "FILE",
	  .traits = SERVER | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "Write the process id of the arbiter to this file, lock it, and remove it at the end. A second server "
		 "with the same file does not start. A file that a killed server has left is replaced." },
	{ ROW("daemon", BOOL, daemon), .flags = "-D, --daemon", .traits = SERVER, .section = "Process",
	  .doc = "Go on in the background. The command returns when the workers serve, with status 0, or when the start "
		 "has failed, with its status. Set errorlog: a log on standard error ends with the start." },
	{ ROW("enable_stdio_inheritance", BOOL, enable_stdio_inheritance), .flags = "-R, --enable-stdio-inheritance",
	  .traits = SERVER, .section = "Process",
	  .doc = "With --daemon, keep standard input, output and error, unless they are a terminal." },
	{ ROW("user", STRING, user), .flags = "-u, --user", .unit = "USER", .traits = PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Process",
	  .doc = "Run the workers as this user, a name or a number. The arbiter keeps its own. Unix sockets belong to "
		 "this user unless --socket-user is set, and log files that the server creates belong to it." },
	{ ROW("group", STRING, group), .flags = "-g, --group", .unit = "GROUP", .traits = PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "Process",
	  .doc = "Run the workers with this group, a name or a number. Default: the group of --user." },
	{ ROW("initgroups", BOOL, initgroups), .section = "Process",
	  .doc = "Give the workers all groups that --user is a member of. Without this flag they have one group." },
	{ ROW("umask", MODE, umask), .flags = "-m, --umask", .min = 0, .max = 0777, .default_text = "auto",
	  .traits = SERVER | PREFORK_OPTION_MAY_BE_AUTO, .section = "Process",
	  .doc = "The umask of the arbiter and its workers. It also limits the mode of unix sockets unless "
		 "--socket-mode is set. auto: unchanged." },
	{ ROW("proc_name", STRING, proc_name), .flags = "-n, --name", .max = 64, .unit = "NAME",
	  .traits = SERVER | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The name of the processes in ps and top." },
	{ ROW("child_subreaper", BOOL, child_subreaper), .section = "Process",
	  .doc = "Adopt the orphaned children of workers (PR_SET_CHILD_SUBREAPER), and reap a child that has been "
		 "a zombie for 10 s. Process 1 (in a container) does this in any case." },
	{ ROW("close_fds", BOOL, close_fds), .section = "Process",
	  .doc = "Close in workers every descriptor that the library did not open." },
	{ ROW("rlimit_nofile", STRING, rlimit_nofile), .max = 64, .unit = "LIMIT",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The limit of open descriptors of each worker (RLIMIT_NOFILE): LIMIT, or SOFT:HARD; a number or "
		 "unlimited. The arbiter keeps its own. Default: the limit of the arbiter." },
	{ ROW("rlimit_nproc", STRING, rlimit_nproc), .max = 64, .unit = "LIMIT",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The limit of processes and threads of the user that a worker runs as (RLIMIT_NPROC). It does not bind root." },
	{ ROW("rlimit_core", STRING, rlimit_core), .max = 64, .unit = "LIMIT",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The largest core dump of a worker (RLIMIT_CORE), in bytes; 0: none." },
	{ ROW("rlimit_as", STRING, rlimit_as), .max = 64, .unit = "LIMIT",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The limit of the address space of a worker (RLIMIT_AS), in bytes. Beyond it, memory allocations fail." },
	{ ROW("rlimit_fsize", STRING, rlimit_fsize), .max = 64, .unit = "LIMIT",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The largest file that a worker can write (RLIMIT_FSIZE), in bytes." },
	{ ROW("rlimit_memlock", STRING, rlimit_memlock), .max = 64, .unit = "LIMIT",
	  .traits = RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "Process",
	  .doc = "The limit of memory that a worker can lock (RLIMIT_MEMLOCK), in bytes." },

	/* This start */
	{ ROW("config", STRING, config), .flags = "-c, --config", .unit = "FILE",
	  .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .section = "This start",
	  .doc = "Read settings from this file: section [prefork] of an INI file, or a format of the program." },
	{ ROW("check_config", BOOL, check_config), .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE, .section = "This start",
	  .doc = "Check all settings, and whether their files and addresses can be used, then exit with status 0 "
		 "if they can. Starts no server and creates no files." },
	{ ROW("print_config", BOOL, print_config), .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE, .section = "This start",
	  .doc = "Print all settings as an INI file, with the origin of each value, and exit." },
	{ ROW("send_reload", STRING, send_reload), .unit = "PIDFILE",
	  .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "This start",
	  .doc = "Have the running server with this --pid file reload, wait for the verdict, and exit: with status 0 if "
		 "the reload is done, 1 if it has failed, with the reason on standard error, 2 if there is no such "
		 "server. Starts no server." },
	{ ROW("send_upgrade", STRING, send_upgrade), .unit = "PIDFILE",
	  .traits = RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY, .section = "This start",
	  .doc = "Have the running server with this --pid file begin a binary upgrade, as USR2 does, wait for the verdict, "
		 "and exit: with status 0 if the new arbiter serves, 1 if the upgrade has failed or was refused, with the "
		 "reason on standard error, 2 if there is no such server. Starts no server." },
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
	const uint32_t most = values->workers * 4 < WORKERS_MAX ? values->workers * 4 : WORKERS_MAX;

	if (values->workers_max > 0)
		return values->workers_max;
	return most > WORKERS_MAX_LEAST ? most : WORKERS_MAX_LEAST;
}

uint32_t pfi_settings_sockets(const struct pfi_library_settings *values, uint32_t workers_max)
{
	const uint32_t workers = values->workers;
	const uint32_t sockets = workers * 2 > workers + 4 ? workers * 2 : workers + 4;

	return values->workers_max > 0 || sockets > workers_max ? workers_max : sockets;
}

unsigned pfi_settings_threads(const struct pfi_library_settings *values)
{
	return values->threads > 0 ? values->threads : 1;
}

/* False if the application has set class sync for one pool: `threads` is then meant for the other pools. */
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

static int check_networks(const struct prefork_settings *settings, const struct prefork_list *list, const char *name)
{
	struct pfi_networks networks = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = pfi_networks_add(&networks, name, list->items[i]);
	pfi_networks_clear(&networks);
	if (r == -EINVAL)
		return prefork_fail(PREFORK_ECONFIG, "%s (%s)", prefork_error(), pfi_settings_place(settings, list));
	return r;
}

int pfi_options_check(const struct prefork_settings *settings)
{
	const struct pfi_library_settings *const values = pfi_library_settings(settings);
	const uint64_t soft_ms = values->soft_timeout_ms, hard_ms = values->timeout_ms;
	int r = check_workers(settings, values);

	if (r == 0)
		r = check_networks(settings, &values->proxy_allow_ips, "proxy_allow_ips");
	if (r == 0)
		r = pfi_rlimits_check(settings, values);
	if (r < 0)
		return r;
	if (soft_ms > 0 && hard_ms > 0 && soft_ms >= hard_ms)
		return prefork_fail(PREFORK_ECONFIG, "soft_timeout (%s) must be shorter than timeout (%s)",
				    pfi_settings_place(settings, &values->soft_timeout_ms),
				    pfi_settings_place(settings, &values->timeout_ms));
	if (values->threads > 1 && is_sync_for_threads(settings, values))
		return prefork_fail(PREFORK_ECONFIG,
				    "threads (%s) is %u, and the worker class sync (%s) handles one request at a time: "
				    "use --worker-class threads, or do not set threads",
				    pfi_settings_place(settings, &values->threads), values->threads,
				    pfi_settings_place(settings, &values->worker_class));
	if (values->bind.count == 0)
		return prefork_fail(PREFORK_ECONFIG, "bind (%s) names no address",
				    pfi_settings_place(settings, &values->bind));
	return 0;
}

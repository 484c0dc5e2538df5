/*
 * model/library_options.h -- the library's own settings: the rows, and the struct that holds their values.
 *
 * A new setting is one row in library_options.c and one member here. Everything in lib/ reads the members: a name that
 * does not exist does not compile.
 */
#ifndef PFI_MODEL_LIBRARY_OPTIONS_H
#define PFI_MODEL_LIBRARY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <prefork/log.h>
#include <prefork/settings.h>

#include "model/plan.h"

/* As the words of the row defer_accept. */
enum pfi_defer_accept {
	PFI_DEFER_ACCEPT_AUTO,
	PFI_DEFER_ACCEPT_ON,
	PFI_DEFER_ACCEPT_OFF,
};

/* One member per row, named after it; what a value means is in the text of the row. Times are in ms. A string is NULL
 * where it was given as empty, or not at all. */
struct pfi_library_settings {
	/* Server socket */
	struct prefork_list bind;
	int backlog;
	enum pfi_defer_accept defer_accept;
	bool ipv6_only;
	bool reuse_port;
	uint32_t socket_mode;
	const char *socket_user;
	const char *socket_group;

	/* Workers */
	uint32_t workers;
	uint32_t workers_max; /* 0: by pfi_settings_workers_max() */
	const char *worker_class;
	uint32_t threads;
	uint32_t worker_connections;

	/* Time limits */
	uint64_t timeout_ms;
	uint64_t soft_timeout_ms;
	uint64_t boot_timeout_ms;
	uint64_t graceful_timeout_ms;
	uint64_t drain_idle_ms;
	uint64_t lookup_timeout_ms;
	uint64_t abort_timeout_ms;
	uint64_t orphan_timeout_ms;
	int64_t stop_linger_ms; /* -1: auto */

	/* Replacing workers */
	uint32_t surge;
	uint32_t max_unavailable;
	uint32_t max_requests;
	uint32_t max_requests_jitter;
	uint64_t canary_ms;
	uint32_t restart_intensity;
	uint64_t restart_period_ms;
	enum pfi_boot_failure_policy boot_failure_policy;

	/* Log */
	const char *errorlog;
	enum prefork_log_level loglevel; /* its words are in the order of the enum */

	/* Process */
	const char *pidfile;
	const char *proc_name;
	bool child_subreaper;
	bool close_fds;

	/* This start */
	const char *config;
	bool check_config;
	bool print_config;
};

extern const struct prefork_module pfi_library_module;

/* The values of these settings. */
static inline const struct pfi_library_settings *pfi_library_settings(const struct prefork_settings *settings)
{
	return prefork_settings_values(settings, &pfi_library_module);
}

/* What must hold between several settings: 0, or PREFORK_ECONFIG with an error message. */
int pfi_options_check(const struct prefork_settings *settings);

/* The most workers that run at the same time, surge not counted: `workers_max`, or where that is 0 four times
 * `workers`, at least 64. */
uint32_t pfi_settings_workers_max(const struct pfi_library_settings *values);

/* How many reuseport sockets a listener of a pool with at most `workers_max` workers has: every worker inherits all of
 * them, so a maximum that no one has set does not multiply them. */
uint32_t pfi_settings_sockets(const struct pfi_library_settings *values, uint32_t workers_max);

/* How many threads a worker may have beside its first: `threads`, but at least 1. */
unsigned pfi_settings_threads(const struct pfi_library_settings *values);

#endif

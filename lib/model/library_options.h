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

/* In the order of the choices of the row upgrade. */
enum pfi_upgrade_mode {
	PFI_UPGRADE_AUTOMATIC,
	PFI_UPGRADE_MANUAL,
};

/* In the order of the choices of the row defer_accept. */
enum pfi_defer_accept {
	PFI_DEFER_ACCEPT_AUTO,
	PFI_DEFER_ACCEPT_ON,
	PFI_DEFER_ACCEPT_OFF,
};

/* As the words of the row fd_store. */
enum pfi_fd_store_use {
	PFI_FD_STORE_AUTO,
	PFI_FD_STORE_ON,
	PFI_FD_STORE_OFF,
};

/* In the order of the choices of the row proxy_protocol. */
enum pfi_proxy_mode {
	PFI_PROXY_MODE_OFF,
	PFI_PROXY_MODE_V1,
	PFI_PROXY_MODE_V2,
	PFI_PROXY_MODE_AUTO,
};

/* One member per row, with its name; the text of the row documents it. Times are in ms. A string that is empty or not
 * set is NULL. */
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
	enum pfi_fd_store_use fd_store;
	enum pfi_proxy_mode proxy_protocol;
	struct prefork_list proxy_allow_ips;

	/* Workers */
	uint32_t workers;
	uint32_t workers_max; /* 0: see pfi_settings_workers_max() */
	const char *worker_class;
	uint32_t threads;
	uint32_t worker_connections;

	/* Time limits */
	uint64_t timeout_ms;
	uint64_t soft_timeout_ms;
	uint64_t boot_timeout_ms;
	uint64_t handshake_timeout_ms;
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
	enum pfi_upgrade_mode upgrade;
	uint32_t generations_max;

	/* Log */
	const char *errorlog;
	bool capture_output;
	enum prefork_log_level loglevel; /* the choices are in the order of the enum */
	bool syslog;
	const char *syslog_addr;
	const char *syslog_prefix;
	const char *syslog_facility;

	/* Process */
	const char *pidfile;
	bool daemon;
	bool enable_stdio_inheritance;
	const char *user;
	const char *group;
	bool initgroups;
	int32_t umask; /* -1: unchanged */
	const char *proc_name;
	bool child_subreaper;
	bool close_fds;
	const char *rlimit_nofile; /* these: model/rlimits.h */
	const char *rlimit_nproc;
	const char *rlimit_core;
	const char *rlimit_as;
	const char *rlimit_fsize;
	const char *rlimit_memlock;

	/* This start */
	const char *config;
	bool check_config;
	bool print_config;
	const char *send_reload;
	const char *send_upgrade;
};

extern const struct prefork_module pfi_library_module;

/* The values of these settings. */
static inline const struct pfi_library_settings *pfi_library_settings(const struct prefork_settings *settings)
{
	return prefork_settings_values(settings, &pfi_library_module);
}

/* Check what depends on several settings: 0, or PREFORK_ECONFIG with an error message. */
int pfi_options_check(const struct prefork_settings *settings);

/* The highest number of workers, without surge: `workers_max`; if that is 0, four times `workers`, and at least 64. */
uint32_t pfi_settings_workers_max(const struct pfi_library_settings *values);

/* The number of reuseport sockets of a listener, in a pool of at most `workers_max` workers. Each worker inherits all of
 * them, so that a default of workers_max does not raise the number. */
uint32_t pfi_settings_sockets(const struct pfi_library_settings *values, uint32_t workers_max);

/* The number of worker threads besides the first thread: `threads`, at least 1. */
unsigned pfi_settings_threads(const struct pfi_library_settings *values);

#endif

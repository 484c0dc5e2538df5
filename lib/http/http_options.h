/*
 * http_options -- the settings of HTTP: the rows, and the struct that holds their values.
 *
 * Requests read struct pfi_http_config, which each worker derives from them when it starts.
 */
#ifndef HTTP_HTTP_OPTIONS_H
#define HTTP_HTTP_OPTIONS_H

#include "http/limits.h"
#include "http/request.h"

#include <prefork/settings.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefork_service;

/* In the order of the choices of the row protocol. */
enum pfi_protocol {
	PFI_PROTOCOL_HTTP,
	PFI_PROTOCOL_UWSGI,
};

/* One member per row, named after it; what a value means is in the text of the row. Times are in ms, rates in bytes per
 * second. A string is NULL where it was given as empty, or not at all. */
struct pfi_http_settings {
	int64_t keepalive_ms; /* -1: auto */
	uint64_t header_timeout_ms;
	uint64_t body_timeout_ms;
	uint64_t body_rate;
	uint64_t write_timeout_ms;
	uint64_t response_rate;
	uint32_t limit_request_line;       /* 0: 8190 */
	uint32_t limit_request_fields;     /* 0: 32768 */
	uint32_t limit_request_field_size; /* 0: 8190 */
	uint32_t limit_request_head;
	uint64_t limit_request_body;       /* 0: no limit */
	uint32_t queue_limit;
	uint64_t queue_timeout_ms;
	uint64_t suspend_timeout_ms;
	bool client_gone_on_fin;
	bool stream_uploads;
	uint32_t body_memory;
	uint32_t response_memory;
	uint64_t spool_limit;
	const char *spool_dir;
	bool sendfile;
	bool permit_unconventional_http_method;
	bool casefold_http_method;
	enum pfi_underscores header_map; /* its words are in the order of the enum */
	struct prefork_list forwarder_headers;
	struct prefork_list forwarded_allow_ips;
	enum pfi_protocol protocol;
	struct prefork_list uwsgi_allow_ips;
	struct prefork_list secure_scheme_headers;
	const char *accesslog;
	const char *access_log_format;
	bool disable_redirect_access_to_syslog;
	const char *statsd_host;
	const char *statsd_prefix;
	const char *statsd_name;
	const char *dogstatsd_tags;
	bool enable_backlog_metric;

	/* Rows of libprefork */
	const char *worker_class;
	bool syslog;
	const char *syslog_addr;
	const char *syslog_prefix;
	const char *syslog_facility;
	const char *proc_name;
	uint64_t graceful_timeout_ms;
};

/* The values of these settings; NULL, with an error message: prefork_http_add_options() was not called for them. */
const struct pfi_http_settings *pfi_http_settings(const struct prefork_settings *settings);

/* Where the value of `member` was set, for error messages: "--statsd-host", "app.ini:12: statsd_host". */
static inline const char *pfi_http_origin(const struct prefork_settings *settings, const void *member)
{
	const char *origin = "";

	(void)prefork_settings_origin_of(settings, member, NULL, &origin);
	return origin;
}

/** Read the settings into `config`, which is zero or was read before. -EINVAL: prefork_http_add_options() was not
 *  called, or a value is invalid. */
int pfi_http_configure(struct pfi_http_config *config, const struct prefork_settings *settings);

/** Free the lists of the config, and make them empty. */
void pfi_http_config_clear(struct pfi_http_config *config);

/** The table of callbacks, whose user pointer is a struct pfi_http. */
const struct prefork_service *pfi_http_table(void);

/** Returns *new*, with a copy of the table. NULL: memory ran out. */
struct pfi_http *pfi_http_create(const struct prefork_http_service *service, void *user);
void pfi_http_destroy(struct pfi_http *http);

#endif

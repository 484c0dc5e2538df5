/*
 * raw_env -- values of the setting raw_env, in which {slot} and {pid} are replaced by those of the worker. Pure.
 *
 * Values of gunicorn's stay what they are: other braces, as JSON has them, are plain text.
 */
#ifndef WSGI_RAW_ENV_H
#define WSGI_RAW_ENV_H

#include <stdbool.h>

struct wsgi_raw_env_worker {
	unsigned slot;
	int pid;
};

/** Whether {slot} or {pid} is replaced in `value`. */
bool wsgi_raw_env_needs_worker(const char *value);

/** `value` for this worker, *new*, to be freed by free(3). {{slot}} and {{pid}} become {slot} and {pid}. NULL without
 *  memory. */
char *wsgi_raw_env_expand(const char *value, const struct wsgi_raw_env_worker *worker);

#endif

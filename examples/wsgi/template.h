/*
 * template -- the environ of a listener, copied for each request.
 *
 * It holds the values that all requests of the listener share, and the request
 * line, peer and Host of the previous request: only values that differ are
 * replaced before the dict is copied. The caller has the GIL, and keeps it from
 * wsgi_template_fill() until the copy is made.
 */
#ifndef WSGI_TEMPLATE_H
#define WSGI_TEMPLATE_H

#include "python.h"

#include <stdbool.h>
#include <stddef.h>

struct prefork_request;

/* Parameters of a template; strings are copied. */
struct wsgi_template_config {
	const char *address;     /* of the listener, as prefork_listener_address()    */
	const char *script_name; /* path of the application, "" at the root           */
	bool multithread;
	bool multiprocess;
	PyObject *errors; /* borrowed */
};

/* Values of the previous request that a template keeps. */
enum wsgi_part {
	WSGI_METHOD,
	WSGI_TARGET,
	WSGI_PATH,
	WSGI_QUERY,
	WSGI_SCHEME,
	WSGI_PEER,
	WSGI_PORT,
	WSGI_PROTOCOL,
	WSGI_HOST,
	WSGI_PARTS
};

struct wsgi_template {
	PyObject *environ;
	PyObject *keys[WSGI_PARTS];  /* borrowed                                */
	PyObject *parts[WSGI_PARTS]; /* values in environ, which owns them      */
	unsigned port;               /* value of parts[WSGI_PORT]               */
	unsigned minor;              /* value of parts[WSGI_PROTOCOL]           */
	char *mount;                 /* SCRIPT_NAME without a trailing slash    */
	size_t mount_size;
	bool is_unix;   /* the listener has no name and port: those of Host are used */
	bool is_secure; /* scheme of the previous request: https                       */
};

/** Returns a *new* template, or NULL with an exception set. */
struct wsgi_template *wsgi_template_create(const struct wsgi_template_config *place);
void wsgi_template_destroy(struct wsgi_template *self);

/** Set environ to the values of `request`, except wsgi.input and header fields other than
 *  Host. Returns 0; 1: the path is not below SCRIPT_NAME, and environ must not be used;
 *  -1 with an exception set. */
int wsgi_template_fill(struct wsgi_template *self, struct prefork_request *request);

#endif

/*
 * template -- the environ before a request fills it in: one per listener.
 *
 * It holds what is the same for all requests of the listener, and beside it the
 * request line, the client and the Host of the last one: only what has changed
 * since is made again before the dict is copied. The caller has the GIL, and
 * keeps it from wsgi_template_fill() until it has its copy.
 */
#ifndef WSGI_TEMPLATE_H
#define WSGI_TEMPLATE_H

#include "python.h"

#include <stdbool.h>
#include <stddef.h>

struct prefork_request;

/* What a template is made of; texts are copied. */
struct wsgi_place {
	const char *address;     /* of the listener, as prefork_listener_address()    */
	const char *script_name; /* where the application is mounted, "" at the root  */
	bool multithread;
	bool multiprocess;
	PyObject *errors; /* borrowed */
};

/* The texts of a request that a template remembers. */
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
	PyObject *keys[WSGI_PARTS];  /* borrowed                                   */
	PyObject *parts[WSGI_PARTS]; /* as they are in environ, which owns them    */
	unsigned port;               /* that parts[WSGI_PORT] says                 */
	unsigned minor;              /* that parts[WSGI_PROTOCOL] says             */
	char *mount;                 /* SCRIPT_NAME, without a slash at its end    */
	size_t mount_size;
	bool is_unix;   /* no name and port of its own: those that the client asks for */
	bool is_secure; /* the last request came by https                            */
};

/** A *new* template, or NULL with an exception set. */
struct wsgi_template *wsgi_template_create(const struct wsgi_place *place);
void wsgi_template_destroy(struct wsgi_template *self);

/** Make environ that of `request`, but for its fields other than Host and for
 *  wsgi.input. Returns 0; 1: the path is not below the mount, and environ is of no
 *  use; -1 with an exception set. */
int wsgi_template_fill(struct wsgi_template *self, struct prefork_request *request);

#endif

/*
 * request_hooks -- the hooks pre_request and post_request.
 *
 * If the configuration has none of them, a request costs one comparison. The caller has the GIL, except for
 * wsgi_request_hooks_after().
 */
#ifndef WSGI_REQUEST_HOOKS_H
#define WSGI_REQUEST_HOOKS_H

#include "python.h"

#include <stdbool.h>

struct prefork_request;
struct wsgi_hooked;

/* Which hooks there are: set in a worker before its first request. */
extern bool wsgi_has_pre_request, wsgi_has_post_request, wsgi_has_access; /* the last: access() of the logger */

/* The pointer of a request (prefork_request_set_user()) for which access() was called. */
extern const char wsgi_access_was_logged;

/** Make the request object of a request whose environ is `environ`, and call pre_request, which may change `environ`.
 *  `*ret` is *new*, also after an error, for post_request; NULL without memory. Returns 0, or -1 with an exception set. */
int wsgi_request_hooks_before(struct prefork_request *request, PyObject *environ, struct wsgi_hooked **ret);

/** Note the response; `start` is start_response. */
void wsgi_request_hooks_note(struct wsgi_hooked *hooked, PyObject *start);

/** Call access() and post_request when the response was sent, and free `hooked`; NULL is fine. */
void wsgi_request_hooks_after(struct prefork_request *request, struct wsgi_hooked *hooked);

#endif

/*
 * wsgi_request -- call the application for one request: start_response, body, close().
 *
 * The functions take the GIL, except wsgi_request_prepare().
 */
#ifndef WSGI_REQUEST_H
#define WSGI_REQUEST_H

#include "python.h"

struct prefork_request;
struct wsgi_template;

/* The application as a worker serves it. The worker owns the references. */
struct wsgi_application {
	PyObject *callable;
	struct wsgi_template **templates; /* one per listener */
};

/** Returns 0, or -1 with an exception set. Call it once, with the GIL held. */
int wsgi_request_prepare(void);

/** The handler of struct prefork_http_service: returns 0 or a negative error. */
int wsgi_request_handle(struct prefork_request *request, const struct wsgi_application *application);

/** Its callback `finished`: releases the body of a response that the library pulled. */
void wsgi_request_finished(struct prefork_request *request);

#endif

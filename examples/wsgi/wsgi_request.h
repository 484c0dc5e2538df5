/*
 * call -- one request through the application: start_response, the body, the
 * end.
 *
 * All functions take the GIL themselves.
 */
#ifndef WSGI_CALL_H
#define WSGI_CALL_H

#include "python.h"

struct prefork_log;
struct prefork_request;
struct wsgi_template;

/* What every request of a worker needs. References are owned by the worker. */
struct wsgi_host {
	PyObject *application;
	struct wsgi_template **templates; /* one per listener */
	struct prefork_log *log;
};

/** 0, or -1 with an exception set. Once; the caller has the GIL. */
int wsgi_call_prepare(void);

/** For struct prefork_http_service. */
int wsgi_call_handle(struct prefork_request *request, const struct wsgi_host *host);
void wsgi_call_finished(struct prefork_request *request);

#endif

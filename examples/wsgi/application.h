/*
 * application -- the operator's application, in a worker or, with --preload,
 * once in the arbiter before any fork.
 *
 * Process-wide, as Python is. Nothing here is called with the GIL held.
 */
#ifndef WSGI_APPLICATION_H
#define WSGI_APPLICATION_H

#include "wsgi_request.h"

struct prefork_log;
struct prefork_settings;
struct prefork_worker;

/** Import it here, without serving it: for --check-config and --preload. Returns 0;
 *  PREFORK_ECONFIG, PREFORK_EBOOT: Python does not start; PREFORK_EAPP with the
 *  traceback in `log`. The working directory is as before. `program` is argv[0]. */
int wsgi_application_import(const struct prefork_settings *settings, const char *program, struct prefork_log *log);

/** Make it ready to serve in this worker, imported here unless it was before the
 *  fork. Errors as above. */
int wsgi_application_start(struct prefork_worker *worker, const char *program);

/** What wsgi_call_handle() needs. After wsgi_application_start(). */
const struct wsgi_host *wsgi_application_host(void);

#endif

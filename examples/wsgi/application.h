/*
 * application -- import the Python application: in each worker or, with --preload,
 * once in the arbiter before the forks.
 *
 * Process-wide state, as the interpreter is. Call these functions without the GIL.
 */
#ifndef WSGI_APPLICATION_H
#define WSGI_APPLICATION_H

#include "wsgi_request.h"

#include <stdbool.h>

struct prefork_log;
struct prefork_settings;
struct prefork_worker;

/** Import the application without serving it: for --check-config and --preload. `program` is
 *  argv[0]. Restores the working directory. Returns 0, or with an error message:
 *  PREFORK_ECONFIG; PREFORK_EBOOT: Python does not start; PREFORK_EAPP: the import failed,
 *  and its traceback is in `log`. */
int wsgi_application_import(const struct prefork_settings *settings, const char *program, struct prefork_log *log);

/** Whether Python finds `package`. Asks it in a process of its own, so that this one does not start Python. Returns 0
 *  also if Python does not start; -ENOENT; another negative errno with an error message if fork(2) fails. */
int wsgi_application_find_package(const struct prefork_settings *settings, const char *program, const char *package);

/** Prepare it for serving in this worker; import it unless it was preloaded. Errors as above. */
int wsgi_application_start(struct prefork_worker *worker, const char *program);

/** In a worker: import the application, if it is not imported yet. The caller has the GIL. Returns it, borrowed, or NULL with
 *  an exception set. With --reload, an application that does not load is replaced by one whose responses are its
 *  traceback (prefork_wsgi.failure_page). */
PyObject *wsgi_application_load(const struct prefork_settings *settings);

/** Serve `application`, which is borrowed, instead of what was imported. */
void wsgi_application_set(PyObject *application);

/** Whether its import has been tried. */
bool wsgi_application_was_tried(void);

/** Takes the exception that is set, which an import of the application has raised: logs its traceback, and returns
 *  PREFORK_EAPP with an error message. The caller has the GIL. */
int wsgi_application_fail(const struct prefork_settings *settings);

/** The argument of wsgi_request_handle(). Valid after wsgi_application_start(). */
const struct wsgi_application *wsgi_application_get(void);

#endif

/*
 * paste -- --paste: the application of a file of PasteDeploy, and the settings in that file.
 *
 * PasteDeploy itself is needed to load the application only.
 */
#ifndef WSGI_PASTE_H
#define WSGI_PASTE_H

#include "python.h"

#include <stdbool.h>

struct prefork_settings;

/** Whether --paste names the application. */
bool wsgi_paste_is_set(const struct prefork_settings *settings);

/** For a completion: set the settings that the file has, below all other sources but the defaults. Starts Python. PREFORK_ECONFIG with
 *  an error message: the file is missing or wrong. */
int wsgi_paste_apply(struct prefork_settings *settings);

/** Returns a *new* reference to the application, or NULL with an exception set. `takes_any`: it need not be a WSGI
 *  application. The caller has the GIL, and is in the directory of the application. */
PyObject *wsgi_paste_load(const struct prefork_settings *settings, bool takes_any);

#endif

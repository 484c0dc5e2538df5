/*
 * kitchen -- the applications of tests/e2e/apps/kitchen.py, called through the bridge with the fake of
 * <prefork/http.h>.
 */
#ifndef TESTS_KITCHEN_H
#define TESTS_KITCHEN_H

#include "python.h"

#include "wsgi_request.h"
#include "fake_http.h"
#include "template.h"

extern struct wsgi_application kitchen;
extern struct wsgi_template *kitchen_template;
extern char kitchen_log[1 << 16]; /* all log messages */

/** The output of wsgi.errors. */
const char *kitchen_errors_path(void);

/** A fixture: start Python and load the application. The GIL is not held afterwards. The environment variable KITCHEN_FILE
 *  is the path of a file that is written, and served by some responses. */
void kitchen_open(void);

/** GET `target`, which is borrowed. */
struct prefork_request kitchen_request(const char *target);

/** Serve it as the library does: on an error before the head status 500, else the whole body; then
 *  `finished`. The caller frees request->sent. */
void kitchen_serve(struct prefork_request *request);

#endif

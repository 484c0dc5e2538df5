/*
 * kitchen -- the applications of tests/e2e/apps/kitchen.py behind the bridge,
 * over the fake of <prefork/http.h>.
 */
#ifndef TESTS_KITCHEN_H
#define TESTS_KITCHEN_H

#include "python.h"

#include "wsgi_request.h"
#include "fake_http.h"
#include "template.h"

extern struct wsgi_application kitchen;
extern struct wsgi_template *kitchen_template;
extern char kitchen_log[1 << 16]; /* what was logged, one after the other */

#define KITCHEN_ERRORS KITCHEN_FILE "-errors" /* what was written to wsgi.errors */

/** A fixture: start Python and load the application. The GIL is not held afterwards. */
void kitchen_open(void);

/** GET `target`, which is borrowed. */
struct prefork_request kitchen_request(const char *target);

/** As the library does it: 500 where nothing was begun, the body driven to its end,
 *  and `finished` in any case. The caller frees request->sent. */
void kitchen_serve(struct prefork_request *request);

#endif

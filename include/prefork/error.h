/*
 * prefork/error.h -- how the library fails.
 *
 * Every function that can fail returns 0 or a negative number: a negative
 * errno, or one of the PREFORK_E* below. The error message that goes with it, made
 * for the person at the keyboard, is kept per thread until the next failure.
 *
 * Where a pointer must not be NULL and is, every public function answers -EINVAL, with an error message that
 * names the function and the argument, and does nothing else. Functions that return something else answer NULL,
 * false, 0 (a slot, a thread or a listener: the largest number), PREFORK_CLOSE or PREFORK_QUIT, with the same message.
 * Functions that a signal handler may call leave no message.
 *
 * Threads: all functions here may be called from any thread. Fork: the child
 * has the error message of the thread that forked.
 */
#ifndef PREFORK_ERROR_H
#define PREFORK_ERROR_H

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Far below every errno, so that the two can never meet. */
#define PREFORK_ECONFIG (-5001) /* a setting is wrong; nothing was started           */
#define PREFORK_EUSAGE (-5002)  /* the command line is wrong; nothing was started    */
#define PREFORK_EBOOT (-5003)   /* the first workers did not become ready            */
#define PREFORK_EAPP (-5004)    /* the first workers could not load the application  */
#define PREFORK_EFATAL (-5078)  /* a worker left with status 78: do not try again    */

/** The error message of this thread's last failure, "" when there was none. The
 *  text belongs to the library and stays until this thread's next failure.
 *  Since 0.1. */
PREFORK_API const char *prefork_error(void);

/** Forget it: prefork_error() is "" until the next failure. Since 0.1. */
PREFORK_API void prefork_error_clear(void);

/** Record an error message as this thread's last failure and return `error`, so that
 *  a callback can say `return prefork_fail(-EINVAL, "no such queue: %s", name)`.
 *  Cut after 1023 bytes. Since 0.1. */
PREFORK_API int prefork_fail(int error, const char *format, ...) PREFORK_PRINTF(2, 3);

/** The exit status of a program whose last answer was `result`: 0 for 0 and
 *  above, 2 for PREFORK_EUSAGE and PREFORK_ECONFIG (whatever place a wrong setting
 *  has: command line, environment or file), 3 for PREFORK_EBOOT, 4 for PREFORK_EAPP, 78 for
 *  PREFORK_EFATAL, 1 for anything else. Since 0.1. */
PREFORK_API int prefork_exit_status(int result);

#ifdef __cplusplus
}
#endif

#endif

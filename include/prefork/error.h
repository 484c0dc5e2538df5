/*
 * prefork/error.h -- error codes and error messages.
 *
 * Every function that can fail returns 0 or a negative number: a negative errno, or one of the PREFORK_E* below. The
 * library keeps an error message, written for the operator, per thread until the next failure.
 *
 * If a pointer is NULL that must not be, a public function returns -EINVAL, sets an error message that names the
 * function and the argument, and does nothing else. Functions with another type of result return NULL, false, 0
 * (a slot, a thread or a listener: the largest number), PREFORK_CLOSE or PREFORK_QUIT, with the same message.
 * Functions that may be called in a signal handler set no message.
 *
 * Threads: all functions here may be called in any thread. Fork: the child has the error message of the thread that
 * forked.
 */
#ifndef PREFORK_ERROR_H
#define PREFORK_ERROR_H

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Below every negative errno: Linux has none beyond 4095. */
#define PREFORK_ECONFIG (-5001) /* a setting is invalid; nothing was started         */
#define PREFORK_EUSAGE (-5002)  /* the command line is invalid; nothing was started  */
#define PREFORK_EBOOT (-5003)   /* the first workers did not become ready            */
#define PREFORK_EAPP (-5004)    /* the first workers could not load the application  */
#define PREFORK_EFATAL (-5078)  /* a worker exited with status 78: do not retry      */

/** The error message of this thread's last failure; "" if there was none. The string belongs to the library and is
 *  valid until this thread's next failure. Since 0.1. */
PREFORK_API const char *prefork_error(void);

/** Clear the error message: prefork_error() returns "" until the next failure. Since 0.1. */
PREFORK_API void prefork_error_clear(void);

/** Set this thread's error message and return `error`. A callback fails by
 *  `return prefork_fail(-EINVAL, "no such queue: %s", name)`. Truncated to 1023 bytes. The message of the last failure
 *  may be an argument. Since 0.1. */
PREFORK_API int prefork_fail(int error, const char *format, ...) PREFORK_PRINTF(2, 3);

/** The exit status of a program for `result`, the last return value: 0 for 0 and above, 2 for PREFORK_EUSAGE and
 *  PREFORK_ECONFIG (an invalid setting in the command line, the environment or the file), 3 for PREFORK_EBOOT, 4 for
 *  PREFORK_EAPP, 78 for PREFORK_EFATAL, 1 for any other error. Since 0.1. */
PREFORK_API int prefork_exit_status(int result);

#ifdef __cplusplus
}
#endif

#endif

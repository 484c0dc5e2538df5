/*
 * prefork/version.h -- which library is this?
 *
 * Threads, fork: may be called anywhere, at any time.
 */
#ifndef PREFORK_VERSION_H
#define PREFORK_VERSION_H

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that is loaded, such as "0.1.0": a static string
 *  that the library owns. Since 0.1. */
PREFORK_API const char *prefork_version(void);

#ifdef __cplusplus
}
#endif

#endif

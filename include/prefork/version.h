/*
 * prefork/version.h -- the version of the library: of the headers, and of the loaded library.
 *
 * The macros give the version of the headers that a program is compiled with. prefork_version() returns the
 * version of the library that the program runs with, which may be newer.
 *
 * Threads, fork: prefork_version() may be called in any thread, in any process, and in signal handlers.
 */
#ifndef PREFORK_VERSION_H
#define PREFORK_VERSION_H

#include <prefork/export.h>

#define PREFORK_VERSION_MAJOR 0
#define PREFORK_VERSION_MINOR 1
#define PREFORK_VERSION_PATCH 0

/* For comparisons in #if: 0x000100 is 0.1.0. */
#define PREFORK_VERSION_NUM \
	(PREFORK_VERSION_MAJOR << 16 | PREFORK_VERSION_MINOR << 8 | \
	 PREFORK_VERSION_PATCH)

#define PREFORK_VERSION_TEXT_(major, minor, patch) #major "." #minor "." #patch
#define PREFORK_VERSION_EXPAND_(major, minor, patch) PREFORK_VERSION_TEXT_(major, minor, patch)

/* The same as text: "0.1.0". */
#define PREFORK_VERSION \
	PREFORK_VERSION_EXPAND_(PREFORK_VERSION_MAJOR, \
				PREFORK_VERSION_MINOR, PREFORK_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the loaded library, such as "0.1.0". Returns a static string. Since 0.1. */
PREFORK_API const char *prefork_version(void);

#ifdef __cplusplus
}
#endif

#endif

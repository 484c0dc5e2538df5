/*
 * prefork/export.h -- marks what the shared libraries show.
 */
#ifndef PREFORK_EXPORT_H
#define PREFORK_EXPORT_H

#if defined(__GNUC__)
#define PREFORK_API __attribute__((visibility("default")))
#define PREFORK_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define PREFORK_API
#define PREFORK_PRINTF(text, first)
#endif

#endif

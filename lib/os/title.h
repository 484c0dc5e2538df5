/*
 * title -- the process title that ps(1) shows: "prefork: worker 3 [shop] serving".
 *
 * It is written over the strings of argv and the environment, which are copied first. Without pfi_title_init(), or if
 * the strings are not where the kernel put them, titles stay unchanged.
 */
#ifndef OS_TITLE_H
#define OS_TITLE_H

#include <prefork/export.h>

/* Call it once, before other threads exist, and before the program keeps a result of getenv(3). The pointers in `argv`
 * and `environ` are replaced by pointers to copies. */
void pfi_title_init(int argc, char **argv);

/* Truncated to the size of the old strings. */
void pfi_title_set(const char *format, ...) PREFORK_PRINTF(1, 2);

#endif

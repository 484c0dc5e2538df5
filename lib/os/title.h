/*
 * title -- what ps shows: "prefork: worker 3 [shop] serving".
 *
 * Written over the strings that the kernel put behind argv and the environment,
 * which move elsewhere first. A program that never calls init, or whose
 * strings are not where they were, keeps its title: set is then a no-op.
 */
#ifndef OS_TITLE_H
#define OS_TITLE_H

#include <prefork/export.h>

/* Once, early, before threads and before anybody keeps what getenv() returned.
 * The pointers in `argv` and `environ` are replaced by pointers to copies. */
void pfi_title_init(int argc, char **argv);

/* Cut to the room there is. */
void pfi_title_set(const char *format, ...) PREFORK_PRINTF(1, 2);

#endif

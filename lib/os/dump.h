/*
 * dump -- the stack of the calling thread, from within a signal handler.
 *
 * Function names come from the dynamic symbol table only: link hosts with
 * -rdynamic, or give the addresses to addr2line.
 */
#ifndef OS_DUMP_H
#define OS_DUMP_H

#include <stdbool.h>

/* Load now what the first dump would load, with malloc, in a handler. */
void pfi_dump_prepare(void);

/* One line per frame. Async-signal-safe. False where it cannot be done. */
bool pfi_dump_stack(int fd);

#endif

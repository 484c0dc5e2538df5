/*
 * arbiter/start_lines.h -- the lines of the log at the start of an arbiter.
 */
#ifndef ARBITER_START_LINES_H
#define ARBITER_START_LINES_H

struct prefork_arbiter;

/* Between the opening of the listeners and the first fork. */
void pfi_start_lines_log(struct prefork_arbiter *arbiter);

#endif

/*
 * arbiter/pid.h -- the pid file of the setting `pidfile`, through start, upgrade and end.
 *
 * An arbiter that is started by another one to replace it has a file of its own, with a suffix, beside that of the old
 * one. When it takes over, it gives its locked file the plain name; the old arbiter then finds another inode there, and
 * leaves it.
 */
#ifndef ARBITER_PID_H
#define ARBITER_PID_H

struct prefork_arbiter;

/* Make and lock the file, with `suffix` after its name (""; ".2" while the old arbiter serves). Without the setting
 * there is nothing to do. 0, or a negative errno with an error message. */
int pfi_pid_open(struct prefork_arbiter *arbiter, const char *suffix);

/* Give the file the plain name, in place of the old arbiter's. 0, or a negative errno with an error message: the file
 * keeps its suffix. */
int pfi_pid_take_name(struct prefork_arbiter *arbiter);

/* Remove the file, unless its name has another file by now. */
void pfi_pid_close(struct prefork_arbiter *arbiter);

#endif

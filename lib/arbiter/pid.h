/*
 * arbiter/pid.h -- the pid file that the setting pidfile names.
 *
 * During an upgrade both arbiters have a file: the name of the new arbiter's file has a suffix. When the new arbiter
 * takes over, it renames its locked file to the plain name. The old arbiter then finds another inode under that name,
 * and does not remove it.
 */
#ifndef ARBITER_PID_H
#define ARBITER_PID_H

struct prefork_arbiter;

/* The suffix of the new arbiter's file. */
#define PFI_PID_NEXT ".2"

/* Create and lock the file, with `suffix` after its name: "", or PFI_PID_NEXT while the old arbiter serves. No effect if pidfile
 * is not set. 0, or a negative errno with an error message. */
int pfi_pid_open(struct prefork_arbiter *arbiter, const char *suffix);

/* Rename the file to the name without the suffix, over the old arbiter's. 0, or a negative errno with an error message,
 * and the file keeps its suffix. */
int pfi_pid_take_name(struct prefork_arbiter *arbiter);

/* The new arbiter has exited: remove its file if it has not done so itself, which the free lock shows. 0;
 * -EAGAIN: a process has the lock. */
int pfi_pid_remove_next(const struct prefork_arbiter *arbiter);

/* Remove the file, unless another file has its name by now. */
void pfi_pid_close(struct prefork_arbiter *arbiter);

#endif

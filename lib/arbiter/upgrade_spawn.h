/*
 * arbiter/upgrade_spawn.h -- start the new arbiter with the sockets of this one.
 *
 *     PREFORK_FDS             the listeners, see listener/hand_over.h
 *     PREFORK_UPGRADE_PID     the process that these variables are for
 *     PREFORK_UPGRADE_FROM    the pid of this arbiter
 *     PREFORK_UPGRADE_FD      the end of the control channel
 *     PREFORK_UPGRADE_OLDER   PID=PIDFD,PID=PIDFD: arbiters before this one that still drain
 */
#ifndef ARBITER_UPGRADE_SPAWN_H
#define ARBITER_UPGRADE_SPAWN_H

#include "os/spawn.h"

struct prefork_arbiter;

/* Fork and exec. Stores the child, and this arbiter's end of the channel. 0, or as pfi_reexec(). */
int pfi_upgrade_spawn(struct prefork_arbiter *arbiter, struct pfi_child *ret, int *ret_channel);

#endif

/*
 * starter -- environment variables that the program that started this process has set for it alone: inherited sockets
 * (sd_listen_fds(3), Server::Starter, PREFORK_FDS and PREFORK_UPGRADE_*), sd_notify(3), and the slot of the worker that this
 * program was started by.
 *
 * They are removed, so that workers, the application, and the programs that these start do not use them.
 */
#ifndef OS_STARTER_H
#define OS_STARTER_H

#include <stdbool.h>

/* Remove the variables of inherited sockets, PREFORK_UPGRADE_* and PREFORK_SLOT included; or PREFORK_UPGRADE_* alone. Not
 * while other threads use the environment. */
void pfi_starter_forget_sockets(void);
void pfi_starter_forget_upgrade(void);

/* Remove those of sd_notify(3). Not while other threads use the environment. */
void pfi_starter_forget_notify(void);

/* Whether NAME=VALUE is a variable of inherited sockets, PREFORK_UPGRADE_* or PREFORK_SLOT. */
bool pfi_starter_is_own_variable(const char *variable);

/* Whether PREFORK_UPGRADE_PID names this process: it was started for a binary upgrade (os/reexec.h), and the variables have
 * not been removed yet. */
bool pfi_starter_is_upgrade(void);

/* Runs in a forked child: remove all of these. Not with unsetenv(3), which takes a lock that another thread of the parent may
 * have held during the fork. Allocates nothing. */
void pfi_starter_forget_in_child(void);

#endif

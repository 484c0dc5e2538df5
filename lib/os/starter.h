/*
 * starter -- what the starter of this process has put into its environment for it alone:
 * sockets that are handed over (sd_listen_fds(3), Server::Starter, PREFORK_FDS) and
 * sd_notify(3). A worker, an application, or a program that either starts must not take
 * itself for the process that is meant.
 */
#ifndef OS_STARTER_H
#define OS_STARTER_H

/* Remove what is about sockets. Not while other threads use the environment. */
void pfi_starter_forget_sockets(void);

/* Remove what is about sd_notify(3). Not while other threads use the environment. */
void pfi_starter_forget_notify(void);

/* Runs in a forked child: remove both, without a lock and without memory. unsetenv(3) takes a
 * lock that another thread of the parent may have held at the fork. */
void pfi_starter_forget_in_child(void);

#endif

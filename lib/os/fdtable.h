/*
 * fdtable -- which descriptors of this process are the library's, and whose they are.
 *
 * There is one table per process. Each descriptor that the library opens is entered with its
 * kind, the arbiter that it belongs to, and the slot of the process that it serves. Two readers
 * follow from it: a worker closes what its arbiter has not listed for it, and a process that the
 * application forks closes everything (prefork_forget_in_child()).
 *
 * A fork may come from any thread at any moment. A descriptor that is open but not entered, or
 * entered but not open, would then be left open in the child, or the child would close a
 * descriptor of the application that has got the number. So the kernel's call and the entry
 * lie between pfi_fdtable_begin() and pfi_fdtable_end(): a fork waits until no thread is
 * between the two. Threads do not wait for each other there: the kernel hands out each number
 * once, and an entry is one 64-bit atomic that never moves.
 *
 * Threads: any. Fork: the table of a child says what its parent's said.
 */
#ifndef OS_FDTABLE_H
#define OS_FDTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum pfi_fd_kind {
	PFI_FD_NONE,
	PFI_FD_EPOLL,
	PFI_FD_EVENT,
	PFI_FD_TIMER,
	PFI_FD_PIDFD,
	PFI_FD_CHANNEL,    /* an end of a socket pair between processes of ours               */
	PFI_FD_LISTENER,
	PFI_FD_PATH,       /* of a unix socket                                                */
	PFI_FD_CONNECTION,
	PFI_FD_PIDFILE,
	PFI_FD_NOTIFY,     /* the socket of the service manager                                */
	PFI_FD_LOG,        /* stays open in forked children: what they log has to go somewhere */
	PFI_FD_KINDS
};

/* "an epoll set": for messages. */
const char *pfi_fd_kind_name(enum pfi_fd_kind kind);

/* No fork of this process happens between these two. They do not nest, keep errno, and what lies
 * between must not wait for anything. */
void pfi_fdtable_begin(void);
void pfi_fdtable_end(void);

/* Between begin and end. Enters `fd` and answers it, which a negative one, or no memory (then it
 * is closed), turns into a negative errno. A number below 3 is exchanged for a higher one, and
 * /dev/null opened there: what the program prints must not reach a socket of ours. */
int pfi_fdtable_enter(int fd, enum pfi_fd_kind kind);

/* Enter one that is open already, under any number; take it out without closing it. */
int pfi_fdtable_adopt(int fd, enum pfi_fd_kind kind);
void pfi_fdtable_remove(int fd);

/* close(2), and take it out if it is entered. Changes errno. */
void pfi_fdtable_close(int fd);

/* Say whose it is: of an arbiter (1 and up; 0: of the program), and of one of its processes, or
 * of none in particular. Descriptors that are not entered are passed over. */
enum { PFI_FD_NO_SLOT = 0xffffff };
void pfi_fdtable_set_owner(int fd, uint32_t arbiter, unsigned slot);

/* What the table says of a descriptor. */
struct pfi_fd_entry {
	enum pfi_fd_kind kind;
	uint32_t arbiter;
	unsigned slot;
};
struct pfi_fd_entry pfi_fdtable_look_up(int fd);

/* Open and enter: a close-on-exec and, but for an epoll set and a pidfd, non-blocking descriptor, or
 * a negative errno. */
int pfi_open_epoll(void);
int pfi_open_eventfd(void);
int pfi_open_pidfd(int pid);
int pfi_open_socket(int family, int flags);
int pfi_open_datagram(void); /* a unix socket */
int pfi_open_pair(int type, int fds[2]);

/* accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC, in errors too. */
int pfi_accept(int listener, struct sockaddr *address, socklen_t *size);

/* The three below run in a child that has one thread, and allocate nothing. */

/* A worker keeps `fd`; then it closes what is entered and not kept. Logs of the program and of
 * this arbiter are always kept. */
void pfi_fdtable_keep(int fd);
void pfi_fdtable_close_rest(uint32_t arbiter);

/* Close all from 3 upwards that are not entered. 0 or a negative errno. */
int pfi_fdtable_close_strangers(void);

/* A child that the application has forked: close everything that is entered, but for logs, and
 * forget it. Async-signal-safe. From then on pfi_fdtable_is_forgotten(), until this process has
 * workers of its own: what its memory calls a connection is closed. */
void pfi_fdtable_forget(void);

extern atomic_bool pfi_fdtable_forgotten;

static inline bool pfi_fdtable_is_forgotten(void)
{
	return atomic_load_explicit(&pfi_fdtable_forgotten, memory_order_relaxed);
}

/* Around the fork of pfi_spawn(), by the thread that forks: its child is a worker, and handlers of
 * pthread_atfork(3) that want to forget must not. */
void pfi_fdtable_set_spawning(bool spawning);
bool pfi_fdtable_is_spawning(void);

#endif

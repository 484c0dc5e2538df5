/*
 * fdtable -- the table of the descriptors that the library has opened in this process.
 *
 * Each descriptor of the library is entered with its kind, its arbiter, and the slot of the process that it serves. A
 * worker closes the entered descriptors that are not on its own list, and a process that the application forks closes
 * all of them (prefork_forget_in_child()).
 *
 * Any thread may fork at any time. A descriptor that is open but not entered would stay open in the child. For a
 * descriptor that is entered but closed, the child would close a descriptor of the application that has since got the
 * number. Therefore the system call and the entry are made between pfi_fdtable_begin() and pfi_fdtable_end(), and a
 * fork waits until no thread is between the two:
 *
 *     thread                        thread that forks
 *     begin
 *     fd = open()                   before_fork(): waits for `end`
 *     enter(fd)                       |
 *     end  -------------------------> fork(): the child's table is complete
 *     begin: waits for the fork <---- in_parent()
 *
 * Threads do not wait for each other: the kernel returns each number once, and an entry is one 64-bit atomic that never
 * moves.
 *
 * Threads: any. Fork: the child starts with a copy of the table.
 */
#ifndef OS_FDTABLE_H
#define OS_FDTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum pfi_fd_kind {
	PFI_FD_NONE,
	PFI_FD_EPOLL,
	PFI_FD_EVENT,
	PFI_FD_TIMER,
	PFI_FD_PIDFD,
	PFI_FD_CHANNEL,    /* one end of a pipe or socket pair between processes of the library */
	PFI_FD_LISTENER,
	PFI_FD_PATH,       /* O_PATH: a directory, or the path of a unix socket                 */
	PFI_FD_CONNECTION,
	PFI_FD_PIDFILE,
	PFI_FD_NOTIFY,     /* the socket of the service manager                               */
	PFI_FD_WATCHED,    /* by the arbiter, for the application                             */
	PFI_FD_KEPT,       /* by the arbiter, for the next binary upgrade                     */
	PFI_FD_LOG,        /* stays open in processes that the application forks, for their log */
	PFI_FD_KINDS
};

/* "an epoll set": for messages. */
const char *pfi_fd_kind_name(enum pfi_fd_kind kind);

/* This process does not fork between begin and end. The calls do not nest and preserve errno; nothing between them may
 * block. */
void pfi_fdtable_begin(void);
void pfi_fdtable_end(void);

/* Between begin and end: enter `fd`, the result of a system call. A number below 3 is first replaced by a higher one,
 * and /dev/null opened in its place. Returns the descriptor; a negative errno if `fd` is negative (errno is the reason)
 * or if there is no memory, in which case `fd` is closed. */
int pfi_fdtable_enter(int fd, enum pfi_fd_kind kind);

/* The same for PFI_FD_CONNECTION; faster if the number was entered before. */
int pfi_fdtable_enter_connection(int fd);

/* Enter a descriptor that is already open, with any number; remove it without closing it. */
int pfi_fdtable_adopt(int fd, enum pfi_fd_kind kind);
void pfi_fdtable_remove(int fd);

/* Close `fd`, and remove it if it is entered. Changes errno. */
void pfi_fdtable_close(int fd);

/* Store the arbiter (from 1; 0: the program) and the slot of a descriptor. No effect if it is not entered. */
enum { PFI_FD_NO_SLOT = 0xffffff };
void pfi_fdtable_set_owner(int fd, uint32_t arbiter, unsigned slot);

struct pfi_fd_entry {
	enum pfi_fd_kind kind;
	uint32_t arbiter;
	unsigned slot;
};
struct pfi_fd_entry pfi_fdtable_look_up(int fd);

/* Mark a descriptor as one of a file that this process has created. The lowest one of the program or of `arbiter`, -1:
 * none. */
void pfi_fdtable_set_new(int fd, bool is_new);
bool pfi_fdtable_is_new(int fd);
int pfi_fdtable_find_new(uint32_t arbiter);

/* The lowest descriptor from `from` on that is entered with this kind; -1: there is none. */
int pfi_fdtable_next(int from, enum pfi_fd_kind kind);

/* Whether an arbiter other than `arbiter` has a listener. */
bool pfi_fdtable_has_other_listener(uint32_t arbiter);

/* The next three run in a child that has one thread, and allocate nothing. */

/* Keep `fd` at the next pfi_fdtable_close_rest(), which closes all entered descriptors but the kept ones, and the logs
 * of the program and of this arbiter. */
void pfi_fdtable_keep(int fd);
void pfi_fdtable_close_rest(uint32_t arbiter);

/* Close all descriptors from 3 that are not entered. 0; -ENOSYS before Linux 5.9. */
int pfi_fdtable_close_unlisted(void);

/* In a process that the application has forked: close and remove all entered descriptors but logs. Async-signal-safe.
 * From then on pfi_fdtable_is_forgotten() is true, until this process starts workers: the connections in its memory are
 * closed. */
void pfi_fdtable_forget(void);

extern atomic_bool pfi_fdtable_forgotten;

static inline bool pfi_fdtable_is_forgotten(void)
{
	return atomic_load_explicit(&pfi_fdtable_forgotten, memory_order_relaxed);
}

/* The number of forks, by fork(3), from the first process with this table to this one. A process that keeps a copy of
 * it finds out without a system call that it is a forked child. clone(2) does not count. */
extern atomic_uint pfi_fdtable_forks;

static inline unsigned pfi_fdtable_count_forks(void)
{
	return atomic_load_explicit(&pfi_fdtable_forks, memory_order_relaxed);
}

/* Set by the thread that forks, around the fork of pfi_spawn(): the child is a worker, in which a handler of
 * pthread_atfork(3) must not call prefork_forget_in_child(). */
void pfi_fdtable_set_spawning(bool spawning);
bool pfi_fdtable_is_spawning(void);

#endif

/*
 * arbiter/loop.h -- the epoll instance of an arbiter, its timer, and the eventfd of prefork_arbiter_request_*().
 *
 * The application polls the epoll descriptor; the arbiter itself never blocks in it.
 */
#ifndef ARBITER_LOOP_H
#define ARBITER_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct prefork_arbiter;

enum { PFI_EVENTS_MAX = 64 };

/* The source of an event. The tag holds no pointer: when an event is read, its slot may already hold another process,
 * which has another incarnation. */
enum pfi_source {
	PFI_SOURCE_TIMER,
	PFI_SOURCE_REQUESTS,
	PFI_SOURCE_SIGNALS,
	PFI_SOURCE_PIDFD,
	PFI_SOURCE_CHANNEL,
	PFI_SOURCE_WATCHDOG,
	PFI_SOURCE_QUERY,  /* worker_index: the slot of a connection, see queries.c                  */
	PFI_SOURCE_LOOKUP, /* incarnation: the generation whose names are looked up                 */
	PFI_SOURCE_TRIAL,  /* incarnation: its number                                               */
	PFI_SOURCE_QUEUE,  /* worker_index: the reuseport socket, incarnation: the listener's number */
	PFI_SOURCE_UPGRADE,      /* the channel to the new arbiter; incarnation: its pid                  */
	PFI_SOURCE_UPGRADE_EXIT, /* its pidfd; incarnation: its pid                                       */
	PFI_SOURCE_WATCH,       /* worker_index: of the application's descriptor, incarnation: its id    */
	PFI_SOURCE_PREDECESSOR, /* incarnation: the pid of an older arbiter; worker_index: predecessor.c  */
};

struct pfi_tag {
	enum pfi_source source;
	unsigned worker_index; /* over all pools */
	uint32_t incarnation;
};

/* Written by loop.c. */
struct pfi_loop {
	int epoll, timer, request_fd;
	uint64_t timer_at_ms; /* when the timer expires; 0: it is not armed */
};

/* Open the descriptors and give the arbiter its id. 0, or a negative errno with an error message. */
int pfi_loop_open(struct prefork_arbiter *arbiter);

/* Check that the program has not closed a descriptor of the arbiter. 0, or -EBADF with an error message. */
int pfi_loop_verify(const struct prefork_arbiter *arbiter);

void pfi_loop_close(struct prefork_arbiter *arbiter);

/* Poll `fd` for reading, level-triggered but for watchdog timers and pidfds of children. 0, or a negative errno with an error message. */
int pfi_loop_add(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag);

/* Return one event for `fd`, then none until the next call. 0 or a negative errno. */
int pfi_loop_add_once(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag);

/* Call it before close(2). A negative `fd` is fine. */
void pfi_loop_remove(struct prefork_arbiter *arbiter, int fd);

/* Set the timer to expire at `at_ms`; 0: never. */
void pfi_loop_arm(struct prefork_arbiter *arbiter, uint64_t at_ms);

/* Clear what PFI_SOURCE_TIMER and PFI_SOURCE_REQUESTS reported. */
void pfi_loop_clear_timer(struct prefork_arbiter *arbiter);
void pfi_loop_clear_request(struct prefork_arbiter *arbiter);

/* Wake the arbiter. Any thread, signal handlers. */
void pfi_loop_wake(struct prefork_arbiter *arbiter);

/* Take the events that are ready, without waiting. Returns their number. */
size_t pfi_loop_take(struct prefork_arbiter *arbiter, struct pfi_tag tags[PFI_EVENTS_MAX]);

#endif

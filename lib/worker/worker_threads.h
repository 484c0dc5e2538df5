/*
 * worker_threads -- the numbered threads of a worker.
 *
 * The first thread has number 0. Every other thread runs the same body and has a
 * number from 1, and with it its own slot (deadline, activity) in the scoreboard.
 * The threads block all signals except those that report a fault of the thread
 * itself and PFI_DUMP_SIGNAL: signals to the process reach the first thread.
 *
 * Ownership: the caller's memory holds the group and must not move; `user` is
 * borrowed. Threads: the first thread starts and joins.
 */
#ifndef WORKER_WORKER_THREADS_H
#define WORKER_WORKER_THREADS_H

#include <pthread.h>

struct prefork_worker;
struct pfi_numbered_thread;

struct pfi_worker_threads {
	struct prefork_worker *worker;
	void (*body)(void *user, unsigned number);
	void *user;
	pthread_mutex_t lock;
	pthread_cond_t decided;
	int verdict; /* enum verdict: run the body, or return because not all threads could be created */
	struct pfi_numbered_thread *list;
	unsigned count;
};

/* Start `count` threads that run body(user, number), all or none: no thread enters the body
 * before all are created. 0, or a negative errno with an error message: -EAGAIN when the
 * system refuses another thread, -ERANGE when `count` exceeds the worker's slots, -ENOMEM. */
int pfi_worker_threads_start(struct pfi_worker_threads *group, struct prefork_worker *worker, unsigned count,
			     void (*body)(void *user, unsigned number), void *user);

/* Wait until every body has returned. Harmless when zeroed and never started. */
void pfi_worker_threads_join(struct pfi_worker_threads *group);

/* The calling thread has no number from here on. */
void pfi_worker_threads_clear_number(void);

#endif

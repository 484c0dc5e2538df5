/*
 * hands -- the numbered threads of a worker.
 *
 * Each runs the same body and has a number, 1 and up, and with it a deadline
 * word of its own in the shared page. All signals are blocked in them, but for
 * those that tell of a fault of the thread itself and the one that asks for its
 * stack: the first thread is the one that hears of the world.
 *
 * Ownership: the caller's memory holds the hands, and must not move; `user` is
 * borrowed. Threads: start and join by the first thread.
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
	int verdict; /* whether they may begin, or must go: not all could be made */
	struct pfi_numbered_thread *list;
	unsigned count;
};

/* Start `count` threads that run body(user, number), all or none: nobody enters the body
 * before everybody is there. 0, or a negative errno with its error message: -EAGAIN when the
 * system has no more threads, -ERANGE when the worker has not so many numbers. */
int pfi_worker_threads_start(struct pfi_worker_threads *group, struct prefork_worker *worker, unsigned count,
                    void (*body)(void *user, unsigned number), void *user);

/* Wait until every body has returned. Harmless when zeroed and never started. */
void pfi_worker_threads_join(struct pfi_worker_threads *group);

#endif

#include "worker/worker_threads.h"

#include "os/dump.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum verdict { UNDECIDED, BEGIN, GO_AWAY };

struct pfi_numbered_thread {
	struct pfi_worker_threads *threads_group;
	pthread_t thread;
	unsigned number;
};

/* A thread that cannot be told of its own fault dies of it all the same. */
static const int never_blocked[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, PFI_DUMP_SIGNAL };

static bool may_begin(struct pfi_worker_threads *threads_group)
{
	(void)pthread_mutex_lock(&threads_group->lock);
	while (threads_group->verdict == UNDECIDED)
		(void)pthread_cond_wait(&threads_group->decided, &threads_group->lock);
	const bool begins = threads_group->verdict == BEGIN;
	(void)pthread_mutex_unlock(&threads_group->lock);
	return begins;
}

static void decide(struct pfi_worker_threads *threads_group, enum verdict verdict)
{
	(void)pthread_mutex_lock(&threads_group->lock);
	threads_group->verdict = (int)verdict;
	(void)pthread_cond_broadcast(&threads_group->decided);
	(void)pthread_mutex_unlock(&threads_group->lock);
}

static void *live(void *argument)
{
	struct pfi_numbered_thread *const thread = argument;
	struct pfi_worker_threads *const threads_group = thread->threads_group;

	if (may_begin(threads_group) && prefork_worker_set_thread(threads_group->worker, thread->number) == 0)
		threads_group->body(threads_group->user, thread->number);
	return NULL;
}

/* How many of them could be made; *ret_error says why not all. Threads are born with the
 * mask of who makes them. */
static unsigned make(struct pfi_worker_threads *threads_group, unsigned count, int *ret_error)
{
	sigset_t blocked, before;
	unsigned made = 0;

	(void)sigfillset(&blocked);
	for (size_t i = 0; i < sizeof never_blocked / sizeof never_blocked[0]; i++)
		(void)sigdelset(&blocked, never_blocked[i]);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
	*ret_error = 0;
	for (; made < count; made++) {
		struct pfi_numbered_thread *const thread = &threads_group->list[made];

		*thread = (struct pfi_numbered_thread){ .threads_group = threads_group, .number = made + 1 };
		*ret_error = pthread_create(&thread->thread, NULL, live, thread);
		if (*ret_error != 0)
			break;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return made;
}

int pfi_worker_threads_start(struct pfi_worker_threads *threads_group, struct prefork_worker *worker, unsigned count,
                    void (*body)(void *user, unsigned number), void *user)
{
	int error;

	*threads_group = (struct pfi_worker_threads){ .worker = worker, .body = body, .user = user };
	if (count > worker->threads)
		return prefork_fail(-ERANGE, "this worker has room for %u threads, not %u", worker->threads, count);
	threads_group->list = calloc(count, sizeof *threads_group->list);
	if (!threads_group->list)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	(void)pthread_mutex_init(&threads_group->lock, NULL);
	(void)pthread_cond_init(&threads_group->decided, NULL);
	threads_group->count = make(threads_group, count, &error);
	decide(threads_group, error == 0 ? BEGIN : GO_AWAY);
	if (error == 0)
		return 0;
	const unsigned made = threads_group->count;
	pfi_worker_threads_join(threads_group);
	return prefork_fail(-error, "the system allows %u of the %u threads of a worker: %s", made, count,
	                    strerror(error));
}

void pfi_worker_threads_join(struct pfi_worker_threads *threads_group)
{
	if (!threads_group->list)
		return;
	for (unsigned i = 0; i < threads_group->count; i++)
		(void)pthread_join(threads_group->list[i].thread, NULL);
	(void)pthread_cond_destroy(&threads_group->decided);
	(void)pthread_mutex_destroy(&threads_group->lock);
	free(threads_group->list);
	*threads_group = (struct pfi_worker_threads){ 0 };
}

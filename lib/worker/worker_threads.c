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
	struct pfi_worker_threads *group;
	pthread_t thread;
	unsigned number;
};

/* A thread that cannot be told of its own fault dies of it all the same. */
static const int never_blocked[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, PFI_DUMP_SIGNAL };

static bool may_begin(struct pfi_worker_threads *group)
{
	(void)pthread_mutex_lock(&group->lock);
	while (group->verdict == UNDECIDED)
		(void)pthread_cond_wait(&group->decided, &group->lock);
	const bool begins = group->verdict == BEGIN;
	(void)pthread_mutex_unlock(&group->lock);
	return begins;
}

static void decide(struct pfi_worker_threads *group, enum verdict verdict)
{
	(void)pthread_mutex_lock(&group->lock);
	group->verdict = (int)verdict;
	(void)pthread_cond_broadcast(&group->decided);
	(void)pthread_mutex_unlock(&group->lock);
}

static void *run_thread(void *argument)
{
	struct pfi_numbered_thread *const thread = argument;
	struct pfi_worker_threads *const group = thread->group;

	if (may_begin(group) && prefork_worker_set_thread(group->worker, thread->number) == 0)
		group->body(group->user, thread->number);
	return NULL;
}

/* How many of them could be made; *ret_error says why not all. Threads are born with the
 * mask of who makes them. */
static unsigned create(struct pfi_worker_threads *group, unsigned count, int *ret_error)
{
	sigset_t blocked, before;
	unsigned made = 0;

	(void)sigfillset(&blocked);
	for (size_t i = 0; i < sizeof never_blocked / sizeof never_blocked[0]; i++)
		(void)sigdelset(&blocked, never_blocked[i]);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
	*ret_error = 0;
	for (; made < count; made++) {
		struct pfi_numbered_thread *const thread = &group->list[made];

		*thread = (struct pfi_numbered_thread){ .group = group, .number = made + 1 };
		*ret_error = pthread_create(&thread->thread, NULL, run_thread, thread);
		if (*ret_error != 0)
			break;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return made;
}

int pfi_worker_threads_start(struct pfi_worker_threads *group, struct prefork_worker *worker, unsigned count,
                    void (*body)(void *user, unsigned number), void *user)
{
	int error;

	*group = (struct pfi_worker_threads){ .worker = worker, .body = body, .user = user };
	if (count > worker->threads)
		return prefork_fail(-ERANGE, "this worker has room for %u threads, not %u", worker->threads, count);
	group->list = calloc(count, sizeof *group->list);
	if (!group->list)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	(void)pthread_mutex_init(&group->lock, NULL);
	(void)pthread_cond_init(&group->decided, NULL);
	group->count = create(group, count, &error);
	decide(group, error == 0 ? BEGIN : GO_AWAY);
	if (error == 0)
		return 0;
	const unsigned made = group->count;
	pfi_worker_threads_join(group);
	return prefork_fail(-error, "the system allows %u of the %u threads of a worker: %s", made, count,
	                    strerror(error));
}

void pfi_worker_threads_join(struct pfi_worker_threads *group)
{
	if (!group->list)
		return;
	for (unsigned i = 0; i < group->count; i++)
		(void)pthread_join(group->list[i].thread, NULL);
	(void)pthread_cond_destroy(&group->decided);
	(void)pthread_mutex_destroy(&group->lock);
	free(group->list);
	*group = (struct pfi_worker_threads){ 0 };
}

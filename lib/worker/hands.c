#include "worker/hands.h"

#include "os/dump.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum verdict { UNDECIDED, BEGIN, GO_AWAY };

struct pfi_hand {
	struct pfi_hands *hands;
	pthread_t thread;
	unsigned number;
};

/* A thread that cannot be told of its own fault dies of it all the same. */
static const int never_blocked[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, PFI_DUMP_SIGNAL };

static bool may_begin(struct pfi_hands *hands)
{
	(void)pthread_mutex_lock(&hands->lock);
	while (hands->verdict == UNDECIDED)
		(void)pthread_cond_wait(&hands->decided, &hands->lock);
	const bool begins = hands->verdict == BEGIN;
	(void)pthread_mutex_unlock(&hands->lock);
	return begins;
}

static void decide(struct pfi_hands *hands, enum verdict verdict)
{
	(void)pthread_mutex_lock(&hands->lock);
	hands->verdict = (int)verdict;
	(void)pthread_cond_broadcast(&hands->decided);
	(void)pthread_mutex_unlock(&hands->lock);
}

static void *live(void *argument)
{
	struct pfi_hand *const hand = argument;
	struct pfi_hands *const hands = hand->hands;

	if (may_begin(hands) && prefork_worker_set_thread(hands->worker, hand->number) == 0)
		hands->body(hands->user, hand->number);
	return NULL;
}

/* How many of them could be made; *ret_error says why not all. Threads are born with the
 * mask of who makes them. */
static unsigned make(struct pfi_hands *hands, unsigned count, int *ret_error)
{
	sigset_t blocked, before;
	unsigned made = 0;

	(void)sigfillset(&blocked);
	for (size_t i = 0; i < sizeof never_blocked / sizeof never_blocked[0]; i++)
		(void)sigdelset(&blocked, never_blocked[i]);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
	*ret_error = 0;
	for (; made < count; made++) {
		struct pfi_hand *const hand = &hands->list[made];

		*hand = (struct pfi_hand){ .hands = hands, .number = made + 1 };
		*ret_error = pthread_create(&hand->thread, NULL, live, hand);
		if (*ret_error != 0)
			break;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return made;
}

int pfi_hands_start(struct pfi_hands *hands, struct prefork_worker *worker, unsigned count,
                    void (*body)(void *user, unsigned number), void *user)
{
	int error;

	*hands = (struct pfi_hands){ .worker = worker, .body = body, .user = user };
	if (count > worker->threads)
		return prefork_fail(-ERANGE, "this worker has room for %u threads, not %u", worker->threads, count);
	hands->list = calloc(count, sizeof *hands->list);
	if (!hands->list)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	(void)pthread_mutex_init(&hands->lock, NULL);
	(void)pthread_cond_init(&hands->decided, NULL);
	hands->count = make(hands, count, &error);
	decide(hands, error == 0 ? BEGIN : GO_AWAY);
	if (error == 0)
		return 0;
	const unsigned made = hands->count;
	pfi_hands_join(hands);
	return prefork_fail(-error, "the system allows %u of the %u threads of a worker: %s", made, count,
	                    strerror(error));
}

void pfi_hands_join(struct pfi_hands *hands)
{
	if (!hands->list)
		return;
	for (unsigned i = 0; i < hands->count; i++)
		(void)pthread_join(hands->list[i].thread, NULL);
	(void)pthread_cond_destroy(&hands->decided);
	(void)pthread_mutex_destroy(&hands->lock);
	free(hands->list);
	*hands = (struct pfi_hands){ 0 };
}

/* Creates and joins the numbered threads of a worker, with their signals blocked. */
#include "worker/worker_threads.h"

#include "base/required.h"
#include "model/worker_score.h"
#include "os/dump.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum verdict { UNDECIDED, RUN, RETURN };

struct pfi_numbered_thread {
	struct pfi_worker_threads *group;
	pthread_t thread;
	unsigned number;
};

/* The kernel kills a process that blocks a fault signal when the fault happens, without calling the
 * handler (sigprocmask(2), NOTES). */
static const int never_blocked[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, PFI_DUMP_SIGNAL };

static bool await_verdict(struct pfi_worker_threads *group)
{
	(void)pthread_mutex_lock(&group->lock);
	while (group->verdict == UNDECIDED)
		(void)pthread_cond_wait(&group->decided, &group->lock);
	const bool runs = group->verdict == RUN;
	(void)pthread_mutex_unlock(&group->lock);
	return runs;
}

_Thread_local unsigned pfi_thread_number_plus_one PFI_STATIC_TLS;

unsigned prefork_worker_thread(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, UINT_MAX);
	return pfi_worker_thread(worker);
}

void pfi_worker_threads_clear_number(void)
{
	pfi_thread_number_plus_one = 0;
}

int prefork_worker_set_thread(struct prefork_worker *worker, unsigned thread)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	if (thread > worker->threads)
		return prefork_fail(-ERANGE, "thread number %u exceeds the limit of %u (setting threads)", thread,
		                    worker->threads);
	pfi_thread_number_plus_one = thread + 1;
	const pid_t tid = (pid_t)syscall(SYS_gettid);

	atomic_store(&worker->tids[thread], tid);
	atomic_store_explicit(&worker->context->score->thread_slots[thread].tid, (uint32_t)tid, memory_order_relaxed);
	return 0;
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

	if (await_verdict(group) && prefork_worker_set_thread(group->worker, thread->number) == 0)
		group->body(group->user, thread->number);
	return NULL;
}

/* Returns how many threads were created; *ret_error is the cause when it is fewer than `count`.
 * The mask is set here, not in the thread: a thread inherits the mask of its creator, so that no
 * signal reaches it before it could block the signal (pthread_create(3)). */
static unsigned create(struct pfi_worker_threads *group, unsigned count, int *ret_error)
{
	sigset_t blocked, before;
	unsigned created = 0;

	(void)sigfillset(&blocked);
	for (size_t i = 0; i < sizeof never_blocked / sizeof never_blocked[0]; i++)
		(void)sigdelset(&blocked, never_blocked[i]);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
	*ret_error = 0;
	for (; created < count; created++) {
		struct pfi_numbered_thread *const thread = &group->list[created];

		*thread = (struct pfi_numbered_thread){ .group = group, .number = created + 1 };
		*ret_error = pthread_create(&thread->thread, NULL, run_thread, thread);
		if (*ret_error != 0)
			break;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return created;
}

int pfi_worker_threads_start(struct pfi_worker_threads *group, struct prefork_worker *worker, unsigned count,
                    void (*body)(void *user, unsigned number), void *user)
{
	int error;

	*group = (struct pfi_worker_threads){ .worker = worker, .body = body, .user = user };
	if (count > worker->threads)
		return prefork_fail(-ERANGE, "%u threads exceed the limit of %u (setting threads)", count, worker->threads);
	group->list = calloc(count, sizeof *group->list);
	if (!group->list)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	(void)pthread_mutex_init(&group->lock, NULL);
	(void)pthread_cond_init(&group->decided, NULL);
	group->count = create(group, count, &error);
	decide(group, error == 0 ? RUN : RETURN);
	if (error == 0)
		return 0;
	const unsigned created = group->count;
	pfi_worker_threads_join(group);
	return prefork_fail(-error, "only %u of %u threads could be created (RLIMIT_NPROC, pids.max?): %s", created,
	                    count, strerror(error));
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

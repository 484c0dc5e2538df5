/* Stores records of requests per thread, and sends them from a thread of its own. */
#include "http/statsd_worker.h"

#include "http/http_log.h"
#include "http/statsd_target.h"

#include <prefork/log.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RECORDS_MAX = 1024, RECORDS_MANY = RECORDS_MAX / 2, STATUS_MAX = 1000, INTERVAL_S = 1, STACK_SIZE = 256 * 1024 };

/* The records of one thread. */
struct pfi_statsd_list {
	pthread_mutex_t lock;
	unsigned count;
	struct pfi_statsd_record records[RECORDS_MAX];
};

struct pfi_statsd_worker {
	struct prefork_worker *worker;
	const struct pfi_statsd_target *target;
	int pid;
	pthread_t thread;
	pthread_mutex_t lock; /* of the three after `wake` */
	pthread_cond_t wake;
	_Atomic bool has_records; /* since the thread has last looked; written under the lock */
	bool has_many;
	bool stops;
	atomic_uint lines[PFI_STATSD_LINES];
	pthread_mutex_t sending; /* of the rest */
	bool logged_error;
	struct pfi_statsd_record records[RECORDS_MAX];
	uint32_t statuses[STATUS_MAX];
	struct pfi_statsd_sender sender;
	unsigned list_count;
	struct pfi_statsd_list lists[];
};

static void wake(struct pfi_statsd_worker *statsd, bool has_many)
{
	(void)pthread_mutex_lock(&statsd->lock);
	atomic_store(&statsd->has_records, true);
	statsd->has_many |= has_many;
	(void)pthread_cond_signal(&statsd->wake);
	(void)pthread_mutex_unlock(&statsd->lock);
}

/* Move the records of one list to `records`. Returns how many. */
static unsigned take(struct pfi_statsd_worker *statsd, struct pfi_statsd_list *list)
{
	(void)pthread_mutex_lock(&list->lock);
	const unsigned count = list->count;

	memcpy(statsd->records, list->records, count * sizeof list->records[0]);
	list->count = 0;
	(void)pthread_mutex_unlock(&list->lock);
	return count;
}

/* The sum of all requests, and of those of each status; empties the sums. */
static void add_statuses(struct pfi_statsd_worker *statsd, uint64_t requests)
{
	char name[] = "request.status.NNN";

	if (requests > 0)
		pfi_statsd_add(&statsd->sender.batch, "requests", requests, "c");
	for (unsigned status = 0; requests > 0 && status < STATUS_MAX; status++) {
		if (statsd->statuses[status] == 0)
			continue;
		for (unsigned digit = 3, rest = status; digit-- > 0; rest /= 10)
			name[sizeof name - 4 + digit] = (char)('0' + rest % 10);
		pfi_statsd_add(&statsd->sender.batch, name, statsd->statuses[status], "c");
		statsd->statuses[status] = 0;
	}
}

/* A path that only the workers may not use is theirs to report; the arbiter sends to the same address, and reports the
 * rest. */
static void log_error(struct pfi_statsd_worker *statsd, int error)
{
	if ((error != -EACCES && error != -EPERM) || statsd->logged_error)
		return;
	statsd->logged_error = true;
	pfi_http_log(statsd->worker, PREFORK_LOG_WARNING, "statsd_failed", NULL,
	             "statsd: the metrics of this worker are lost: %s", strerror(-error));
}

static void send_all(struct pfi_statsd_worker *statsd)
{
	unsigned lines[PFI_STATSD_LINES];
	uint64_t requests = 0;

	(void)pthread_mutex_lock(&statsd->sending);
	pfi_statsd_begin(&statsd->sender, statsd->target);
	for (unsigned i = 0; i < statsd->list_count; i++) {
		const unsigned count = take(statsd, &statsd->lists[i]);

		for (unsigned n = 0; n < count; n++)
			statsd->statuses[statsd->records[n].status]++;
		pfi_statsd_add_durations(&statsd->sender.batch, statsd->records, count);
		requests += count;
	}
	add_statuses(statsd, requests);
	for (unsigned i = 0; i < PFI_STATSD_LINES; i++)
		lines[i] = atomic_exchange(&statsd->lines[i], 0);
	pfi_statsd_add_lines(&statsd->sender.batch, lines);
	log_error(statsd, pfi_statsd_end(&statsd->sender));
	(void)pthread_mutex_unlock(&statsd->sending);
}

/* Sleep until there are records and a second is over, or there are many, or the worker stops. False: it stops. */
static bool await_records(struct pfi_statsd_worker *statsd)
{
	struct timespec until;
	bool stops;
	int r = 0;

	(void)pthread_mutex_lock(&statsd->lock);
	while (!atomic_load(&statsd->has_records) && !statsd->stops)
		(void)pthread_cond_wait(&statsd->wake, &statsd->lock);
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += INTERVAL_S;
	while (!statsd->has_many && !statsd->stops && r == 0)
		r = pthread_cond_timedwait(&statsd->wake, &statsd->lock, &until);
	atomic_store(&statsd->has_records, false);
	statsd->has_many = false;
	stops = statsd->stops;
	(void)pthread_mutex_unlock(&statsd->lock);
	return !stops;
}

static void *run(void *arg)
{
	struct pfi_statsd_worker *const statsd = arg;

	while (await_records(statsd))
		send_all(statsd);
	return NULL;
}

/* In a process that the application has forked, the locks may be in use for ever. */
static void on_line(void *user, enum prefork_log_level level, int is_block)
{
	struct pfi_statsd_worker *const statsd = user;
	const enum pfi_statsd_line line = pfi_statsd_line_of((int)level, is_block != 0);

	if (line == PFI_STATSD_LINES || getpid() != statsd->pid)
		return;
	(void)atomic_fetch_add(&statsd->lines[line], 1);
	if (!atomic_load(&statsd->has_records))
		wake(statsd, false);
}

void pfi_statsd_worker_record(struct pfi_statsd_worker *statsd, int status, uint64_t took_us)
{
	const unsigned thread = prefork_worker_thread(statsd->worker);
	struct pfi_statsd_list *const list = &statsd->lists[thread < statsd->list_count ? thread : 0];
	unsigned count;

	(void)pthread_mutex_lock(&list->lock);
	while (list->count == RECORDS_MAX) { /* the sending thread has no processor */
		(void)pthread_mutex_unlock(&list->lock);
		send_all(statsd);
		(void)pthread_mutex_lock(&list->lock);
	}
	list->records[list->count].took_us = took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
	list->records[list->count].status = (uint16_t)(status > 0 && status < STATUS_MAX ? status : 0);
	count = ++list->count;
	(void)pthread_mutex_unlock(&list->lock);
	if (count == RECORDS_MANY || !atomic_load_explicit(&statsd->has_records, memory_order_relaxed))
		wake(statsd, count == RECORDS_MANY);
}

static void init_locks(struct pfi_statsd_worker *statsd)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&statsd->wake, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	(void)pthread_mutex_init(&statsd->lock, NULL); /* cannot fail without attributes */
	(void)pthread_mutex_init(&statsd->sending, NULL);
	for (unsigned i = 0; i < statsd->list_count; i++)
		(void)pthread_mutex_init(&statsd->lists[i].lock, NULL);
}

static void destroy(struct pfi_statsd_worker *statsd)
{
	for (unsigned i = 0; i < statsd->list_count; i++)
		(void)pthread_mutex_destroy(&statsd->lists[i].lock);
	(void)pthread_mutex_destroy(&statsd->sending);
	(void)pthread_mutex_destroy(&statsd->lock);
	(void)pthread_cond_destroy(&statsd->wake);
	free(statsd);
}

/* Signals are for the first thread. */
static int start_thread(struct pfi_statsd_worker *statsd)
{
	pthread_attr_t small;
	sigset_t all, before;
	int r;

	(void)pthread_attr_init(&small);
	(void)pthread_attr_setstacksize(&small, STACK_SIZE);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&statsd->thread, &small, run, statsd);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&small);
	return -r;
}

struct pfi_statsd_worker *pfi_statsd_worker_open(struct prefork_worker *worker, const struct pfi_statsd_target *target)
{
	const int64_t threads = prefork_settings_int(prefork_worker_settings(worker), "threads");
	const size_t lists = (size_t)(threads > 0 ? threads : 1) + 1;
	struct pfi_statsd_worker *statsd;
	bool counts_lines = false; /* false: the application does */
	int r = -ENOMEM;

	if (target->size == 0)
		return NULL;
	statsd = calloc(1, sizeof *statsd + lists * sizeof statsd->lists[0]);
	if (statsd != NULL) {
		statsd->worker = worker;
		statsd->target = target;
		statsd->pid = getpid();
		statsd->list_count = (unsigned)lists;
		init_locks(statsd);
		counts_lines = prefork_log_set_counter(prefork_worker_log(worker), on_line, statsd) == 0;
		r = start_thread(statsd);
	}
	if (r == 0)
		return statsd;
	if (counts_lines)
		(void)prefork_log_set_counter(prefork_worker_log(worker), NULL, NULL);
	pfi_http_log(worker, PREFORK_LOG_WARNING, "statsd_failed", NULL, "statsd: this worker has no metrics: %s", strerror(-r));
	if (statsd != NULL)
		destroy(statsd);
	return NULL;
}

void pfi_statsd_worker_close(struct pfi_statsd_worker *statsd)
{
	if (statsd == NULL)
		return;
	(void)pthread_mutex_lock(&statsd->lock);
	statsd->stops = true;
	(void)pthread_cond_signal(&statsd->wake);
	(void)pthread_mutex_unlock(&statsd->lock);
	(void)pthread_join(statsd->thread, NULL);
	send_all(statsd);
}

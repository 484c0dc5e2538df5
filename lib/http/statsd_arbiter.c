/* Counts the workers of a pool by the hooks of the arbiter, and sends the metrics by a timer. */
#include "http/statsd_arbiter.h"

#include "http/http_log.h"
#include "http/http_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/log.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { SOON_MS = 100, /* several workers start or exit together */
       BACKLOG_MS = 1000, AGAIN_MS = 10 * 1000 };

/* Any thread that logs. */
static void arm(struct pfi_statsd_arbiter *statsd, long after_ms)
{
	const struct itimerspec once = {
		.it_value = { .tv_sec = after_ms / 1000, .tv_nsec = after_ms % 1000 * 1000 * 1000 },
	};
	const int timer = atomic_load(&statsd->timer);

	if (timer > 0)
		(void)timerfd_settime(timer, 0, &once, NULL);
}

/* A worker has its copy of the object until it starts, and does not send from it. */
static void on_line(void *user, enum prefork_log_level level, int is_block)
{
	struct pfi_statsd_arbiter *const statsd = user;
	const enum pfi_statsd_line line = pfi_statsd_line_of((int)level, is_block != 0);

	if (line == PFI_STATSD_LINES || getpid() != statsd->pid)
		return;
	if (atomic_fetch_add(&statsd->lines[line], 1) == 0)
		arm(statsd, SOON_MS);
}

static uint64_t pending_connections(const struct prefork_arbiter *arbiter)
{
	const struct prefork_listener *listener;
	uint64_t sum = 0;

	for (size_t i = 0; (listener = prefork_arbiter_listener(arbiter, i)) != NULL; i++) {
		const int pending = prefork_listener_pending(listener);

		sum += pending > 0 ? (uint64_t)pending : 0;
	}
	return sum;
}

static void log_error(struct pfi_statsd_arbiter *statsd, int error)
{
	if (error == 0 || statsd->logged_error)
		return;
	statsd->logged_error = true;
	pfi_http_arbiter_log(statsd->arbiter, statsd->pool, PREFORK_LOG_WARNING, "statsd_failed",
	                     "statsd: metrics are lost while the receiver does not take them: %s", strerror(-error));
}

/* Whether another arbiter has the workers. One that has exited leaves them to this one. */
static bool is_replaced(struct pfi_statsd_arbiter *statsd)
{
	if (statsd->replaced_by != 0 && kill(statsd->replaced_by, 0) < 0 && errno == ESRCH)
		statsd->replaced_by = 0;
	return statsd->replaced_by != 0;
}

static void send_all(struct pfi_statsd_arbiter *statsd, bool with_backlog)
{
	struct pfi_statsd_sender sender;
	unsigned lines[PFI_STATSD_LINES];

	for (int i = 0; i < PFI_STATSD_LINES; i++)
		lines[i] = atomic_exchange(&statsd->lines[i], 0);
	if (statsd->target.size == 0)
		return;
	pfi_statsd_begin(&sender, &statsd->target);
	if (!is_replaced(statsd))
		pfi_statsd_add(&sender.batch, "workers", statsd->workers, "g");
	if (with_backlog && statsd->sends_backlog)
		pfi_statsd_add(&sender.batch, "backlog", pending_connections(statsd->arbiter), "h");
	pfi_statsd_add_lines(&sender.batch, lines);
	log_error(statsd, pfi_statsd_end(&sender));
}

static void on_timer(struct prefork_arbiter *arbiter, int fd, void *user)
{
	struct pfi_statsd_arbiter *const statsd = user;
	uint64_t times;

	(void)arbiter;
	if (read(fd, &times, sizeof times) < 0)
		return; /* armed again meanwhile */
	send_all(statsd, true);
	if (statsd->target.size > 0)
		arm(statsd, statsd->sends_backlog ? BACKLOG_MS : AGAIN_MS);
}

/* Once; it stays until the end, also if a reload removes statsd_host. */
static void open_timer(struct pfi_statsd_arbiter *statsd, struct prefork_arbiter *arbiter)
{
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int r = fd < 0 ? -errno : prefork_arbiter_watch(arbiter, fd, on_timer, statsd);

	if (r < 0) {
		log_error(statsd, r);
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	atomic_store(&statsd->timer, fd);
	/* If another service counts the lines already, this one does not. */
	statsd->counts_lines = prefork_log_set_counter(prefork_arbiter_log(arbiter), on_line, statsd) == 0;
}

int pfi_statsd_arbiter_init(struct pfi_statsd_arbiter *statsd, const char *pool)
{
	statsd->pool = strdup(pool);
	statsd->pid = getpid();
	return statsd->pool != NULL ? 0 : -ENOMEM;
}

static bool is_own(const struct pfi_statsd_arbiter *statsd, const struct prefork_process *process)
{
	return strcmp(prefork_process_pool(process), statsd->pool) == 0;
}

void pfi_statsd_arbiter_follow(struct pfi_statsd_arbiter *statsd, struct prefork_arbiter *arbiter,
                               const struct prefork_process *process)
{
	const struct pfi_http_settings *values;
	struct pfi_statsd_target target = { .size = 0 };
	int size;

	if (!is_own(statsd, process) || (values = pfi_http_settings(prefork_process_settings(process))) == NULL)
		return;
	statsd->arbiter = arbiter;
	statsd->pid = getpid(); /* of a daemon, another than that of the start */
	size = prefork_process_peer(process, "statsd_host", &target.address, sizeof target.address);
	if (size > 0 && pfi_statsd_words_init(&target.words, values->statsd_prefix, values->statsd_name,
	                                      values->dogstatsd_tags) == 0)
		target.size = (socklen_t)size;
	statsd->logged_error &= memcmp(&target.address, &statsd->target.address, sizeof target.address) == 0;
	statsd->target = target;
	statsd->sends_backlog = values->enable_backlog_metric;
	if (target.size > 0 && atomic_load(&statsd->timer) == 0)
		open_timer(statsd, arbiter);
}

void pfi_statsd_arbiter_count(struct pfi_statsd_arbiter *statsd, const struct prefork_process *process, int change)
{
	if (!is_own(statsd, process))
		return;
	statsd->workers += (unsigned)change;
	if (statsd->target.size > 0)
		arm(statsd, SOON_MS);
}

void pfi_statsd_arbiter_replaced(struct pfi_statsd_arbiter *statsd, int pid)
{
	statsd->replaced_by = pid;
}

void pfi_statsd_arbiter_close(struct pfi_statsd_arbiter *statsd)
{
	if (atomic_load(&statsd->timer) > 0 && getpid() == statsd->pid)
		send_all(statsd, false);
	if (statsd->counts_lines)
		(void)prefork_log_set_counter(prefork_arbiter_log(statsd->arbiter), NULL, NULL);
	free(statsd->pool);
	statsd->pool = NULL;
}

/* Follows changed files, rotates ticket keys, and repeats what workers have not taken. */
#include "tls/tls_turn.h"

#include "tls/tls_log.h"
#include "tls/tls_push.h"
#include "tls/tls_server.h"
#include "tls/tls_watch.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	SETTLE_MS = 100, /* from a change to the reading  */
	REREAD_MS = 500, /* until it is tried once more   */
	REPEAT_MS = 100, /* to workers; then twice that, and so on */
	REPEAT_DOUBLINGS_MAX = 7, /* 12.8 s: of a worker that is stopped, or while memory is exhausted */
	ROTATE_MS = 24 * 3600 * 1000,
	QUIET_FAILURES = 1,
};

static const char kept_name[] = "tls-ticket-keys";

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void arm(struct prefork_tls *tls)
{
	const uint64_t times[] = { tls->rotate_at_ms, tls->reread_at_ms, tls->push_at_ms };
	uint64_t next_ms = 0;

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		if (times[i] != 0 && (next_ms == 0 || times[i] < next_ms))
			next_ms = times[i];
	}

	const struct itimerspec when = { .it_value = { (time_t)(next_ms / 1000), (long)(next_ms % 1000) * 1000000 } };

	if (tls->timer >= 0)
		(void)timerfd_settime(tls->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void push(struct prefork_tls *tls)
{
	const unsigned doublings = tls->push_repeats < REPEAT_DOUBLINGS_MAX ? tls->push_repeats : REPEAT_DOUBLINGS_MAX;

	tls->push_at_ms = pfi_tls_push(tls) ? 0 : now_ms() + ((uint64_t)REPEAT_MS << doublings);
	arm(tls);
}

void pfi_tls_turn_push(struct prefork_tls *tls)
{
	tls->push_repeats = 0;
	push(tls);
}

static void push_again(struct prefork_tls *tls)
{
	tls->push_repeats++;
	push(tls);
}

/* For the next upgrade. Without it, clients make a full handshake with the new arbiter's workers. */
static void keep(struct prefork_tls *tls)
{
	struct pfi_tls_records records = { 0 };
	const struct pfi_tls_records none = { 0 };
	int fd = pfi_tls_ticket_keys_write(&tls->keys, &records);

	if (fd == 0)
		fd = pfi_tls_records_seal(&records, &none);
	if (fd >= 0 && prefork_arbiter_keep_fd(tls->arbiter, kept_name, fd) < 0)
		(void)close(fd);
	pfi_tls_records_clear(&records);
}

void pfi_tls_turn_rotate(struct prefork_tls *tls)
{
	tls->rotate_at_ms = now_ms() + ROTATE_MS;
	if (pfi_tls_ticket_keys_rotate(&tls->keys) < 0) {
		pfi_tls_arbiter_log(tls->arbiter, PREFORK_LOG_ERROR, "tls_rotate_failed", "Ticket keys stay as they are: %s",
				    prefork_error());
		return;
	}
	tls->keys_version++;
	pfi_tls_tickets_set(&tls->worker.tickets, &tls->keys);
	keep(tls);
	pfi_tls_turn_push(tls);
}

/* Returns whether all files could be used. */
static bool reread(struct prefork_tls *tls)
{
	bool changed = false, complete = true;

	for (struct pfi_tls_material *material = tls->materials; material != NULL; material = material->next) {
		pfi_tls_turn_follow(tls, material);

		const int r = pfi_tls_material_refresh(material, &tls->worker.tickets);

		changed = changed || r > 0;
		if (r >= 0)
			continue;
		complete = false;
		if (tls->failures == QUIET_FAILURES)
			pfi_tls_arbiter_log(tls->arbiter, PREFORK_LOG_ERROR, "tls_reload_failed",
					    "Changed certificates cannot be used, the old ones stay in force: %s", prefork_error());
	}
	if (changed) {
		pfi_tls_arbiter_log(tls->arbiter, PREFORK_LOG_INFO, "tls_reload",
				    "Certificates have changed: new connections use them");
		pfi_tls_turn_push(tls);
	}
	return complete;
}

static void on_timer(struct prefork_arbiter *arbiter, int fd, void *user)
{
	struct prefork_tls *const tls = user;
	const uint64_t now = now_ms();
	uint64_t expirations;

	(void)arbiter;
	(void)!read(fd, &expirations, sizeof expirations);
	if (tls->reread_at_ms != 0 && tls->reread_at_ms <= now) {
		tls->reread_at_ms = 0;
		if (reread(tls))
			tls->failures = 0;
		else if (tls->failures++ < QUIET_FAILURES)
			tls->reread_at_ms = now + REREAD_MS;
	}
	if (tls->rotate_at_ms <= now)
		pfi_tls_turn_rotate(tls);
	if (tls->push_at_ms != 0 && tls->push_at_ms <= now)
		push_again(tls);
	arm(tls);
}

static void on_change(struct prefork_arbiter *arbiter, int fd, void *user)
{
	struct prefork_tls *const tls = user;

	(void)arbiter;
	pfi_tls_watch_clear(fd);
	tls->failures = 0;
	if (tls->reread_at_ms == 0)
		tls->reread_at_ms = now_ms() + SETTLE_MS;
	arm(tls);
}

static void take_kept(struct prefork_tls *tls)
{
	struct pfi_tls_records records = { 0 };
	const int fd = prefork_arbiter_kept_fd(tls->arbiter, kept_name);

	if (fd >= 0 && pfi_tls_records_open(fd, &records) == 0 && pfi_tls_ticket_keys_read(&tls->keys, &records))
		pfi_tls_tickets_set(&tls->worker.tickets, &tls->keys);
	else
		keep(tls);
	pfi_tls_records_clear(&records);
}

/* Without inotify, a reload reads changed files. */
int pfi_tls_turn_begin(struct prefork_tls *tls)
{
	int r;

	if (tls->timer >= 0)
		return 0;
	tls->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (tls->timer < 0)
		return prefork_fail(-errno, "cannot open a timer: %s", strerror(errno));
	r = prefork_arbiter_watch(tls->arbiter, tls->timer, on_timer, tls);
	if (r < 0) {
		(void)close(tls->timer);
		tls->timer = -1;
		return r;
	}
	tls->inotify = pfi_tls_watch_open();
	if (tls->inotify >= 0 && prefork_arbiter_watch(tls->arbiter, tls->inotify, on_change, tls) < 0) {
		(void)close(tls->inotify);
		tls->inotify = -1;
	}
	take_kept(tls);
	tls->rotate_at_ms = now_ms() + ROTATE_MS;
	arm(tls);
	return 0;
}

void pfi_tls_turn_end(struct prefork_tls *tls)
{
	if (tls->inotify >= 0)
		prefork_arbiter_unwatch(tls->arbiter, tls->inotify);
	if (tls->timer >= 0)
		prefork_arbiter_unwatch(tls->arbiter, tls->timer);
	tls->inotify = tls->timer = -1;
}

void pfi_tls_turn_follow(struct prefork_tls *tls, const struct pfi_tls_material *material)
{
	if (tls->inotify >= 0)
		pfi_tls_watch_add(tls->inotify, &material->values);
}

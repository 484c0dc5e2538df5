/* Sends the state of the arbiter to the service manager, and keeps a message that does not fit into its queue for
 * the next turn. */
#include "arbiter/notify.h"

#include "arbiter/arbiter.h"
#include "base/number.h"
#include "os/clock.h"
#include "os/fdtable.h"
#include "os/log.h"
#include "os/starter.h"

#include <prefork/error.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RETRY_MS = 50, MESSAGES_A_TURN = 16 };

/* Half of WATCHDOG_USEC, 0: there is no watchdog. In an upgrade the variables name the arbiter that was started first. */
static uint64_t read_watchdog_ms(bool is_upgrade)
{
	const char *const pid = getenv("WATCHDOG_PID"), *const usec = getenv("WATCHDOG_USEC");
	int64_t number;

	if (usec == NULL || (pid != NULL && (pfi_parse_whole(pid, &number) < 0 || (number != getpid() && !is_upgrade))))
		return 0;
	if (pfi_parse_whole(usec, &number) < 0 || number <= 0)
		return 0;
	return number < 20000 ? 10 : (uint64_t)number / 2000;
}

void pfi_notify_open(struct prefork_arbiter *arbiter)
{
	struct pfi_notify *const notify = &arbiter->notify;
	const char *const name = getenv("NOTIFY_SOCKET");
	const bool is_upgrade = pfi_predecessor_take(arbiter);

	if (notify->socket.fd >= 0 || name == NULL || *name == '\0') {
		pfi_starter_forget_notify();
		return;
	}
	pfi_fd_store_open(arbiter, getenv("FDSTORE"));
	*notify = (struct pfi_notify){ .socket = PFI_NO_NOTIFY_SOCKET, .service.watchdog_ms = read_watchdog_ms(is_upgrade) };
	if (pfi_notify_socket_open(name, &notify->socket) < 0)
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "notify_unavailable", PFI_NO_PAIRS,
				"The service manager cannot be notified: %s", prefork_error());
	else
		pfi_fdtable_set_owner(notify->socket.fd, arbiter->id, PFI_FD_NO_SLOT);
	pfi_starter_forget_notify();
}

void pfi_notify_close(struct prefork_arbiter *arbiter)
{
	pfi_notify_socket_close(&arbiter->notify.socket);
}

/* Send the pending message. False: it has to wait. */
static bool send_pending(struct prefork_arbiter *arbiter)
{
	struct pfi_notify *const notify = &arbiter->notify;
	int r;

	if (notify->pending[0] == '\0')
		return true;
	r = pfi_notify_socket_send(&notify->socket, notify->pending, strlen(notify->pending), NULL, 0);
	if (r == -EAGAIN)
		return false;
	notify->pending[0] = '\0';
	if (r < 0 && !notify->logged_failure) {
		notify->logged_failure = true;
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "notify_failed", PFI_PAIRS(PREFORK_NUMBER("errno", -r)),
				"A message to the service manager is lost: %s", strerror(-r));
	}
	return true;
}

static struct pfi_service_pool describe_pool(const struct prefork_arbiter *arbiter, unsigned pool)
{
	const struct pfi_pool *const model = &arbiter->models[pool];
	struct pfi_service_pool now = {
		.name = arbiter->pools[pool].name,
		.serving = pfi_pool_serving(arbiter, pool),
		.wanted = pfi_pool_desired_workers(model),
	};

	for (uint32_t i = 0; i < model->worker_table.count; i++)
		now.boots |= model->worker_table.slots[i].state == PFI_STATE_BOOTING;
	now.is_degraded = !now.boots && (model->boot.streak > 0 || model->run.streak > 0) &&
			  (now.serving > 0 || model->policy.boot_failure_policy == PFI_BOOT_FAILURE_DEGRADE);
	return now;
}

/* As long as the slowest pool has to prove a canary. */
static uint64_t healthy_ms(const struct prefork_arbiter *arbiter)
{
	uint64_t most_ms = 0;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (arbiter->models[i].policy.canary_ms > most_ms)
			most_ms = arbiter->models[i].policy.canary_ms;
	}
	return most_ms;
}

/* Of a daemon: the command that started it returns. */
static void release_starter(struct prefork_arbiter *arbiter)
{
	struct pfi_daemon *const daemon = &arbiter->daemon;

	if (daemon->ready_fd >= 0 && daemon->detaches_stdio && pfi_log_is_standard(arbiter->log))
		(void)pfi_log_move(arbiter->log, "/dev/null", STDERR_FILENO);
	pfi_daemon_ready(daemon);
}

uint64_t pfi_notify_turn(struct prefork_arbiter *arbiter, enum pfi_server_phase phase, uint64_t now_ms)
{
	struct pfi_notify *const notify = &arbiter->notify;
	struct pfi_service_pool pools[PFI_POOLS_MAX];
	const struct pfi_service_now now = {
		.pools = pools,
		.pool_count = arbiter->pool_count,
		.stops = phase != PFI_PHASE_RUNNING,
		.now_ms = now_ms,
		.healthy_ms = healthy_ms(arbiter),
	};

	if (notify->socket.fd < 0 && arbiter->daemon.ready_fd < 0)
		return 0;
	for (unsigned i = 0; i < arbiter->pool_count; i++)
		pools[i] = describe_pool(arbiter, i);
	if (!now.stops && pfi_service_serves(&now))
		release_starter(arbiter);
	if (notify->socket.fd < 0)
		return 0;
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		struct pfi_text text;

		if (!send_pending(arbiter))
			return now_ms + RETRY_MS;
		pfi_text_init(&text, notify->pending, sizeof notify->pending);
		if (!pfi_service_next(&notify->service, &now, &text))
			return pfi_service_due_ms(&notify->service, &now);
	}
	return now_ms + RETRY_MS;
}

void pfi_notify_reload_begins(struct prefork_arbiter *arbiter)
{
	pfi_service_reload_begins(&arbiter->notify.service, pfi_now_us());
}

void pfi_notify_reload_ends(struct prefork_arbiter *arbiter, const char *verdict, const char *why, bool others)
{
	pfi_service_reload_ends(&arbiter->notify.service, verdict, why, others);
}

void pfi_notify_failed(struct prefork_arbiter *arbiter, int error)
{
	char status[PFI_SERVICE_STATUS_MAX];
	struct pfi_text text;

	if (arbiter->notify.socket.fd < 0)
		return;
	pfi_text_init(&text, status, sizeof status);
	pfi_text_add_line(&text, prefork_error(), strlen(prefork_error()));
	pfi_text_init(&text, arbiter->notify.pending, sizeof arbiter->notify.pending);
	pfi_text_format(&text, "STATUS=%s", status);
	if (error > -4096 && error < 0)
		pfi_text_format(&text, "\nERRNO=%d", -error);
	(void)send_pending(arbiter);
}

void pfi_notify_replaced(struct prefork_arbiter *arbiter, int main_pid)
{
	pfi_service_replaced(&arbiter->notify.service, main_pid);
}

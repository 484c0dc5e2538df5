/* Starts a new arbiter at the request of an upgrade, processes its messages and its exit, gives the verdict, and makes
 * this arbiter stop when the new one is ready. */
#include "arbiter/upgrade.h"

#include "arbiter/arbiter.h"
#include "arbiter/pid.h"
#include "arbiter/upgrade_refusal.h"
#include "arbiter/upgrade_spawn.h"
#include "arbiter/upgrade_verdict.h"
#include "listener/listener.h"
#include "model/library_options.h"
#include "os/control_channel.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/reap.h"
#include "os/reexec.h"
#include "os/start_record.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	HOLD_MS = 2000,         /* for the new arbiter to confirm                            */
	NAME_MS = 20,           /* between attempts to notify the service manager            */
	PIDFILE_MS = 50,        /* between attempts to remove the pid file of the new arbiter */
	PIDFILE_MAX_MS = 10000,
	PROOF_MAX_MS = 3600000, /* canary_time is at most 1 h; the new program is not trusted */
	MESSAGES_A_TURN = 64,
	MESSAGES_MAX = 10000, /* one for each socket that it does not use, and a handful */
};

static void hold_sockets(struct prefork_arbiter *arbiter, bool is_held)
{
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		listener->held_by &= ~(unsigned)PFI_HELD_BY_CHILD;
		if (is_held && !listener->is_refusing)
			listener->held_by |= PFI_HELD_BY_CHILD;
	}
}

static void close_channel(struct prefork_arbiter *arbiter)
{
	pfi_loop_remove(arbiter, arbiter->upgrade.channel);
	pfi_close(&arbiter->upgrade.channel);
}

/* The new arbiter has exited, or was killed. */
static void forget_new(struct prefork_arbiter *arbiter)
{
	close_channel(arbiter);
	pfi_loop_remove(arbiter, arbiter->upgrade.pidfd);
	pfi_close(&arbiter->upgrade.pidfd);
	arbiter->upgrade.pid = 0;
	arbiter->upgrade.deadline_ms = 0;
	arbiter->upgrade.leaves_pidfile = true;
	hold_sockets(arbiter, false);
}

uint64_t pfi_upgrade_remove_pidfile(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;

	if (!upgrade->leaves_pidfile || arbiter->killed.count > 0)
		return 0;
	if (upgrade->pidfile_until_ms == 0)
		upgrade->pidfile_until_ms = now_ms + PIDFILE_MAX_MS;
	/* A worker that it had just forked has the lock, too, until it ends with its arbiter. */
	if (upgrade->pid == 0 && pfi_pid_remove_next(arbiter) == -EAGAIN && now_ms < upgrade->pidfile_until_ms)
		return now_ms + PIDFILE_MS;
	upgrade->leaves_pidfile = false;
	upgrade->pidfile_until_ms = 0;
	return 0;
}

/* --- starting */

static int add_to_loop(struct prefork_arbiter *arbiter)
{
	const struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	const uint32_t pid = (uint32_t)upgrade->pid;
	const int r = pfi_loop_add(arbiter, upgrade->pidfd, (struct pfi_tag){ PFI_SOURCE_UPGRADE_EXIT, 0, pid });

	return r == 0 ? pfi_loop_add(arbiter, upgrade->channel, (struct pfi_tag){ PFI_SOURCE_UPGRADE, 0, pid }) : r;
}

static int spawn(struct prefork_arbiter *arbiter)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	struct pfi_child child = { 0, -1 };
	int r = pfi_upgrade_spawn(arbiter, &child, &upgrade->channel);

	if (r < 0)
		return r;
	upgrade->pid = child.pid;
	upgrade->pidfd = child.pidfd;
	pfi_fdtable_set_owner(child.pidfd, arbiter->id, PFI_FD_NO_SLOT);
	pfi_fdtable_set_owner(upgrade->channel, arbiter->id, PFI_FD_NO_SLOT);
	r = add_to_loop(arbiter);
	if (r < 0) {
		pfi_loop_remove(arbiter, upgrade->pidfd);
		pfi_killed_add(arbiter, &upgrade->pidfd);
		forget_new(arbiter);
	}
	return r;
}

void pfi_upgrade_begin(struct prefork_arbiter *arbiter, bool is_automatic, uint64_t now_ms)
{
	const struct pfi_library_settings *const values = pfi_library_settings(arbiter->settings);
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	char buffer[128];
	const char *const why = pfi_upgrade_refusal(arbiter, buffer, sizeof buffer);

	if (why != NULL) {
		pfi_upgrade_verdict(arbiter, PREFORK_UPGRADE_REFUSED, 0, why);
		return;
	}
	pfi_predecessor_limit(arbiter, values->generations_max, now_ms);
	if (spawn(arbiter) < 0) {
		pfi_upgrade_failed(arbiter, 0, prefork_error());
		return;
	}
	pfi_queries_upgrade_begun(arbiter);
	upgrade->state = pfi_upgrade_step(upgrade->state, PFI_UPGRADE_ON_START).next;
	upgrade->is_automatic = is_automatic;
	upgrade->has_confirmed = upgrade->is_named = false;
	upgrade->messages = 0;
	upgrade->why[0] = '\0';
	memset(upgrade->workers_before, 0, sizeof upgrade->workers_before);
	upgrade->limit_ms = values->boot_timeout_ms;
	upgrade->deadline_ms = values->boot_timeout_ms > 0 ? now_ms + values->boot_timeout_ms : 0;
	hold_sockets(arbiter, true);
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "upgrade",
			PFI_PAIRS(PREFORK_NUMBER("new", upgrade->pid), PREFORK_TEXT("mode", is_automatic ? "automatic" : "manual")),
			"Upgrade: new arbiter (pid:%d) started from %s", (int)upgrade->pid,
			pfi_start_record_get()->program);
}

void pfi_upgrade_requested(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "upgrade_request", PFI_NO_PAIRS,
			"Upgrade requested by a command (--send-upgrade)");
	pfi_upgrade_begin(arbiter, pfi_library_settings(arbiter->settings)->upgrade == PFI_UPGRADE_AUTOMATIC, now_ms);
}

/* --- steps */

/* With upgrade = automatic this arbiter stops next, see pfi_upgrade_wants_stop(). */
static void done(struct prefork_arbiter *arbiter)
{
	const pid_t pid = arbiter->upgrade.pid;
	char text[128];

	arbiter->upgrade.deadline_ms = 0;
	(void)snprintf(text, sizeof text, "new arbiter (pid:%d) serves%s", (int)pid,
		       arbiter->upgrade.is_automatic ? "; this one drains" : ", and so does this one until it is stopped");
	pfi_upgrade_verdict(arbiter, PREFORK_UPGRADE_DONE, pid, text);
}

static void kill_new(struct prefork_arbiter *arbiter)
{
	const pid_t pid = arbiter->upgrade.pid;
	const bool was_proving = arbiter->upgrade.why[0] != '\0';
	char text[640];

	pfi_loop_remove(arbiter, arbiter->upgrade.pidfd);
	pfi_killed_add(arbiter, &arbiter->upgrade.pidfd);
	forget_new(arbiter);
	(void)snprintf(text, sizeof text, "new arbiter (pid:%d) was not ready within %.1f s (boot_timeout)%s%s", (int)pid,
		       (double)arbiter->upgrade.limit_ms / 1000, was_proving ? ": " : "", arbiter->upgrade.why);
	pfi_upgrade_failed(arbiter, pid, text);
}

/* WINCH has ended the workers because there was a new arbiter, which stops or has exited. A number that was set after WINCH stays. */
static void restore_workers(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t workers = arbiter->upgrade.workers_before[i];

		arbiter->upgrade.workers_before[i] = 0;
		if (workers == 0 || arbiter->models[i].target != 0 || arbiter->supervisor.phase != PFI_PHASE_RUNNING ||
		    pfi_supervisor_scale(&arbiter->supervisor, i, workers) < 0)
			continue;
		pfi_pool_log(arbiter, i, PREFORK_LOG_INFO, "pool_scale",
			     PFI_PAIRS(PREFORK_NUMBER("workers", workers), PREFORK_NUMBER("before", 0)),
			     "Pool %s has no workers and no new arbiter serves: %u start", arbiter->pools[i].name, workers);
	}
}

/* The new arbiter exits after the verdict. After its promotion, an upgrade of its own may have replaced it. */
static void lose(struct prefork_arbiter *arbiter)
{
	const pid_t pid = arbiter->upgrade.pid;
	const bool is_leaving = arbiter->upgrade.state == PFI_UPGRADE_LEAVING, is_over = arbiter->upgrade.has_confirmed;

	forget_new(arbiter);
	pfi_arbiter_log(arbiter, is_over ? PREFORK_LOG_INFO : is_leaving ? PREFORK_LOG_ERROR : PREFORK_LOG_WARNING,
			"upgrade_new_exit", PFI_PAIRS(PREFORK_NUMBER("new", pid)), "New arbiter has exited%s: %s",
			is_over	   ? " after its promotion" :
			is_leaving ? ", and this one stops already" :
				     ", this one keeps serving",
			arbiter->upgrade.why);
}

static void promote(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;

	upgrade->takes_all = true;
	for (size_t i = 0; i < arbiter->listeners.count; i++)
		upgrade->takes_all &= (arbiter->listeners.list[i]->listener->held_by & PFI_HELD_BY_CHILD) != 0;
	pfi_processes_expect_refusal(arbiter); /* the new one may be told to stop, too */
	upgrade->deadline_ms = 0;
	upgrade->hold_until_ms = now_ms + HOLD_MS;
	upgrade->exit_by_ms = now_ms + HOLD_MS + HOLD_MS / 2;
	if (upgrade->channel >= 0)
		(void)pfi_channel_send(upgrade->channel, PFI_UPGRADE_PROMOTE_MESSAGE, 0, NULL);
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "upgrade_hand_over", PFI_PAIRS(PREFORK_NUMBER("new", upgrade->pid)),
			"Arbiter (pid:%d) is replaced by arbiter (pid:%d)", (int)getpid(), (int)upgrade->pid);
}

static void step(struct prefork_arbiter *arbiter, enum pfi_upgrade_event event, uint64_t now_ms)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	const struct pfi_upgrade_step next = pfi_upgrade_step(upgrade->state, event);
	const pid_t pid = upgrade->pid;

	if (next.action == PFI_UPGRADE_DO_LOST)
		lose(arbiter);
	upgrade->state = next.next;
	switch (next.action) {
	case PFI_UPGRADE_DO_DONE:
		done(arbiter);
		break;
	case PFI_UPGRADE_DO_FAIL:
		forget_new(arbiter);
		pfi_upgrade_failed(arbiter, pid, upgrade->why);
		break;
	case PFI_UPGRADE_DO_KILL:
		kill_new(arbiter);
		break;
	case PFI_UPGRADE_DO_DESERT:
		pfi_upgrade_verdict(arbiter, PREFORK_UPGRADE_STOPPED, pid, "this arbiter stops; the new one continues by itself");
		promote(arbiter, now_ms);
		break;
	case PFI_UPGRADE_DO_PROMOTE:
		promote(arbiter, now_ms);
		break;
	default:
		break;
	}
	if (upgrade->state == PFI_UPGRADE_IDLE)
		restore_workers(arbiter);
}

/* --- events */

static void note_exec_failure(struct prefork_arbiter *arbiter, uint32_t value)
{
	const struct pfi_start_record *const start = pfi_start_record_get();
	const char *const why = strerror((int)(value & PFI_REEXEC_ERRNO));

	if (value & PFI_REEXEC_NO_DIRECTORY)
		(void)snprintf(arbiter->upgrade.why, sizeof arbiter->upgrade.why,
			       "cannot change to the working directory of the start, %s: %s", start->directory, why);
	else
		(void)snprintf(arbiter->upgrade.why, sizeof arbiter->upgrade.why, "cannot execute %s: %s", start->program, why);
}

/* The new program has closed its copy of a socket that its settings do not name. */
static void release_socket(struct prefork_arbiter *arbiter, int fd)
{
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (listener->fd == fd)
			listener->held_by &= ~(unsigned)PFI_HELD_BY_CHILD;
	}
}

static void process_message(struct prefork_arbiter *arbiter, const struct pfi_message *message, uint64_t now_ms)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	const uint64_t proof_ms = message->value < PROOF_MAX_MS ? message->value : PROOF_MAX_MS;

	switch (message->type) {
	case PFI_UPGRADE_SERVING_MESSAGE:
		if (upgrade->state == PFI_UPGRADE_BOOTING && upgrade->deadline_ms != 0)
			upgrade->deadline_ms = now_ms + proof_ms + upgrade->limit_ms;
		step(arbiter, PFI_UPGRADE_ON_SERVING, now_ms);
		break;
	case PFI_UPGRADE_READY_MESSAGE:
		step(arbiter, PFI_UPGRADE_ON_READY, now_ms);
		break;
	case PFI_UPGRADE_FAILED_MESSAGE:
		pfi_exit_clean_text(message->text, upgrade->why, sizeof upgrade->why);
		break;
	case PFI_REEXEC_FAILED:
		note_exec_failure(arbiter, message->value);
		break;
	case PFI_UPGRADE_UNUSED_MESSAGE:
		release_socket(arbiter, (int)message->value);
		break;
	case PFI_UPGRADE_LEAVES_MESSAGE:
		/* A stop of this arbiter may have begun in this turn: the promotion follows, and is the response. */
		if (upgrade->state == PFI_UPGRADE_LEAVING || arbiter->supervisor.phase != PFI_PHASE_RUNNING)
			break;
		hold_sockets(arbiter, false);
		restore_workers(arbiter);
		(void)pfi_channel_send(upgrade->channel, PFI_UPGRADE_LEAVE_MESSAGE, 0, NULL);
		break;
	case PFI_UPGRADE_PROMOTED_MESSAGE:
		if (upgrade->state == PFI_UPGRADE_LEAVING && upgrade->hold_until_ms != 0) {
			upgrade->hold_until_ms = 0;
			upgrade->has_confirmed = true;
		}
		break;
	default:
		break;
	}
}

static void receive(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_message message;

	for (int i = 0; i < MESSAGES_A_TURN && arbiter->upgrade.channel >= 0; i++) {
		const int r = pfi_channel_receive(arbiter->upgrade.channel, &message);

		if (r == -EAGAIN)
			return;
		if (++arbiter->upgrade.messages > MESSAGES_MAX) {
			/* Not closed: for the new arbiter the end of the channel is its promotion. */
			pfi_loop_remove(arbiter, arbiter->upgrade.channel);
			return;
		}
		if (r == 0)
			process_message(arbiter, &message, now_ms);
		else if (r != -EBADMSG)
			close_channel(arbiter);
	}
}

/* How it has ended, before its own error message. */
static void note_exit(struct prefork_arbiter *arbiter, const struct pfi_exit_status *status)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	char said[sizeof upgrade->why], how[64];

	if (!status->known)
		(void)snprintf(how, sizeof how, "exited");
	else if (status->signo != 0)
		(void)snprintf(how, sizeof how, "was ended by signal %d", status->signo);
	else
		(void)snprintf(how, sizeof how, "exited with status %d", status->code);
	memcpy(said, upgrade->why, sizeof said);
	(void)snprintf(upgrade->why, sizeof upgrade->why, "new arbiter (pid:%d) %s%s%.400s", (int)upgrade->pid, how,
		       said[0] != '\0' ? ": " : "", said);
}

void pfi_upgrade_process(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;
	struct pfi_exit_status status = { 0 };

	if (upgrade->pid == 0 || tag.incarnation != (uint32_t)upgrade->pid)
		return;
	receive(arbiter, now_ms);
	if (tag.source != PFI_SOURCE_UPGRADE_EXIT || pfi_reap(upgrade->pidfd, &status) == -EAGAIN)
		return;
	note_exit(arbiter, &status);
	step(arbiter, PFI_UPGRADE_ON_EXITED, now_ms);
}

static bool has_named_new(const struct prefork_arbiter *arbiter)
{
	const struct pfi_notify *const notify = &arbiter->notify;

	return notify->socket.fd < 0 || (notify->pending[0] == '\0' && notify->service.is_replaced);
}

/* After the confirmation, or without one in time, the service manager is notified; then the end of the channel lets the
 * new arbiter do so. Returns when to call again. */
static uint64_t leave(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;

	if (upgrade->hold_until_ms > now_ms)
		return upgrade->hold_until_ms;
	if (!upgrade->is_named) {
		upgrade->is_named = true;
		pfi_notify_replaced(arbiter, (int)upgrade->pid);
		return now_ms + 1;
	}
	if (!has_named_new(arbiter))
		return now_ms + NAME_MS;
	close_channel(arbiter);
	return 0;
}

uint64_t pfi_upgrade_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const struct pfi_upgrade *const upgrade = &arbiter->upgrade;

	if (upgrade->deadline_ms != 0 && upgrade->deadline_ms <= now_ms)
		step(arbiter, PFI_UPGRADE_ON_LATE, now_ms);
	if (upgrade->state == PFI_UPGRADE_LEAVING && upgrade->pid != 0 && upgrade->channel >= 0)
		return leave(arbiter, now_ms);
	return upgrade->deadline_ms;
}

void pfi_upgrade_stopping(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	step(arbiter, PFI_UPGRADE_ON_STOP, now_ms);
}

bool pfi_upgrade_wants_stop(const struct prefork_arbiter *arbiter)
{
	return arbiter->upgrade.state == PFI_UPGRADE_READY && arbiter->upgrade.is_automatic;
}

void pfi_upgrade_note_workers(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count && arbiter->upgrade.state != PFI_UPGRADE_IDLE; i++) {
		if (arbiter->models[i].target != 0)
			arbiter->upgrade.workers_before[i] = arbiter->models[i].target;
	}
}

bool pfi_upgrade_is_leaving(const struct prefork_arbiter *arbiter)
{
	return arbiter->upgrade.state == PFI_UPGRADE_LEAVING && (arbiter->upgrade.pid != 0 || arbiter->upgrade.has_confirmed);
}

bool pfi_upgrade_new_serves(const struct prefork_arbiter *arbiter)
{
	return pfi_upgrade_is_leaving(arbiter) || arbiter->upgrade.state == PFI_UPGRADE_READY;
}

bool pfi_upgrade_takes_all(const struct prefork_arbiter *arbiter)
{
	return arbiter->upgrade.state == PFI_UPGRADE_LEAVING && arbiter->upgrade.pid != 0 && arbiter->upgrade.takes_all;
}

uint64_t pfi_upgrade_holds(const struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const struct pfi_upgrade *const upgrade = &arbiter->upgrade;

	if (upgrade->state != PFI_UPGRADE_LEAVING || upgrade->pid == 0 || upgrade->channel < 0)
		return 0;
	if (upgrade->hold_until_ms > now_ms)
		return upgrade->hold_until_ms;
	return upgrade->exit_by_ms > now_ms ? now_ms + 1 : 0;
}

void pfi_upgrade_report_unused(const struct prefork_arbiter *arbiter, int fd)
{
	if (arbiter->upgrade.channel >= 0)
		(void)pfi_channel_send(arbiter->upgrade.channel, PFI_UPGRADE_RELEASED_MESSAGE, (uint32_t)fd, NULL);
}

void pfi_upgrade_finish(struct prefork_arbiter *arbiter)
{
	struct pfi_upgrade *const upgrade = &arbiter->upgrade;

	if (upgrade->pid == 0)
		return;
	if (upgrade->state == PFI_UPGRADE_BOOTING || upgrade->state == PFI_UPGRADE_PROVING) {
		pfi_loop_remove(arbiter, upgrade->pidfd);
		pfi_killed_add(arbiter, &upgrade->pidfd);
		forget_new(arbiter);
	}
	/* Else it serves, and the sockets and the paths are its own. */
	close_channel(arbiter);
	pfi_loop_remove(arbiter, upgrade->pidfd);
	pfi_close(&upgrade->pidfd);
	upgrade->pid = 0;
	upgrade->state = PFI_UPGRADE_IDLE;
}

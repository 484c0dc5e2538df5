/* Takes the variables of an upgrade out of the environment, reports to the old arbiter, and is promoted when that stops;
 * ends older arbiters that are too many. */
#include "arbiter/predecessor.h"

#include "arbiter/arbiter.h"
#include "arbiter/pid.h"
#include "base/number.h"
#include "listener/listener.h"
#include "model/deadline.h"
#include "model/library_options.h"
#include "model/upgrade_steps.h"
#include "os/control_channel.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"
#include "os/reap.h"
#include "os/reexec.h"
#include "os/starter.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STOP_MS = 500,  /* for the old arbiter to respond to PFI_UPGRADE_LEAVES_MESSAGE             */
	QUIT_MS = 5000, /* after SIGQUIT and abort_timeout, an older arbiter gets SIGKILL */
	MESSAGES_A_TURN = 64,
};

/* worker_index of the tag; for an older arbiter its incarnation is the pid. */
enum { CHANNEL, OLDER };

/* A number in a variable of the environment, -1: it is not set, or wrong. */
static int read_number(const char *variable)
{
	const char *const text = getenv(variable);
	int64_t number;

	return text != NULL && pfi_parse_whole(text, &number) == 0 && number > 0 && number <= INT_MAX ? (int)number : -1;
}

/* Takes `pidfd`. */
static void add_older(struct prefork_arbiter *arbiter, pid_t pid, int pidfd)
{
	struct pfi_predecessor *const predecessor = &arbiter->predecessor;

	if (predecessor->older_count == PFI_OLDER_MAX ||
	    pfi_loop_add(arbiter, pidfd, (struct pfi_tag){ PFI_SOURCE_PREDECESSOR, OLDER, (uint32_t)pid }) < 0) {
		pfi_close(&pidfd);
		return;
	}
	pfi_fdtable_set_owner(pidfd, arbiter->id, PFI_FD_NO_SLOT);
	predecessor->older[predecessor->older_count++] = (struct pfi_older_arbiter){ .pid = pid, .pidfd = pidfd };
}

/* PID=PIDFD,PID=PIDFD. A descriptor that is not the pidfd of a running process is ignored. */
static void take_older(struct prefork_arbiter *arbiter, const char *text)
{
	long pid, fd;
	char *end;

	while (text != NULL && *text != '\0') {
		pid = strtol(text, &end, 10);
		fd = *end == '=' ? strtol(end + 1, &end, 10) : -1;
		if (pid > 0 && pid <= INT_MAX && fd > STDERR_FILENO && fd <= INT_MAX &&
		    pfi_pidfd_signal((int)fd, 0, 0) == 0 && pfi_fd_set_cloexec((int)fd, true) == 0 &&
		    pfi_fdtable_adopt((int)fd, PFI_FD_PIDFD) == 0)
			add_older(arbiter, (pid_t)pid, (int)fd);
		text = strchr(end, ',');
		text += text != NULL;
	}
}

/* The parent may have exited meanwhile, and its pid be another process's: getppid(2) decides, after the pidfd is open. */
static void take_parent(struct prefork_arbiter *arbiter, pid_t from)
{
	const int pidfd = getppid() == from ? pfi_open_pidfd(from) : -ESRCH;

	if (pidfd < 0)
		return;
	add_older(arbiter, from, pidfd);
	if (getppid() != from)
		return; /* the channel is at its end, too */
	arbiter->predecessor.pid = from;
}

static void take_channel(struct prefork_arbiter *arbiter, int fd)
{
	if (fd <= STDERR_FILENO || pfi_fd_set_cloexec(fd, true) < 0 || pfi_fdtable_adopt(fd, PFI_FD_CHANNEL) < 0)
		return;
	pfi_fdtable_set_owner(fd, arbiter->id, PFI_FD_NO_SLOT);
	if (pfi_loop_add(arbiter, fd, (struct pfi_tag){ PFI_SOURCE_PREDECESSOR, CHANNEL, 0 }) < 0)
		pfi_close(&fd);
	arbiter->predecessor.channel = fd;
}

bool pfi_predecessor_take(struct prefork_arbiter *arbiter)
{
	struct pfi_predecessor *const predecessor = &arbiter->predecessor;
	const int self = read_number(PFI_REEXEC_PID_VARIABLE), from = read_number("PREFORK_UPGRADE_FROM");

	if (predecessor->is_taken)
		return predecessor->is_upgrade;
	predecessor->is_taken = true;
	if (getenv(PFI_REEXEC_PID_VARIABLE) == NULL)
		return false;
	if (self != (int)getpid() || from < 0) {
		pfi_starter_forget_sockets(); /* the variables, PREFORK_FDS included, are for another process */
		return false;
	}
	predecessor->is_upgrade = true;
	take_channel(arbiter, read_number(PFI_REEXEC_CHANNEL_VARIABLE));
	take_older(arbiter, getenv("PREFORK_UPGRADE_OLDER"));
	pfi_kept_fds_take(arbiter, getenv("PREFORK_UPGRADE_KEPT"));
	take_parent(arbiter, from);
	pfi_starter_forget_upgrade();
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "upgrade_of", PFI_PAIRS(PREFORK_NUMBER("old", from)),
			"This arbiter (pid:%d) is the upgrade of arbiter (pid:%d)%s", (int)getpid(), from,
			predecessor->pid == 0 ? ", which has exited" : "");
	return true;
}

pid_t pfi_predecessor_pid(const struct prefork_arbiter *arbiter)
{
	return arbiter->predecessor.pid;
}

bool pfi_predecessor_is_over(const struct prefork_arbiter *arbiter)
{
	return arbiter->predecessor.pid == 0 && arbiter->predecessor.channel < 0;
}

static void close_channel(struct prefork_arbiter *arbiter)
{
	pfi_loop_remove(arbiter, arbiter->predecessor.channel);
	pfi_close(&arbiter->predecessor.channel);
}

/* From now on this arbiter alone holds its sockets. */
static void promote(struct prefork_arbiter *arbiter)
{
	const pid_t from = arbiter->predecessor.pid;

	if (from == 0)
		return;
	arbiter->predecessor.pid = 0;
	arbiter->inherited.is_upgrade = false;
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		listener->held_by &= ~(unsigned)PFI_HELD_BY_PARENT;
		if (!listener->is_refusing)
			pfi_listener_allow(listener); /* a reload may have dropped it, and a second one taken it back */
	}
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "upgrade_promoted", PFI_PAIRS(PREFORK_NUMBER("old", from)),
			"Master has been promoted.");
	if (pfi_pid_take_name(arbiter) < 0)
		pfi_arbiter_log(arbiter, PREFORK_LOG_ERROR, "pidfile_kept", PFI_NO_PAIRS,
				"The pid file keeps its suffix: %s", prefork_error());
	/* Then the old arbiter names this one to the service manager, and closes the channel. */
	if (arbiter->predecessor.channel >= 0)
		(void)pfi_channel_send(arbiter->predecessor.channel, PFI_UPGRADE_PROMOTED_MESSAGE, 0, NULL);
}

/* The old arbiter keeps serving. If it is told to stop next, it refuses connections while workers of this one drain. */
static void leave(struct prefork_arbiter *arbiter)
{
	arbiter->predecessor.may_leave = true;
	pfi_processes_expect_refusal(arbiter);
}

/* A reload of the old arbiter has dropped the address. */
static void take_socket(struct prefork_arbiter *arbiter, int fd)
{
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (listener->fd == fd)
			listener->held_by &= ~(unsigned)PFI_HELD_BY_PARENT;
	}
}

static void process_message(struct prefork_arbiter *arbiter, const struct pfi_message *message)
{
	switch (message->type) {
	case PFI_UPGRADE_PROMOTE_MESSAGE:
		promote(arbiter);
		break;
	case PFI_UPGRADE_LEAVE_MESSAGE:
		leave(arbiter);
		break;
	case PFI_UPGRADE_RELEASED_MESSAGE:
		take_socket(arbiter, (int)message->value);
		break;
	default:
		break;
	}
}

static void receive(struct prefork_arbiter *arbiter)
{
	struct pfi_message message;
	int r = 0;

	for (int i = 0; i < MESSAGES_A_TURN && (r == 0 || r == -EBADMSG); i++) {
		r = pfi_channel_receive(arbiter->predecessor.channel, &message);
		if (r == 0)
			process_message(arbiter, &message);
	}
	if (r == 0 || r == -EBADMSG || r == -EAGAIN)
		return;
	/* The old arbiter has ended, even if its process has not: an application may go on without it. */
	close_channel(arbiter);
	promote(arbiter);
}

static void remove_older(struct prefork_arbiter *arbiter, unsigned index)
{
	struct pfi_predecessor *const predecessor = &arbiter->predecessor;

	pfi_loop_remove(arbiter, predecessor->older[index].pidfd);
	pfi_close(&predecessor->older[index].pidfd);
	memmove(&predecessor->older[index], &predecessor->older[index + 1],
		(--predecessor->older_count - index) * sizeof predecessor->older[0]);
}

static void older_exited(struct prefork_arbiter *arbiter, pid_t pid)
{
	for (unsigned i = 0; i < arbiter->predecessor.older_count; i++) {
		if (arbiter->predecessor.older[i].pid != pid)
			continue;
		remove_older(arbiter, i);
		if (arbiter->predecessor.pid == pid)
			promote(arbiter);
		pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "upgrade_old_exit", PFI_PAIRS(PREFORK_NUMBER("old", pid)),
				"Old arbiter (pid:%d) has exited", (int)pid);
		return;
	}
}

void pfi_predecessor_event(struct prefork_arbiter *arbiter, struct pfi_tag tag)
{
	if (tag.worker_index == OLDER)
		older_exited(arbiter, (pid_t)tag.incarnation);
	else if (arbiter->predecessor.channel >= 0)
		receive(arbiter);
}

static bool is_serving(const struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (pfi_pool_serving(arbiter, i) < pfi_pool_desired_workers(&arbiter->models[i]))
			return false;
	}
	return arbiter->supervisor.phase == PFI_PHASE_RUNNING;
}

static uint64_t report(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_predecessor *const predecessor = &arbiter->predecessor;
	const uint64_t canary_ms = pfi_library_settings(arbiter->settings)->canary_ms;
	uint64_t wake_ms;

	if (predecessor->channel < 0 || predecessor->reported_ready)
		return 0;
	if (!is_serving(arbiter))
		predecessor->serving_since_ms = 0;
	else if (predecessor->serving_since_ms == 0)
		predecessor->serving_since_ms = now_ms;
	if (predecessor->serving_since_ms != 0 && !predecessor->reported_serving)
		predecessor->reported_serving = pfi_channel_send(predecessor->channel, PFI_UPGRADE_SERVING_MESSAGE,
								 (uint32_t)canary_ms, NULL) == 0;
	if (pfi_upgrade_is_proved(predecessor->serving_since_ms, canary_ms, now_ms, &wake_ms))
		predecessor->reported_ready = pfi_channel_send(predecessor->channel, PFI_UPGRADE_READY_MESSAGE, 0, NULL) == 0;
	return wake_ms;
}

static uint64_t kill_due(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	for (unsigned i = 0; i < arbiter->predecessor.older_count; i++) {
		struct pfi_older_arbiter *const older = &arbiter->predecessor.older[i];

		if (older->kill_at_ms == 0)
			continue;
		if (older->kill_at_ms <= now_ms) {
			(void)pfi_pidfd_signal(older->pidfd, SIGKILL, 0);
			older->kill_at_ms = now_ms + QUIT_MS;
		}
		wake_ms = pfi_earlier_ms(wake_ms, older->kill_at_ms);
	}
	return wake_ms;
}

uint64_t pfi_predecessor_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const bool is_deferred = arbiter->supervisor.phase == PFI_PHASE_RUNNING;

	return pfi_earlier_ms(is_deferred ? arbiter->predecessor.stop_by_ms : 0,
			      pfi_earlier_ms(report(arbiter, now_ms), kill_due(arbiter, now_ms)));
}

bool pfi_predecessor_defers_stop(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_predecessor *const predecessor = &arbiter->predecessor;

	if (predecessor->pid == 0 || predecessor->channel < 0)
		return false;
	if (predecessor->stop_by_ms == 0) {
		if (pfi_channel_send(predecessor->channel, PFI_UPGRADE_LEAVES_MESSAGE, 0, NULL) < 0)
			return false;
		predecessor->stop_by_ms = now_ms + STOP_MS;
	}
	return !predecessor->may_leave && now_ms < predecessor->stop_by_ms;
}

bool pfi_predecessor_wants_stop(const struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const struct pfi_predecessor *const predecessor = &arbiter->predecessor;

	return predecessor->stop_by_ms != 0 && arbiter->supervisor.phase == PFI_PHASE_RUNNING &&
	       (predecessor->may_leave || predecessor->pid == 0 || now_ms >= predecessor->stop_by_ms);
}

void pfi_predecessor_report_failure(struct prefork_arbiter *arbiter, const char *why)
{
	if (arbiter->predecessor.channel >= 0 && !arbiter->predecessor.reported_ready)
		(void)pfi_channel_send(arbiter->predecessor.channel, PFI_UPGRADE_FAILED_MESSAGE, 0, why);
	else if (!arbiter->predecessor.is_taken)
		pfi_reexec_report(PFI_UPGRADE_FAILED_MESSAGE, why);
}

void pfi_predecessor_report_unused(struct prefork_arbiter *arbiter, int fd)
{
	if (arbiter->predecessor.channel >= 0)
		(void)pfi_channel_send(arbiter->predecessor.channel, PFI_UPGRADE_UNUSED_MESSAGE, (uint32_t)fd, NULL);
}

void pfi_predecessor_limit(struct prefork_arbiter *arbiter, unsigned generations_max, uint64_t now_ms)
{
	const uint64_t abort_ms = pfi_library_settings(arbiter->settings)->abort_timeout_ms;
	const unsigned surplus = pfi_upgrade_surplus(arbiter->predecessor.older_count, generations_max);

	for (unsigned i = 0; i < surplus; i++) {
		struct pfi_older_arbiter *const older = &arbiter->predecessor.older[i];

		if (older->kill_at_ms != 0)
			continue;
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "upgrade_old_abort", PFI_PAIRS(PREFORK_NUMBER("old", older->pid)),
				"Old arbiter (pid:%d) still drains and is aborted: more than %u arbiters (generations_max)",
				(int)older->pid, generations_max);
		older->kill_at_ms = now_ms + abort_ms + QUIT_MS;
		(void)pfi_pidfd_signal(older->pidfd, SIGQUIT, 0);
	}
}

unsigned pfi_predecessor_write(const struct prefork_arbiter *arbiter, FILE *out, int *fds)
{
	for (unsigned i = 0; i < arbiter->predecessor.older_count; i++) {
		const struct pfi_older_arbiter *const older = &arbiter->predecessor.older[i];

		(void)fprintf(out, "%s%d=%d", i > 0 ? "," : "", (int)older->pid, older->pidfd);
		fds[i] = older->pidfd;
	}
	return arbiter->predecessor.older_count;
}

void pfi_predecessor_finish(struct prefork_arbiter *arbiter)
{
	close_channel(arbiter);
	while (arbiter->predecessor.older_count > 0)
		remove_older(arbiter, arbiter->predecessor.older_count - 1);
}

/*
 * One descriptor for all control events of a worker: signals, messages of the control channel, the
 * exit of the arbiter, and resumed connections.
 */
#include "base/number.h"
#include "model/drain.h"
#include "model/message.h"
#include "base/required.h"
#include "model/library_options.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/open.h"
#include "os/parent_death.h"
#include "os/control_channel.h"
#include "os/logfile.h"
#include "os/signal_pipe.h"
#include "os/title.h"
#include "worker/own_fds.h"
#include "worker/accept_shortage.h"
#include "worker/surroundings.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/log.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum source { SOURCE_SIGNALS, SOURCE_CHANNEL, SOURCE_ARBITER, SOURCE_WAKE, SOURCE_WATCH = PFI_WATCH_KEY };

enum { SOURCES = 5 };

/* Messages per poll; with more pending the level-triggered descriptor stays readable. */
enum { MESSAGES_MAX = 16 };

static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGUSR1 };
static const int ignored[] = { SIGPIPE, SIGXFSZ };
/* For the arbiter, but a signal to the process group reaches workers too. A handler that does nothing
 * instead of SIG_IGN, because exec preserves SIG_IGN for programs that the application starts (execve(2)). */
static const int without_effect[] = { SIGHUP, SIGWINCH, SIGTTIN, SIGTTOU, SIGUSR2 };

static int add_source(struct prefork_worker *worker, int fd, enum source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	if (fd >= 0 && epoll_ctl(worker->fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return prefork_fail(-errno, "adding a control descriptor to the epoll set failed: %s", strerror(errno));
	return 0;
}

static void ignore(int signo)
{
	(void)signo;
}

static void set_all(const int *numbers, size_t count, void (*handler)(int signo))
{
	const struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };

	for (size_t i = 0; i < count; i++)
		(void)sigaction(numbers[i], &action, NULL);
}

static void restore_default(const int *numbers, size_t count)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	struct sigaction now;

	for (size_t i = 0; i < count; i++) {
		if (sigaction(numbers[i], NULL, &now) == 0 &&
		    (now.sa_handler == ignore || now.sa_handler == pfi_parent_death_on_term))
			(void)sigaction(numbers[i], &plain, NULL);
	}
}

/* SIG_IGN stays, as after any fork. */
void pfi_check_forget(void)
{
	restore_default(signals, sizeof signals / sizeof signals[0]);
	restore_default(without_effect, sizeof without_effect / sizeof without_effect[0]);
}

static int take_signals(void)
{
	/* pfi_signal_pipe_close() restores these dispositions. From then on, while the worker flushes its
	 * output, only SIGABRT and SIGKILL end it; the arbiter sends them if the flush takes too long. */
	set_all(signals, sizeof signals / sizeof signals[0], ignore);
	set_all(&(int){ SIGTERM }, 1, pfi_parent_death_on_term);

	const int r = pfi_signal_pipe_open(signals, sizeof signals / sizeof signals[0], SA_RESTART);

	if (r < 0)
		return r;
	pfi_signal_pipe_set_hook(SIGTERM, pfi_parent_death_on_term);
	set_all(ignored, sizeof ignored / sizeof ignored[0], SIG_IGN);
	pfi_logfile_expect_ignored_signals();
	set_all(without_effect, sizeof without_effect / sizeof without_effect[0], ignore);
	return 0;
}

int pfi_check_open(struct prefork_worker *worker)
{
	int r = take_signals();

	if (r < 0)
		return r;
	if ((r = worker->fd = pfi_open_epoll()) < 0 || (r = worker->wake_fd = pfi_open_eventfd()) < 0 ||
	    (r = worker->quit_fd = pfi_open_eventfd()) < 0) {
		(void)prefork_fail(r, "opening an epoll set or an eventfd failed: %s", strerror(-r));
		goto fail;
	}
	if ((r = add_source(worker, pfi_signal_pipe_fd(), SOURCE_SIGNALS)) < 0 ||
	    (r = add_source(worker, worker->context->channel, SOURCE_CHANNEL)) < 0 ||
	    (r = add_source(worker, worker->context->arbiter_pidfd, SOURCE_ARBITER)) < 0 ||
	    (r = add_source(worker, worker->wake_fd, SOURCE_WAKE)) < 0)
		goto fail;
	return 0;

fail:
	pfi_check_close(worker);
	return r;
}

void pfi_check_close(struct prefork_worker *worker)
{
	pfi_close(&worker->quit_fd);
	pfi_close(&worker->wake_fd);
	pfi_close(&worker->fd);
	pfi_signal_pipe_close();
}

static void reopen_logs(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	const int r = prefork_log_reopen(worker->context->log);

	if (r < 0)
		pfi_worker_log(worker, PREFORK_LOG_ERROR, "log_reopen_failed",
			       "Reopening the log failed, the old file stays in use: %s", prefork_error());
	pfi_surroundings_capture(context);
	PFI_WORKER_HOOKS(worker, worker_reopen);
}

/* The arbiter has opened its logs again, which this process may not be able to: the descriptors are those that they
 * have had since the fork. */
static void adopt_logs(const char *numbers, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *end;
		const long number = strtol(numbers, &end, 10);

		pfi_logfile_adopt(end != numbers && number > 0 && number <= INT_MAX ? (int)number : -1, fds[i]);
		numbers = *end == ',' ? end + 1 : end;
	}
}

static void enter_drain(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;

	pfi_title_set("%s: worker %u [%s] draining", context->program, context->slot, context->pool);
	PFI_WORKER_HOOKS(worker, worker_draining);
	if (worker->service.drain_begin)
		worker->service.drain_begin(worker, context->user);
	pfi_connection_watch_drain(worker);
}

/* `text` is that of PFI_MESSAGE_DRAIN. Without a time in it, graceful_timeout counts from now. */
static void set_drain_end(struct prefork_worker *worker, const char *text)
{
	int64_t end_ms = 0;

	if (pfi_parse_whole(text, &end_ms) < 0 || end_ms <= 0)
		atomic_store(&worker->drain_end_ms,
			     pfi_drain_end_ms(pfi_now_ms(), pfi_worker_settings(worker)->graceful_timeout_ms));
	else
		atomic_store(&worker->drain_end_ms, (uint64_t)end_ms);
}

/* The only function that stores `directive`, which only grows. */
static void set_directive(struct prefork_worker *worker, enum prefork_directive directive)
{
	const uint64_t one = 1;
	const int before = atomic_load(&worker->directive);

	if ((int)directive <= before)
		return;
	if (atomic_load(&worker->drain_end_ms) == 0)
		set_drain_end(worker, "");
	atomic_store(&worker->directive, (int)directive);
	if (directive == PREFORK_QUIT)
		(void)!write(worker->quit_fd, &one, sizeof one);
	if (before == PREFORK_CONTINUE)
		enter_drain(worker);
	if (directive == PREFORK_QUIT)
		PFI_WORKER_HOOKS(worker, worker_quit);
	if (worker->listener_count == 0) /* otherwise prefork_worker_close_listeners() does */
		atomic_store_explicit(&worker->context->score->closed, 1, memory_order_release);
}

/* Drain or quit without a request of the arbiter: send it the reason first. */
static void stop_because(struct prefork_worker *worker, enum prefork_directive directive, const char *why)
{
	if (atomic_load(&worker->directive) == PREFORK_CONTINUE && !worker->orphan)
		(void)pfi_channel_send(worker->context->channel, PFI_MESSAGE_RETIRING, 0, why);
	set_directive(worker, directive);
}

/* Serve on until the arbiter has a replacement and sends PFI_MESSAGE_DRAIN; if the message cannot be
 * sent, drain now. */
static void announce_retirement(struct prefork_worker *worker)
{
	const bool has_served_max = worker->is_limited && atomic_load(&worker->requests_left) <= 0;
	const char *const why = has_served_max ? "max_requests served" : "requested by the application";

	if (worker->retire_announced || atomic_load(&worker->directive) != PREFORK_CONTINUE)
		return;
	worker->retire_announced = true;
	if (!worker->is_ready || worker->orphan ||
	    pfi_channel_send(worker->context->channel, PFI_MESSAGE_RETIRING, 1, why) < 0)
		stop_because(worker, PREFORK_DRAIN, why);
}

static void on_signals(struct prefork_worker *worker)
{
	const uint64_t taken = pfi_signal_pipe_take();

	if (taken & PFI_SIGNAL_BIT(SIGUSR1))
		reopen_logs(worker);
	if (taken & PFI_SIGNAL_BIT(SIGTERM))
		stop_because(worker, PREFORK_DRAIN, "received SIGTERM");
	if (taken & (PFI_SIGNAL_BIT(SIGINT) | PFI_SIGNAL_BIT(SIGQUIT)))
		stop_because(worker, PREFORK_QUIT, "received SIGINT or SIGQUIT");
}

/* The arbiter has exited: finish open requests within orphan_timeout, accept no more. The control
 * channel and the pidfd stay readable from now on, so they leave the epoll set. */
static void on_orphaned(struct prefork_worker *worker)
{
	if (worker->orphan)
		return;
	worker->orphan = true;
	worker->empties_queues = false;
	pfi_worker_log(worker, PREFORK_LOG_ERROR, "worker_orphaned",
		       "Arbiter (pid:%d) has exited: worker drains within %" PRIu64 " ms and exits",
		       (int)worker->context->arbiter, pfi_worker_settings(worker)->orphan_timeout_ms);
	(void)epoll_ctl(worker->fd, EPOLL_CTL_DEL, worker->context->channel, NULL);
	if (worker->context->arbiter_pidfd >= 0)
		(void)epoll_ctl(worker->fd, EPOLL_CTL_DEL, worker->context->arbiter_pidfd, NULL);
	pfi_kill_timer_start();
	set_directive(worker, PREFORK_DRAIN);
}

/* A library beside this one sends what only its arbiter can read, such as changed keys. */
static void call_worker_message(struct prefork_worker *worker, const char *topic, int fd)
{
	const struct pfi_spawn_context *const context = worker->context;

	for (size_t i = 0; i < context->hook_count; i++) {
		const struct prefork_hooks *const hooks = context->hooks[i].hooks;

		if (hooks->worker_message)
			hooks->worker_message(worker, topic, fd, context->hooks[i].user);
	}
}

static void handle_message(struct prefork_worker *worker, const struct pfi_message *message, const int *fds, size_t count)
{
	if (message->type == PFI_MESSAGE_HOOK && count > 0)
		call_worker_message(worker, message->text, fds[0]);
	if (message->type != PFI_MESSAGE_REOPEN) /* closes the descriptors, if there are any */
		adopt_logs("", fds, count);
	switch ((enum pfi_message_type)message->type) {
	case PFI_MESSAGE_DRAIN:
		if (message->value == 1)
			worker->empties_queues = true;
		set_drain_end(worker, message->text);
		set_directive(worker, PREFORK_DRAIN);
		break;
	case PFI_MESSAGE_REOPEN:
		pfi_logfile_begin_reopen();
		adopt_logs(message->text, fds, count);
		reopen_logs(worker);
		pfi_logfile_end_reopen();
		break;
	case PFI_MESSAGE_POLL:
		atomic_store(&worker->poll_requested, true);
		if (message->value == 1)
			(void)pfi_channel_send(worker->context->channel, PFI_MESSAGE_ALIVE, 0, NULL);
		break;
	default:
		break; /* of a newer arbiter: ignored */
	}
}

static void on_channel(struct prefork_worker *worker)
{
	struct pfi_message message;
	int fds[PFI_MESSAGE_FDS_MAX];
	size_t count;

	for (int i = 0; i < MESSAGES_MAX && !worker->orphan; i++) {
		const int r = pfi_channel_receive_fds(worker->context->channel, &message, fds, &count);

		if (r == 0)
			handle_message(worker, &message, fds, count);
		else if (r == -EPIPE)
			on_orphaned(worker);
		else if (r != -EBADMSG)
			break;
	}
}

static void poll_sources(struct prefork_worker *worker, bool at_wake)
{
	struct epoll_event events[SOURCES];
	const int count = epoll_wait(worker->fd, events, SOURCES, 0);
	bool has_watch = false;
	uint64_t sink;

	if (count < 0 && errno != EINTR)
		pfi_own_fds_lost(worker);
	for (int i = 0; i < count; i++) {
		switch ((enum source)events[i].data.u32) {
		case SOURCE_SIGNALS:
			on_signals(worker);
			break;
		case SOURCE_CHANNEL:
			on_channel(worker);
			break;
		case SOURCE_ARBITER:
			on_orphaned(worker);
			break;
		case SOURCE_WAKE:
			if (at_wake)
				(void)!read(worker->wake_fd, &sink, sizeof sink);
			break;
		case SOURCE_WATCH:
			has_watch = true;
			break;
		}
	}
	if (at_wake && has_watch) /* last: a drain that begins here has been noted; not inside another callback */
		pfi_connection_watch_dispatch(worker);
}

void pfi_check_poll(struct prefork_worker *worker)
{
	poll_sources(worker, false);
}

enum prefork_directive prefork_worker_check(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, PREFORK_QUIT);
	poll_sources(worker, true);
	pfi_abort_continue(worker);
	pfi_shortage_report(worker);
	if (atomic_load(&worker->wants_retire))
		announce_retirement(worker);
	return prefork_worker_directive(worker);
}

int prefork_worker_fd(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	return worker->fd;
}

bool prefork_worker_empties_queues(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, false);
	return worker->empties_queues;
}

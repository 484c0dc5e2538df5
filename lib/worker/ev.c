/*
 * The strategy libev: one event loop in which nothing may block.
 *
 * prefork_worker_fd(), the listeners, and every connection that has waited at least once are watchers of
 * one libev loop. A connection stays watched between requests, so a request costs no epoll_ctl(2). All
 * connections share one timer, which is set again only for an earlier deadline. An idle worker is not woken
 * until a deadline passes.
 *
 * The request deadline of the thread spans one turn of the loop: from the end of one wait to the beginning
 * of the next, callbacks of the application's own watchers included. Each callback of a connection starts
 * it again.
 */
#include "os/clock.h"
#include "base/required.h"
#include "worker/event_turn.h"
#include "worker/ev_accept_set.h"
#include "worker/own_fds.h"
#include "worker/strategies.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct ev {
	struct ev_loop *loop;
	struct pfi_ev_accept_set accept_set;
	struct pfi_event_core core;
	ev_io control;
	ev_timer alarm;
};

struct ev_state {
	struct pfi_event_state base; /* first: see event_core.h */
	ev_io io;
};

/* The loop's userdata. It lives until the worker is freed: other threads may still resume connections
 * after the strategy has returned. */
struct loop_data {
	struct prefork_worker *worker;
	ev_async resumed;
};

static struct loop_data *loop_data_of(struct ev_loop *loop)
{
	return ev_userdata(loop);
}

/* libev calls these just before and just after each wait. Its documentation means them for a lock; here they
 * are where the request deadline ends and starts. */
static void on_wait_begins(struct ev_loop *loop) EV_NOEXCEPT
{
	prefork_worker_idle(loop_data_of(loop)->worker);
}

static void on_wait_ends(struct ev_loop *loop) EV_NOEXCEPT
{
	prefork_worker_busy(loop_data_of(loop)->worker);
}

static void on_unused_periodic(struct ev_loop *loop, ev_periodic *periodic, int events)
{
	(void)loop;
	(void)periodic;
	(void)events;
}

/* Without a periodic watcher, libev wakes up about once a minute to compare CLOCK_REALTIME with
 * CLOCK_MONOTONIC. Once one has been started, it uses a timerfd with TFD_TIMER_CANCEL_ON_SET
 * (timerfd_create(2)) instead, and an idle worker sleeps. */
static void watch_clock_jumps(struct ev_loop *loop)
{
	ev_periodic periodic;

	ev_periodic_init(&periodic, on_unused_periodic, ev_now(loop) + 1e6, 0., NULL);
	ev_periodic_start(loop, &periodic);
	ev_periodic_stop(loop, &periodic);
}

static struct prefork_worker *process_worker; /* for on_system_error(), which has no user pointer */

/* Instead of libev's own reaction, a line on stderr and abort(3). EBADF or EINVAL: the application has closed
 * libev's epoll set, or the number is another file's by now. */
static void on_system_error(const char *what) EV_NOEXCEPT
{
	if (errno == EBADF || errno == EINVAL)
		pfi_own_fds_lost(process_worker);
	perror(what);
	abort();
}

static struct ev_loop *open_loop(struct prefork_worker *worker)
{
	/* Epoll only, not io_uring or Linux AIO: ev_accept_set.h replaces entries of the epoll set. LIBEV_FLAGS
	 * could select another backend. The signal mask belongs to the worker and the application. */
	struct ev_loop *const loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOSIGMASK);

	struct loop_data *const loop_data = calloc(1, sizeof *loop_data);

	if (!loop || !loop_data) {
		free(loop_data);
		pfi_ev_loop_close(loop);
		return NULL;
	}
	loop_data->worker = worker;
	ev_set_userdata(loop, loop_data);
	process_worker = worker;
	ev_set_syserr_cb(on_system_error);
	ev_set_loop_release_cb(loop, on_wait_begins, on_wait_ends);
	watch_clock_jumps(loop);
	return loop;
}

void pfi_ev_loop_close(struct ev_loop *loop)
{
	if (!loop)
		return;
	free(loop_data_of(loop));
	ev_loop_destroy(loop);
}

struct ev_loop *prefork_worker_loop(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	if (!worker->loop && worker->strategy.run == pfi_strategy_libev.run)
		worker->loop = open_loop(worker);
	return worker->loop;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
	struct ev *const ev = io->data;
	struct ev_state *const state = PFI_RING_OWNER(io, struct ev_state, io);

	(void)loop;
	(void)events;
	pfi_event_core_ready(&ev->core, &state->base);
}

static int watch(struct pfi_event_core *core, struct pfi_event_state *base, enum prefork_next event)
{
	struct ev *const ev = PFI_RING_OWNER(core, struct ev, core);
	struct ev_state *const state = (struct ev_state *)(void *)base;

	if (base->watched != PREFORK_CLOSE)
		ev_io_stop(ev->loop, &state->io);
	if (event == PREFORK_CLOSE)
		return 0;
	ev_io_init(&state->io, on_connection, prefork_connection_fd(base->connection),
	           event == PREFORK_WAIT_READABLE ? EV_READ : EV_WRITE);
	state->io.data = ev;
	ev_io_start(ev->loop, &state->io);
	return 0;
}

static void on_readable(void *user, size_t index)
{
	struct ev *const ev = user;

	pfi_event_core_accept(&ev->core, index);
}

static void on_control(struct ev_loop *loop, ev_io *io, int events)
{
	struct ev *const ev = io->data;

	(void)loop;
	(void)events;
	(void)prefork_worker_check(ev->core.worker);
}

static void on_resumed(struct ev_loop *loop, ev_async *async, int events)
{
	struct ev *const ev = async->data;

	(void)loop;
	(void)events;
	pfi_event_core_resume(&ev->core);
}

/* Any thread. ev_async_send() writes to the loop's eventfd only if the loop is waiting. */
static void wake(void *user)
{
	struct ev_loop *const loop = user;

	ev_async_send(loop, &loop_data_of(loop)->resumed);
}

static void on_alarm(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct ev *const ev = timer->data;

	(void)loop;
	(void)events;
	pfi_event_turn_on_timer(&ev->core);
}

static void set_timer(struct pfi_event_core *core, uint64_t at_ms)
{
	struct ev *const ev = PFI_RING_OWNER(core, struct ev, core);
	const uint64_t now_ms = pfi_now_ms();

	ev_now_update(ev->loop);
	ev_timer_stop(ev->loop, &ev->alarm);
	ev_timer_set(&ev->alarm, at_ms > now_ms ? (double)(at_ms - now_ms) / 1000. : 0., 0.);
	ev_timer_start(ev->loop, &ev->alarm);
}

/* The alarm is set before ev_run(), because libev computes the timeout of its epoll_wait(2) at the beginning. */
static void turn(struct ev *ev)
{
	pfi_ev_accept_set_refresh(&ev->accept_set);
	pfi_event_turn_begin(&ev->core);
	(void)ev_run(ev->loop, pfi_event_core_has_work(&ev->core) ? EVRUN_NOWAIT : EVRUN_ONCE);
	pfi_event_turn_end(&ev->core);
}

static void stop_listeners(struct pfi_event_core *core)
{
	struct ev *const ev = PFI_RING_OWNER(core, struct ev, core);

	pfi_ev_accept_set_stop(&ev->accept_set);
}

static const struct pfi_event_driver driver = {
	.state_size = sizeof(struct ev_state),
	.watch = watch,
	.stop_listeners = stop_listeners,
	.set_timer = set_timer,
};

static int open_all(struct ev *ev, struct prefork_worker *worker)
{
	*ev = (struct ev){ .loop = prefork_worker_loop(worker), .accept_set.inner = -1 };
	pfi_event_core_init(&ev->core, worker, &driver);
	if (!ev->loop)
		return prefork_fail(-ENOMEM, "libev cannot create an event loop with epoll");
	ev_async *const resumed = &loop_data_of(ev->loop)->resumed;
	ev_timer_init(&ev->alarm, on_alarm, 0., 0.);
	ev->alarm.data = ev;
	ev_io_init(&ev->control, on_control, prefork_worker_fd(worker), EV_READ);
	ev_set_priority(&ev->control, EV_MAXPRI);
	ev->control.data = ev;
	ev_io_start(ev->loop, &ev->control);
	ev_async_init(resumed, on_resumed);
	resumed->data = ev;
	ev_async_start(ev->loop, resumed);
	worker->wake_user = ev->loop;
	worker->wake = wake;
	int r = pfi_event_turn_open(&ev->core);
	if (r == 0)
		r = pfi_ev_accept_set_open(&ev->accept_set, &ev->core.accept_set, worker, ev->loop, on_readable, ev);
	if (r == 0)
		pfi_event_core_start(&ev->core);
	return r;
}

static void close_all(struct ev *ev)
{
	struct prefork_worker *const worker = ev->core.worker;

	pfi_event_turn_close(&ev->core);
	pfi_own_fds_clear(worker);
	pfi_ev_accept_set_stop(&ev->accept_set);
	pfi_event_core_finish(&ev->core);
	if (!ev->loop)
		return;
	pfi_ev_accept_set_finish(&ev->accept_set);
	ev_io_stop(ev->loop, &ev->control);
	ev_async_stop(ev->loop, &loop_data_of(ev->loop)->resumed);
	ev_timer_stop(ev->loop, &ev->alarm);
	prefork_worker_idle(worker);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct ev ev;
	const int r = open_all(&ev, worker);

	(void)user;
	while (r == 0 && pfi_event_core_continue(&ev.core))
		turn(&ev);
	close_all(&ev);
	return r;
}

const struct prefork_strategy pfi_strategy_libev = {
	.struct_size = sizeof pfi_strategy_libev,
	.name = "libev",
	.traits = PREFORK_STRATEGY_TURNS | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};

/*
 * Stack dumps of a worker's threads, written by the threads themselves in signal handlers.
 *
 * On PFI_DUMP_SIGNAL a thread writes its own stack to the log and continues: the arbiter
 * sends it to each thread whose deadline has passed. On SIGABRT every busy thread is
 * described and writes its stack, then the default action of the signal ends the worker,
 * with a core dump where the system writes one.
 */
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/dump.h"
#include "os/log.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	TURN_MS = 200,    /* how long a thread waits for another to finish writing */
	OTHERS_MS = 500, /* how long an abort waits for the stacks of all others  */
	HOOKS_INTERVAL_MS = 1000,
};

/* For signal handlers; one process has one worker. */
static _Atomic(struct prefork_worker *) the_worker;
static _Atomic bool aborting;
static _Atomic bool writing;          /* a thread is writing                      */
static _Atomic unsigned dumps_done;      /* threads that have handled PFI_DUMP_SIGNAL */
static _Atomic uint64_t hooks_called_ms; /* when the dump hooks were called          */
static _Atomic bool postponed; /* the hook worker_abort is to be called                */
static timer_t end_timer;      /* ends a process whose abort was postponed             */
static bool has_end_timer;

/* A line, formatted without stdio (async-signal-safe) and truncated at the size of the buffer. */
struct dump_line {
	char bytes[512];
	size_t size;
};

static void add_bytes(struct dump_line *line, const char *bytes, size_t size)
{
	const size_t capacity = sizeof line->bytes - line->size;

	if (size > capacity)
		size = capacity;
	memcpy(line->bytes + line->size, bytes, size);
	line->size += size;
}

static void add_text(struct dump_line *line, const char *text)
{
	add_bytes(line, text, strlen(text));
}

static void add_number(struct dump_line *line, uint64_t number)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	add_bytes(line, digits + at, sizeof digits - at);
}

/* The activity contains client data: control characters are replaced, so that it cannot end the line or
 * drive a terminal. Its thread may be writing the next one, so that the line may mix both; each byte is
 * read once only. An empty one adds nothing. */
__attribute__((no_sanitize("thread"))) static void add_activity(struct dump_line *line, const char *before,
                                                                const volatile char *activity)
{
	size_t i = 0;

	for (char byte; i < PFI_ACTIVITY_SIZE && (byte = activity[i]) != '\0'; i++) {
		if (i == 0)
			add_text(line, before);
		add_bytes(line, (unsigned char)byte < 0x20 || byte == 0x7f ? "?" : &byte, 1);
	}
	if (i > 0)
		add_text(line, "\"");
}

static void write_line(int fd, struct dump_line *line)
{
	line->bytes[line->size < sizeof line->bytes ? line->size : sizeof line->bytes - 1] = '\n';
	(void)!write(fd, line->bytes, line->size < sizeof line->bytes ? line->size + 1 : sizeof line->bytes);
}

static bool is_busy(const struct prefork_worker *worker, unsigned thread)
{
	return atomic_load(&worker->context->score->thread_slots[thread].deadline_ms) > 0;
}

static void describe(const struct prefork_worker *worker, int fd, unsigned thread, const char *event)
{
	const struct pfi_thread_slot *const thread_slot = &worker->context->score->thread_slots[thread];
	const bool busy = is_busy(worker, thread);
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t since_ms = atomic_load(&thread_slot->since_ms);
	struct dump_line line = { .size = 0 };

	add_text(&line, "Worker (pid:");
	add_number(&line, (uint64_t)getpid());
	add_text(&line, "): thread ");
	add_number(&line, thread);
	add_text(&line, busy ? " is busy" : " is idle");
	if (busy && since_ms > 0 && since_ms <= now_ms) {
		add_text(&line, " for ");
		add_number(&line, now_ms - since_ms);
		add_text(&line, " ms");
	}
	add_activity(&line, busy ? " with \"" : ", last with \"", thread_slot->activity);
	add_text(&line, " event=");
	add_text(&line, event);
	add_text(&line, " pool=");
	add_text(&line, worker->context->pool);
	add_text(&line, " slot=");
	add_number(&line, worker->context->slot);
	add_text(&line, " pid=");
	add_number(&line, (uint64_t)getpid());
	write_line(fd, &line);
}

static void sleep_1_ms(void)
{
	const struct timespec one_ms = { .tv_nsec = 1000 * 1000 };

	(void)nanosleep(&one_ms, NULL);
}

/* Threads write one after the other, with a time limit: a thread may be stuck in here too. */
static void take_turn(void)
{
	for (int i = 0; i < TURN_MS && atomic_exchange(&writing, true); i++)
		sleep_1_ms();
}

/* A dump hook covers all threads of the process, so it runs once per second at most. */
static void call_dump_hooks(struct prefork_worker *worker, int fd)
{
	const struct pfi_spawn_context *const context = worker->context;
	const uint64_t now_ms = pfi_now_ms();
	uint64_t called_ms = atomic_load(&hooks_called_ms);

	if ((called_ms > 0 && now_ms - called_ms < HOOKS_INTERVAL_MS) ||
	    !atomic_compare_exchange_strong(&hooks_called_ms, &called_ms, now_ms))
		return;
	for (size_t i = 0; i < context->hook_count; i++) {
		if (context->hooks[i].hooks->dump)
			context->hooks[i].hooks->dump(worker, fd, context->hooks[i].user);
	}
}

static void show_stack(struct prefork_worker *worker, int fd)
{
	static const char none[] = "(no stack: built without backtrace(3))\n";

	if (!pfi_dump_stack(fd))
		(void)!write(fd, none, sizeof none - 1);
	call_dump_hooks(worker, fd);
}

/* Only numbered threads get the signal. A thread may have finished the work in question by now. */
static void on_dump_signal(int signo, siginfo_t *info, void *context)
{
	struct prefork_worker *const worker = atomic_load(&the_worker);
	const int saved_errno = errno;

	(void)signo;
	(void)context;
	if (!worker || info->si_code != SI_TKILL)
		return;
	const unsigned thread = pfi_worker_thread(worker);
	if (thread <= worker->threads && is_busy(worker, thread)) {
		const int fd = pfi_log_fd(worker->context->log);

		take_turn();
		describe(worker, fd, thread, "thread_dump");
		show_stack(worker, fd);
		atomic_store(&writing, false);
	}
	atomic_fetch_add(&dumps_done, 1);
	errno = saved_errno;
}

/* Have all other busy threads write their stacks, one after the other. */
static void dump_others(struct prefork_worker *worker)
{
	const unsigned self = pfi_worker_thread(worker);
	const uint64_t until_ms = pfi_now_ms() + OTHERS_MS;

	for (unsigned i = 0; i <= worker->threads; i++) {
		const unsigned before = atomic_load(&dumps_done);

		if (i == self || !is_busy(worker, i) ||
		    pfi_dump_ask(getpid(), atomic_load(&worker->tids[i])) < 0)
			continue;
		while (atomic_load(&dumps_done) == before && pfi_now_ms() < until_ms)
			sleep_1_ms();
	}
}

static void dump(struct prefork_worker *worker, int fd)
{
	const unsigned self = pfi_worker_thread(worker);

	take_turn();
	for (unsigned i = 0; i <= worker->threads; i++) {
		if (i == self || is_busy(worker, i))
			describe(worker, fd, i, "worker_abort");
	}
	show_stack(worker, fd);
	atomic_store(&writing, false);
	dump_others(worker);
}

static unsigned call_abort_begin(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	unsigned longest_ms = 0;

	for (size_t i = 0; i < context->hook_count; i++) {
		const struct prefork_hooks *const hooks = context->hooks[i].hooks;
		const unsigned ms = hooks->abort_begin ? hooks->abort_begin(worker, context->hooks[i].user) : 0;

		longest_ms = ms > longest_ms ? ms : longest_ms;
	}
	return longest_ms;
}

/* Whether the process goes on until the timer raises the signal again, for the hook worker_abort. */
static bool is_postponed(struct prefork_worker *worker)
{
	const unsigned ms = has_end_timer ? call_abort_begin(worker) : 0;
	const struct itimerspec until = { .it_value = { ms / 1000, (long)(ms % 1000) * 1000000 } };

	if (ms == 0 || timer_settime(end_timer, 0, &until, NULL) < 0)
		return false;
	atomic_store(&postponed, true);
	pfi_worker_wake(worker);
	return true;
}

void pfi_abort_continue(struct prefork_worker *worker)
{
	if (!atomic_exchange(&postponed, false))
		return;
	PFI_WORKER_HOOKS(worker, worker_abort);
	(void)raise(SIGABRT); /* SA_RESETHAND has restored the default */
}

static void on_abort(int signo)
{
	struct prefork_worker *const worker = atomic_load(&the_worker);
	const int saved_errno = errno;
	sigset_t unblock;

	if (worker && !atomic_exchange(&aborting, true)) {
		dump(worker, pfi_log_fd(worker->context->log));
		errno = saved_errno;
		if (is_postponed(worker))
			return;
	}
	/* SA_RESETHAND has restored the default; the signal is still masked inside its handler. */
	(void)sigemptyset(&unblock);
	(void)sigaddset(&unblock, signo);
	(void)pthread_sigmask(SIG_UNBLOCK, &unblock, NULL);
	(void)raise(signo);
	_exit(128 + signo);
}

static void create_end_timer(const struct prefork_worker *worker)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT };
	bool is_needed = false;

	for (size_t i = 0; i < worker->context->hook_count; i++)
		is_needed |= worker->context->hooks[i].hooks->abort_begin != NULL;
	has_end_timer = is_needed && timer_create(CLOCK_MONOTONIC, &event, &end_timer) == 0;
}

void pfi_abort_arm(struct prefork_worker *worker)
{
	create_end_timer(worker);
	struct sigaction abort_action = { .sa_handler = on_abort, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK) };
	struct sigaction dump_action = { .sa_sigaction = on_dump_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	pfi_dump_prepare();
	atomic_store(&the_worker, worker);
	(void)sigemptyset(&abort_action.sa_mask);
	(void)sigaction(SIGABRT, &abort_action, NULL);
	(void)sigfillset(&dump_action.sa_mask);
	(void)sigaction(PFI_DUMP_SIGNAL, &dump_action, NULL);
}

void pfi_abort_forget(void)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	struct sigaction now;

	if (sigaction(PFI_DUMP_SIGNAL, NULL, &now) == 0 && now.sa_sigaction == on_dump_signal)
		(void)sigaction(PFI_DUMP_SIGNAL, &plain, NULL);
	if (sigaction(SIGABRT, NULL, &now) == 0 && now.sa_handler == on_abort)
		(void)sigaction(SIGABRT, &plain, NULL);
	atomic_store(&the_worker, NULL);
}

void pfi_abort_disarm(void)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };

	(void)sigaction(PFI_DUMP_SIGNAL, &plain, NULL);
	(void)sigaction(SIGABRT, &plain, NULL);
	atomic_store(&the_worker, NULL);
	if (has_end_timer)
		(void)timer_delete(end_timer);
	has_end_timer = false;
}

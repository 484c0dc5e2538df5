/*
 * What the threads of a worker are at, written by themselves in a signal handler.
 *
 * Asked by PFI_DUMP_SIGNAL, a thread writes its own stack and goes on: the arbiter
 * asks each thread whose deadline has passed. SIGABRT is the last word of the whole
 * worker: every busy thread is described and shows its stack, and then comes the
 * death that the signal means, with a core where the system makes one.
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
	TURN_MS = 200,    /* how long one thread waits for another to have written */
	OTHERS_MS = 500, /* how long an abort waits for the stacks of all others  */
	HOOKS_INTERVAL_MS = 1000,
};

/* A signal handler has no other way to find it; one process, one worker. */
static _Atomic(struct prefork_worker *) the_worker;
static _Atomic bool aborting;
static _Atomic bool writing;          /* a thread has its turn to write           */
static _Atomic unsigned dumps_done;      /* threads that were asked and have written */
static _Atomic uint64_t hooks_called_ms; /* when the host's own dumps were written   */

/* A line, put together without stdio. What does not fit is left out. */
struct line {
	char bytes[512];
	size_t size;
};

static void add_bytes(struct line *line, const char *bytes, size_t size)
{
	const size_t capacity = sizeof line->bytes - line->size;

	if (size > capacity)
		size = capacity;
	memcpy(line->bytes + line->size, bytes, size);
	line->size += size;
}

static void add_text(struct line *line, const char *text)
{
	add_bytes(line, text, strlen(text));
}

static void add_number(struct line *line, uint64_t number)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	add_bytes(line, digits + at, sizeof digits - at);
}

/* A note comes from clients, more or less: nothing of it may end the line, or
 * speak to a terminal. Its thread may write the next one meanwhile, so that it may be
 * of both; but each byte is read only once. */
__attribute__((no_sanitize("thread"))) static void add_activity(struct line *line, const volatile char *activity)
{
	for (size_t i = 0; i < PFI_ACTIVITY_SIZE; i++) {
		const char byte = activity[i];

		if (byte == '\0')
			break;
		add_bytes(line, (unsigned char)byte < 0x20 || byte == 0x7f ? "?" : &byte, 1);
	}
}

static void write_line(int fd, struct line *line)
{
	line->bytes[line->size < sizeof line->bytes ? line->size : sizeof line->bytes - 1] = '\n';
	(void)!write(fd, line->bytes, line->size < sizeof line->bytes ? line->size + 1 : sizeof line->bytes);
}

static bool is_busy(const struct prefork_worker *worker, unsigned thread)
{
	return atomic_load(&worker->context->score->thread_slots[thread].deadline_ms) > 0;
}

static void describe(const struct prefork_worker *worker, int fd, unsigned thread, const char *why)
{
	const struct pfi_thread_slot *const thread_slot = &worker->context->score->thread_slots[thread];
	const bool busy = is_busy(worker, thread);
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t since_ms = atomic_load(&thread_slot->since_ms);
	struct line line = { .size = 0 };

	add_text(&line, "worker ");
	add_number(&line, worker->context->slot);
	add_text(&line, " (pid ");
	add_number(&line, (uint64_t)getpid());
	add_text(&line, why);
	add_number(&line, thread);
	add_text(&line, busy ? " is busy" : " is idle");
	if (busy && since_ms > 0 && since_ms <= now_ms) {
		add_text(&line, " for ");
		add_number(&line, now_ms - since_ms);
		add_text(&line, " ms");
	}
	if (thread_slot->activity[0]) {
		add_text(&line, busy ? " with \"" : ", last with \"");
		add_activity(&line, thread_slot->activity);
		add_text(&line, "\"");
	}
	write_line(fd, &line);
}

static void sleep_1_ms(void)
{
	const struct timespec one_ms = { .tv_nsec = 1000 * 1000 };

	(void)nanosleep(&one_ms, NULL);
}

/* One after the other, but nobody waits for ever: a thread may be stuck in here too. */
static void take_turn(void)
{
	for (int i = 0; i < TURN_MS && atomic_exchange(&writing, true); i++)
		sleep_1_ms();
}

/* The host speaks of all its threads at once, and once is enough. */
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
	static const char none[] = "(this build cannot show a stack: its C library has no backtrace)\n";

	if (!pfi_dump_stack(fd))
		(void)!write(fd, none, sizeof none - 1);
	call_dump_hooks(worker, fd);
}

/* Only who has a number is asked; and it may be done with what it was asked about. */
static void on_dump_signal(int signo, siginfo_t *info, void *context)
{
	struct prefork_worker *const worker = atomic_load(&the_worker);
	const int saved_errno = errno;

	(void)signo;
	(void)context;
	if (!worker || info->si_code != SI_TKILL)
		return;
	const unsigned thread = prefork_worker_thread(worker);
	if (thread <= worker->threads && is_busy(worker, thread)) {
		const int fd = pfi_log_fd(worker->context->log);

		take_turn();
		describe(worker, fd, thread, "): thread ");
		show_stack(worker, fd);
		atomic_store(&writing, false);
	}
	atomic_fetch_add(&dumps_done, 1);
	errno = saved_errno;
}

/* Have all others that are busy show what they are at, one after the other. */
static void dump_others(struct prefork_worker *worker)
{
	const unsigned self = prefork_worker_thread(worker);
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
	const unsigned self = prefork_worker_thread(worker);

	take_turn();
	for (unsigned i = 0; i <= worker->threads; i++) {
		if (i == self || is_busy(worker, i))
			describe(worker, fd, i, ") aborts: thread ");
	}
	show_stack(worker, fd);
	atomic_store(&writing, false);
	dump_others(worker);
}

static void on_abort(int signo)
{
	struct prefork_worker *const worker = atomic_load(&the_worker);
	sigset_t unblock;

	if (worker && !atomic_exchange(&aborting, true))
		dump(worker, pfi_log_fd(worker->context->log));
	/* SA_RESETHAND has put the default back: only the mask is in its way. */
	(void)sigemptyset(&unblock);
	(void)sigaddset(&unblock, signo);
	(void)pthread_sigmask(SIG_UNBLOCK, &unblock, NULL);
	(void)raise(signo);
	_exit(128 + signo);
}

void pfi_abort_arm(struct prefork_worker *worker)
{
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
}

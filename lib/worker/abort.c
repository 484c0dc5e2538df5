/*
 * The last words of a worker that is stuck, or whose application gave up:
 * what each busy thread was at, the stack of the one that was hit, and then
 * the death that SIGABRT means, with a core where the system makes one.
 */
#include "model/page.h"
#include "os/clock.h"
#include "os/dump.h"
#include "os/log.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A signal handler has no other way to find it; one process, one worker. */
static _Atomic(struct prefork_worker *) the_worker;
static _Atomic bool dying;

/* A line, put together without stdio. What does not fit is left out. */
struct line {
	char bytes[512];
	size_t size;
};

static void add_bytes(struct line *line, const char *bytes, size_t size)
{
	const size_t room = sizeof line->bytes - line->size;

	if (size > room)
		size = room;
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
 * speak to a terminal. */
static void add_note(struct line *line, const char *note)
{
	for (size_t i = 0; i < PFI_NOTE_SIZE && note[i]; i++) {
		const unsigned char byte = (unsigned char)note[i];

		add_bytes(line, byte < 0x20 || byte == 0x7f ? "?" : &note[i], 1);
	}
}

static void write_line(int fd, struct line *line)
{
	line->bytes[line->size < sizeof line->bytes ? line->size : sizeof line->bytes - 1] = '\n';
	(void)!write(fd, line->bytes, line->size < sizeof line->bytes ? line->size + 1 : sizeof line->bytes);
}

static void describe(const struct prefork_worker *worker, int fd, unsigned thread)
{
	const struct pfi_cell *const cell = &worker->birth->page->cells[thread];
	const bool busy = atomic_load(&cell->deadline_ms) > 0;
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t since_ms = atomic_load(&cell->since_ms);
	struct line line = { .size = 0 };

	add_text(&line, "worker ");
	add_number(&line, worker->birth->slot);
	add_text(&line, " (pid ");
	add_number(&line, (uint64_t)getpid());
	add_text(&line, ") aborts: thread ");
	add_number(&line, thread);
	add_text(&line, busy ? " is busy" : " is idle");
	if (busy && since_ms > 0 && since_ms <= now_ms) {
		add_text(&line, " for ");
		add_number(&line, now_ms - since_ms);
		add_text(&line, " ms");
	}
	if (cell->note[0]) {
		add_text(&line, busy ? " with \"" : ", last with \"");
		add_note(&line, cell->note);
		add_text(&line, "\"");
	}
	write_line(fd, &line);
}

static void dump(struct prefork_worker *worker, int fd)
{
	const struct pfi_birth *const birth = worker->birth;
	const unsigned thread = prefork_worker_thread(worker);

	for (unsigned i = 0; i <= worker->threads; i++) {
		if (i == thread || atomic_load(&birth->page->cells[i].deadline_ms) > 0)
			describe(worker, fd, i);
	}
	(void)pfi_dump_stack(fd);
	for (size_t i = 0; i < birth->hook_count; i++) {
		if (birth->hooks[i].hooks->dump)
			birth->hooks[i].hooks->dump(worker, fd, birth->hooks[i].user);
	}
}

static void on_abort(int signo)
{
	struct prefork_worker *const worker = atomic_load(&the_worker);
	sigset_t just_this;

	if (worker && !atomic_exchange(&dying, true))
		dump(worker, pfi_log_fd(worker->birth->log));
	/* SA_RESETHAND has put the default back: only the mask is in its way. */
	(void)sigemptyset(&just_this);
	(void)sigaddset(&just_this, signo);
	(void)pthread_sigmask(SIG_UNBLOCK, &just_this, NULL);
	(void)raise(signo);
	_exit(128 + signo);
}

void pfi_abort_arm(struct prefork_worker *worker)
{
	struct sigaction action = { .sa_handler = on_abort, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK) };

	pfi_dump_prepare();
	atomic_store(&the_worker, worker);
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGABRT, &action, NULL);
}

void pfi_abort_disarm(void)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };

	(void)sigaction(SIGABRT, &plain, NULL);
	atomic_store(&the_worker, NULL);
}

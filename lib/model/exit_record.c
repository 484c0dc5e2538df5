#include "model/exit_record.h"

#include <prefork/worker.h>

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum prefork_reason reason_of_code(const struct pfi_exit_record *dead)
{
	switch (dead->code) {
	case PREFORK_EXIT_RECYCLE:
		return dead->was_ready ? PREFORK_REASON_RECYCLED : PREFORK_REASON_BOOT;
	case PREFORK_EXIT_APP:
		return dead->was_ready ? PREFORK_REASON_CRASHED : PREFORK_REASON_APP;
	case PREFORK_EXIT_SICK:
		return PREFORK_REASON_SICK;
	case PREFORK_EXIT_FATAL:
		return PREFORK_REASON_FATAL;
	default:
		return dead->was_ready ? PREFORK_REASON_CRASHED : PREFORK_REASON_BOOT;
	}
}

enum prefork_reason pfi_exit_reason(const struct pfi_exit_record *dead)
{
	const bool asked = dead->state == PFI_STATE_DRAINING || dead->state == PFI_STATE_QUITTING;

	if (dead->state == PFI_STATE_ABORTING || dead->state == PFI_STATE_KILLING ||
	    dead->state == PFI_STATE_DUMPING)
		return PREFORK_REASON_TIMEOUT;
	if (!dead->known)
		return asked ? PREFORK_REASON_STOPPED : PREFORK_REASON_UNKNOWN;
	/* One that was asked while it started may end by the signal that asked it. */
	if (asked && ((dead->signal == 0 && dead->code == 0) || dead->signal == SIGTERM ||
		      dead->signal == SIGQUIT || (!dead->was_ready && dead->code == PREFORK_EXIT_BOOT)))
		return PREFORK_REASON_STOPPED;
	if (dead->signal == SIGKILL || dead->signal == SIGTERM)
		return PREFORK_REASON_KILLED;
	if (dead->signal != 0)
		return PREFORK_REASON_CRASHED;
	return reason_of_code(dead);
}

bool pfi_exit_is_failure(enum prefork_reason reason)
{
	return reason != PREFORK_REASON_STOPPED && reason != PREFORK_REASON_RECYCLED;
}

const char *pfi_reason_name(enum prefork_reason reason)
{
	static const char *const names[] = {
		[PREFORK_REASON_STOPPED] = "left as asked",
		[PREFORK_REASON_RECYCLED] = "recycled",
		[PREFORK_REASON_BOOT] = "failed to boot",
		[PREFORK_REASON_APP] = "failed to load the application",
		[PREFORK_REASON_SICK] = "said that it is sick",
		[PREFORK_REASON_FATAL] = "said that it will never work",
		[PREFORK_REASON_CRASHED] = "crashed",
		[PREFORK_REASON_KILLED] = "killed",
		[PREFORK_REASON_TIMEOUT] = "timed out",
		[PREFORK_REASON_UNKNOWN] = "unknown",
	};

	if ((size_t)reason >= sizeof names / sizeof names[0])
		return "unknown";
	return names[reason];
}

const char *pfi_cause_text(enum pfi_cause cause)
{
#define PFI_NAME_CAUSE(name, text) [PFI_CAUSE_##name] = text,
	static const char *const texts[PFI_CAUSE_COUNT] = { PFI_CAUSES(PFI_NAME_CAUSE) };
#undef PFI_NAME_CAUSE

	return (unsigned)cause < PFI_CAUSE_COUNT ? texts[cause] : "";
}

void pfi_exit_clean_text(const char *from, char *text, size_t size)
{
	size_t i = 0;

	for (; from[i] != '\0' && i + 1 < size; i++) {
		const unsigned char byte = (unsigned char)from[i];

		text[i] = byte < 0x20 || byte == 0x7f ? '?' : from[i];
	}
	text[i] = '\0';
}

struct line {
	char *text;
	size_t size;
	size_t used;
};

static void add(struct line *line, const char *format, ...) PREFORK_PRINTF(2, 3);

static void add(struct line *line, const char *format, ...)
{
	va_list arguments;
	int n;

	if (line->used + 1 >= line->size)
		return;
	va_start(arguments, format);
	n = vsnprintf(line->text + line->used, line->size - line->used, format, arguments);
	va_end(arguments);
	if (n > 0)
		line->used += (size_t)n;
	if (line->used >= line->size)
		line->used = line->size - 1;
}

static const char *signal_name(int signal)
{
	static const char *const names[] = {
		[SIGABRT] = "SIGABRT", [SIGALRM] = "SIGALRM", [SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",
		[SIGHUP] = "SIGHUP",   [SIGILL] = "SIGILL",   [SIGINT] = "SIGINT",   [SIGKILL] = "SIGKILL",
		[SIGPIPE] = "SIGPIPE", [SIGQUIT] = "SIGQUIT", [SIGSEGV] = "SIGSEGV", [SIGSYS] = "SIGSYS",
		[SIGTERM] = "SIGTERM", [SIGTRAP] = "SIGTRAP", [SIGUSR1] = "SIGUSR1", [SIGUSR2] = "SIGUSR2",
		[SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ",
	};

	if (signal > 0 && (size_t)signal < sizeof names / sizeof names[0] && names[signal] != NULL)
		return names[signal];
	return NULL;
}

static void add_how(struct line *line, const struct pfi_exit_record *dead)
{
	const char *const name = signal_name(dead->signal);

	if (!dead->known)
		add(line, " is gone, status unknown: reaped by the host");
	else if (dead->signal == 0)
		add(line, " exited with code %d", dead->code);
	else if (name != NULL)
		add(line, " was ended by %s", name);
	else
		add(line, " was ended by signal %d", dead->signal);
	if (dead->core)
		add(line, " (core dumped)");
}

/* By whose hand. A SIGKILL that is not ours is most often the kernel's. */
static void add_hand(struct line *line, const struct pfi_exit_record *dead, enum prefork_reason reason)
{
	static const char *const meanings[] = {
		[PREFORK_REASON_RECYCLED] = "by its own decision",
		[PREFORK_REASON_BOOT] = "before it was ready",
		[PREFORK_REASON_APP] = "the application did not load",
		[PREFORK_REASON_SICK] = "it says that it is sick",
		[PREFORK_REASON_FATAL] = "it says that it will never work",
		[PREFORK_REASON_CRASHED] = "by itself",
		[PREFORK_REASON_UNKNOWN] = "not by us",
	};

	if (dead->cause == PFI_CAUSE_LEFT && reason == PREFORK_REASON_STOPPED) {
		add(line, ", by itself");
		return;
	}
	if (dead->cause != PFI_CAUSE_NONE && dead->cause != PFI_CAUSE_LEFT) {
		add(line, ", by us: %s", pfi_cause_text(dead->cause));
		if (pfi_exit_is_failure(reason) && reason != PREFORK_REASON_TIMEOUT)
			add(line, ", but it %s", pfi_reason_name(reason));
		return;
	}
	if (reason == PREFORK_REASON_KILLED && dead->signal == SIGKILL)
		add(line, ", not by us: somebody else, or the kernel for want of memory");
	else if (reason == PREFORK_REASON_KILLED)
		add(line, ", not by us: somebody else");
	else if ((size_t)reason < sizeof meanings / sizeof meanings[0] && meanings[reason] != NULL)
		add(line, ", %s", meanings[reason]);
}

void pfi_exit_explain(const struct pfi_exit_record *dead, const char *next, char *text, size_t size)
{
	const enum prefork_reason reason = pfi_exit_reason(dead);
	struct line line = { text, size, 0 };
	char clean[512];

	if (size == 0)
		return;
	text[0] = '\0';
	add(&line, "Worker (pid:%d)", dead->pid);
	add_how(&line, dead);
	add_hand(&line, dead, reason);
	pfi_exit_clean_text(dead->exit_message, clean, sizeof clean);
	if (clean[0] != '\0')
		add(&line, " (%s)", clean);
	add(&line, "; pool %s, age %" PRIu64 ".%03us, %" PRIu64 " request%s", dead->pool, dead->age_ms / 1000,
	    (unsigned)(dead->age_ms % 1000), dead->requests, dead->requests == 1 ? "" : "s");
	if (dead->known)
		add(&line, ", peak memory %" PRIu64 " KiB, CPU %" PRIu64 ".%03us", dead->rss_max_kib,
		    dead->cpu_ms / 1000, (unsigned)(dead->cpu_ms % 1000));
	pfi_exit_clean_text(dead->activity, clean, sizeof clean);
	if (clean[0] != '\0')
		add(&line, ", last at \"%s\"", clean);
	if (clean[0] != '\0' && dead->busy > 1)
		add(&line, " (one of %u at work)", dead->busy);
	if (next[0] != '\0')
		add(&line, "; %s", next);
}

/* Derives the reason of an exit from its status and cause, and writes the text of the log line. */
#include "model/exit_record.h"

#include "base/text.h"

#include <prefork/worker.h>

#include <signal.h>

static enum prefork_reason reason_of_code(const struct pfi_exit_record *record)
{
	switch (record->code) {
	case PREFORK_EXIT_RECYCLE:
		return record->was_ready ? PREFORK_REASON_RECYCLED : PREFORK_REASON_BOOT;
	case PREFORK_EXIT_APP:
		return record->was_ready ? PREFORK_REASON_CRASHED : PREFORK_REASON_APP;
	case PREFORK_EXIT_SICK:
		return PREFORK_REASON_SICK;
	case PREFORK_EXIT_FATAL:
		return PREFORK_REASON_FATAL;
	default:
		return record->was_ready ? PREFORK_REASON_CRASHED : PREFORK_REASON_BOOT;
	}
}

enum prefork_reason pfi_exit_reason(const struct pfi_exit_record *record)
{
	const bool requested = record->state == PFI_STATE_DRAINING || record->state == PFI_STATE_QUITTING;

	if (record->state == PFI_STATE_ABORTING || record->state == PFI_STATE_KILLING ||
	    record->state == PFI_STATE_DUMPING)
		return PREFORK_REASON_TIMEOUT;
	if (!record->known)
		return requested ? PREFORK_REASON_STOPPED : PREFORK_REASON_UNKNOWN;
	/* Before its handlers are installed, SIGTERM and SIGQUIT kill a worker that is asked to exit. */
	if (requested && ((record->signal == 0 && record->code == 0) || record->signal == SIGTERM ||
		      record->signal == SIGQUIT || (!record->was_ready && record->code == PREFORK_EXIT_BOOT)))
		return PREFORK_REASON_STOPPED;
	if (record->signal == SIGKILL || record->signal == SIGTERM)
		return PREFORK_REASON_KILLED;
	if (record->signal != 0)
		return PREFORK_REASON_CRASHED;
	return reason_of_code(record);
}

bool pfi_exit_is_failure(enum prefork_reason reason)
{
	return reason != PREFORK_REASON_STOPPED && reason != PREFORK_REASON_RECYCLED;
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

static void add_status(struct pfi_text *text, const struct pfi_exit_record *record)
{
	const char *const name = signal_name(record->signal);

	if (!record->known)
		pfi_text_format(text, " has exited, status unknown: the application reaped it");
	else if (record->signal == 0)
		pfi_text_format(text, " exited with code %d", record->code);
	else if (name != NULL)
		pfi_text_format(text, " was killed by %s", name);
	else
		pfi_text_format(text, " was killed by signal %d", record->signal);
	if (record->core)
		pfi_text_format(text, " (core dumped)");
}

/* The arbiter has stopped the worker. */
static void add_cause(struct pfi_text *text, enum pfi_cause cause, enum prefork_reason reason)
{
	static const char *const failures[] = {
		[PREFORK_REASON_BOOT] = "failed to boot",
		[PREFORK_REASON_APP] = "failed to load the application",
		[PREFORK_REASON_SICK] = "reported that it is sick",
		[PREFORK_REASON_FATAL] = "reported a permanent failure",
		[PREFORK_REASON_CRASHED] = "crashed",
		[PREFORK_REASON_KILLED] = "was killed by another process",
	};

	pfi_text_format(text, ", stopped by the arbiter: %s", pfi_cause_text(cause));
	if ((size_t)reason < sizeof failures / sizeof failures[0] && failures[reason] != NULL)
		pfi_text_format(text, ", but %s", failures[reason]);
}

static void add_reason(struct pfi_text *text, const struct pfi_exit_record *record, enum prefork_reason reason)
{
	static const char *const meanings[] = {
		[PREFORK_REASON_STOPPED] = "as requested",
		[PREFORK_REASON_RECYCLED] = "by its own decision",
		[PREFORK_REASON_BOOT] = "before it was ready",
		[PREFORK_REASON_APP] = "the application did not load",
		[PREFORK_REASON_SICK] = "it reported that it is sick",
		[PREFORK_REASON_FATAL] = "it reported a permanent failure",
		[PREFORK_REASON_CRASHED] = "unexpectedly",
		[PREFORK_REASON_TIMEOUT] = "stopped by the arbiter",
	};

	if (record->cause == PFI_CAUSE_SELF && reason == PREFORK_REASON_STOPPED)
		pfi_text_format(text, ", %s", pfi_cause_text(PFI_CAUSE_SELF));
	else if (record->cause != PFI_CAUSE_NONE && record->cause != PFI_CAUSE_SELF)
		add_cause(text, record->cause, reason);
	else if (reason == PREFORK_REASON_KILLED && record->signal == SIGKILL)
		/* A SIGKILL without a visible sender is most often the out-of-memory killer's. */
		pfi_text_format(text, ", not sent by the arbiter: another process or the kernel's out-of-memory killer sent it");
	else if (reason == PREFORK_REASON_KILLED)
		pfi_text_format(text, ", not sent by the arbiter: another process sent it");
	else if ((size_t)reason < sizeof meanings / sizeof meanings[0] && meanings[reason] != NULL)
		pfi_text_format(text, ", %s", meanings[reason]);
}

void pfi_exit_explain(const struct pfi_exit_record *record, char *text, size_t size)
{
	struct pfi_text out;
	char note[512];

	if (size == 0)
		return;
	pfi_text_init(&out, text, size);
	pfi_text_format(&out, "Worker (pid:%d)", record->pid);
	add_status(&out, record);
	add_reason(&out, record, pfi_exit_reason(record));
	pfi_exit_clean_text(record->note, note, sizeof note);
	if (note[0] != '\0')
		pfi_text_format(&out, " (%s)", note);
}

static const char *reason_key(enum prefork_reason reason)
{
	static const char *const keys[] = {
		[PREFORK_REASON_STOPPED] = "stopped",	[PREFORK_REASON_RECYCLED] = "recycled",
		[PREFORK_REASON_BOOT] = "boot",		[PREFORK_REASON_APP] = "app",
		[PREFORK_REASON_SICK] = "sick",		[PREFORK_REASON_FATAL] = "fatal",
		[PREFORK_REASON_CRASHED] = "crashed",	[PREFORK_REASON_KILLED] = "killed",
		[PREFORK_REASON_TIMEOUT] = "timeout",	[PREFORK_REASON_UNKNOWN] = "unknown",
	};

	return (size_t)reason < sizeof keys / sizeof keys[0] ? keys[reason] : "unknown";
}

size_t pfi_exit_pairs(const struct pfi_exit_record *record, struct prefork_log_pair pairs[PFI_EXIT_PAIRS_MAX])
{
	const int status = !record->known ? -1 : record->signal != 0 ? record->signal : record->code;
	size_t count = 0;

	pairs[count++] = (struct prefork_log_pair)PREFORK_TEXT("reason", reason_key(pfi_exit_reason(record)));
	pairs[count++] = (struct prefork_log_pair)PREFORK_NUMBER(record->signal != 0 ? "signal" : "status", status);
	pairs[count++] = (struct prefork_log_pair)PREFORK_NUMBER("age_ms", record->age_ms);
	pairs[count++] = (struct prefork_log_pair)PREFORK_NUMBER("requests", record->requests);
	if (record->known) {
		pairs[count++] = (struct prefork_log_pair)PREFORK_NUMBER("rss_max_kib", record->rss_max_kib);
		pairs[count++] = (struct prefork_log_pair)PREFORK_NUMBER("cpu_ms", record->cpu_ms);
	}
	if (record->activity[0] != '\0') {
		pairs[count++] = (struct prefork_log_pair)PREFORK_NUMBER("busy_threads", record->busy);
		pairs[count++] = (struct prefork_log_pair)PREFORK_TEXT("activity", record->activity);
	}
	return count;
}

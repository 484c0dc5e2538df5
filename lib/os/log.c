/* Formats log lines on the stack and writes each with one write(2). */
#include <prefork/log.h>

#include <prefork/error.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "base/required.h"
#include "os/log.h"
#include "os/logfile.h"
#include "os/path.h"
#include "os/syslog.h"

struct prefork_log {
	struct pfi_logfile file;
	struct pfi_syslog *syslog; /* NULL: only the file; owned */
	atomic_int level;
	atomic_bool is_level_of_application;
	prefork_log_sink *sink;
	void *user;
	_Atomic(prefork_log_counter *) counter;
	void *counter_user; /* written before `counter`, which other threads read */

	/* The offset of the time zone. It is read only in the process that created the log: localtime_r(3) takes a
	 * lock, which another thread may have held when a child was forked. */
	int creator;
	atomic_int offset_s;
	atomic_llong quarter; /* when it was read, in quarters of an hour: offsets change only at a quarter */
};

static const char *const names[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
enum { LEVELS = sizeof names / sizeof names[0], BLOCK_MAX = 64 * 1024 };

int prefork_log_level_of(const char *name)
{
	static const char *const words[LEVELS] = { "debug", "info", "warning", "error", "critical" };

	for (int i = 0; name != NULL && i < LEVELS; i++)
		if (strcasecmp(words[i], name) == 0)
			return i;
	return prefork_fail(-EINVAL, "there is no log level '%s'", name != NULL ? name : "");
}

static int cannot_open(int error, const char *path, int standard_fd)
{
	char why[PFI_PATH_WHY_MAX];

	if (strcmp(path, "-") == 0)
		return prefork_fail(error, "descriptor %d (%s) is not open", standard_fd,
				    standard_fd == STDOUT_FILENO ? "standard output" :
				    standard_fd == STDERR_FILENO ? "standard error" : "the log");
	return prefork_fail(error, "cannot open %s: %s", path, pfi_path_why(error, why));
}

int prefork_log_check(const char *path, int standard_fd)
{
	int r;

	if (path == NULL || *path == '\0')
		return prefork_fail(-EINVAL, "a log needs the path of a file");
	r = pfi_logfile_check(path, standard_fd);
	return r < 0 ? cannot_open(r, path, standard_fd) : 0;
}

int prefork_log_create(const char *path, int standard_fd, struct prefork_log **ret)
{
	struct prefork_log *log;
	int r;

	if (path == NULL || *path == '\0' || ret == NULL)
		return prefork_fail(-EINVAL, "a log needs the path of a file");
	log = calloc(1, sizeof *log);
	if (log == NULL)
		return prefork_fail(-ENOMEM, "out of memory for a log");
	r = pfi_logfile_open(&log->file, path, standard_fd);
	if (r < 0) {
		free(log);
		return cannot_open(r, path, standard_fd);
	}
	atomic_init(&log->level, PREFORK_LOG_INFO);
	atomic_init(&log->is_level_of_application, false);
	atomic_init(&log->quarter, -1);
	log->creator = getpid();
	*ret = log;
	return 0;
}

void prefork_log_destroy(struct prefork_log *log)
{
	if (log == NULL)
		return;
	pfi_syslog_close(log->syslog);
	pfi_logfile_close(&log->file);
	free(log);
}

int prefork_log_add_syslog(struct prefork_log *log, const char *address, const char *identity, const char *facility)
{
	PFI_RETURN_IF_NULL(log, -EINVAL);
	PFI_RETURN_IF_NULL(address, -EINVAL);
	PFI_RETURN_IF_NULL(identity, -EINVAL);
	PFI_RETURN_IF_NULL(facility, -EINVAL);

	int r;
	struct pfi_syslog *const syslog = pfi_syslog_open(address, identity, facility, &r);

	if (syslog == NULL)
		return r;
	pfi_syslog_close(log->syslog);
	log->syslog = syslog;
	return 0;
}

void prefork_log_set_sink(struct prefork_log *log, prefork_log_sink *sink, void *user)
{
	PFI_RETURN_IF_NULL(log, );
	log->sink = sink;
	log->user = user;
}

int prefork_log_set_counter(struct prefork_log *log, prefork_log_counter *counter, void *user)
{
	PFI_RETURN_IF_NULL(log, -EINVAL);
	if (counter != NULL && atomic_load(&log->counter) != NULL)
		return prefork_fail(-EBUSY, "the lines of the log are counted already");
	if (counter != NULL)
		log->counter_user = user;
	atomic_store(&log->counter, counter);
	return 0;
}

static void count_line(struct prefork_log *log, enum prefork_log_level level, int is_block)
{
	prefork_log_counter *const counter = log != NULL ? atomic_load(&log->counter) : NULL;
	const int error = errno;

	if (counter != NULL)
		counter(log->counter_user, level, is_block);
	errno = error;
}

void prefork_log_set_level(struct prefork_log *log, enum prefork_log_level level)
{
	PFI_RETURN_IF_NULL(log, );
	PFI_RETURN_UNLESS((int)level >= 0 && (int)level < LEVELS, , "there is no log level %d", (int)level);
	atomic_store(&log->level, (int)level);
	atomic_store(&log->is_level_of_application, true);
}

void pfi_log_follow_level(struct prefork_log *log, enum prefork_log_level level)
{
	if (!atomic_load(&log->is_level_of_application))
		atomic_store(&log->level, (int)level);
}

int prefork_log_enabled(const struct prefork_log *log, enum prefork_log_level level)
{
	return log != NULL && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

unsigned prefork_log_take_lost(struct prefork_log *log)
{
	PFI_RETURN_IF_NULL(log, 0);
	return pfi_logfile_take_lost(&log->file);
}

int prefork_log_reopen(struct prefork_log *log)
{
	PFI_RETURN_IF_NULL(log, -EINVAL);

	const int r = pfi_logfile_reopen(&log->file);

	return r < 0 ? cannot_open(r, log->file.path, -1) : 0;
}

int pfi_log_move(struct prefork_log *log, const char *path, int standard_fd)
{
	const int r = pfi_logfile_move(&log->file, path, standard_fd);

	return r < 0 ? cannot_open(r, path, standard_fd) : 0;
}

static int zone_offset_s(struct prefork_log *log, time_t now)
{
	struct tm local;

	if (atomic_load(&log->quarter) != now / 900 && getpid() == log->creator &&
	    localtime_r(&now, &local) != NULL) {
		atomic_store(&log->offset_s, (int)local.tm_gmtoff);
		atomic_store(&log->quarter, now / 900);
	}
	return atomic_load(&log->offset_s);
}

/* Send the lines of `bytes`, each of which ends with a newline, to syslog, too. */
static void send_lines(struct prefork_log *log, enum prefork_log_level level, const char *bytes, size_t size)
{
	const time_t now = log->syslog != NULL ? time(NULL) : 0;
	const char *newline;

	for (size_t at = 0; log->syslog != NULL && (newline = memchr(bytes + at, '\n', size - at)) != NULL;) {
		const size_t length = (size_t)(newline - bytes) - at;

		pfi_syslog_send(log->syslog, (int)level, now + zone_offset_s(log, now), bytes + at, length);
		at += length + 1;
	}
}

/* "[2026-11-21 12:00:00 +0000] [4711] [INFO] ", as gunicorn begins its lines. */
static void begin_line(struct pfi_text *line, struct prefork_log *log, enum prefork_log_level level)
{
	const time_t now = time(NULL);
	const int offset = zone_offset_s(log, now), minutes = abs(offset) / 60;
	const time_t shifted = now + offset;
	struct tm tm;

	(void)gmtime_r(&shifted, &tm);
	pfi_text_format(line, "[%04d-%02d-%02d %02d:%02d:%02d %c%02d%02d] [%d] [%s] ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, offset < 0 ? '-' : '+',
			minutes / 60, minutes % 60, (int)getpid(), names[level]);
}

static void add_pair(struct pfi_text *line, const struct prefork_log_pair *pair)
{
	const char *const text = pair->text != NULL ? pair->text : "-";

	pfi_text_format(line, " %s=", pair->key);
	if (pair->is_number) {
		pfi_text_format(line, "%" PRId64, pair->number);
	} else if (*text == '\0' || strpbrk(text, " =\"'") != NULL) {
		pfi_text_add_char(line, '"');
		for (const char *c = text; *c != '\0' && !line->cut;) {
			const size_t n = strcspn(c, "\"");

			pfi_text_add_escaped(line, c, n);
			c += n;
			if (*c == '"') {
				pfi_text_add(line, "\\\"");
				c++;
			}
		}
		pfi_text_add_char(line, '"');
	} else {
		pfi_text_add_escaped(line, text, strlen(text));
	}
}

/* Terminate the line; one that was truncated ends with "...". */
static void end_line(struct pfi_text *line)
{
	if (line->cut || line->length + 1 >= line->size) {
		line->length = line->size - 5;
		while (line->length > 0 && (line->bytes[line->length] & 0xc0) == 0x80)
			line->length--; /* not within a UTF-8 character */
		line->cut = false;
		pfi_text_add(line, "...");
	}
	pfi_text_add_char(line, '\n');
}

/* Log the number of lost lines before the next line. False if that line is lost, too. */
static bool write_lost(struct prefork_log *log)
{
	const unsigned lost = pfi_logfile_take_lost(&log->file);
	char bytes[160];
	struct pfi_text line;

	if (lost == 0)
		return true;
	pfi_text_init(&line, bytes, sizeof bytes);
	begin_line(&line, log, PREFORK_LOG_WARNING);
	pfi_text_format(&line, "%u log line%s lost\n", lost, lost == 1 ? " was" : "s were");
	if (pfi_logfile_write(&log->file, bytes, line.length, 0))
		return true;
	pfi_logfile_count_lost(&log->file, lost);
	return false;
}

static void write_lines(struct prefork_log *log, const struct pfi_text *text, unsigned lines)
{
	if (write_lost(log))
		(void)pfi_logfile_write(&log->file, text->bytes, text->length, lines);
	else
		pfi_logfile_count_lost(&log->file, lines);
}

static void write_message(struct prefork_log *log, enum prefork_log_level level, const char *message,
			  const struct prefork_log_pair *pairs, size_t count)
{
	char bytes[PFI_LOGFILE_LINE_MAX];
	struct pfi_text line;
	size_t begin;

	pfi_text_init(&line, bytes, sizeof bytes);
	begin_line(&line, log, level);
	begin = line.length;
	pfi_text_add(&line, message);
	for (size_t i = 0; i < count; i++)
		add_pair(&line, &pairs[i]);
	end_line(&line);
	write_lines(log, &line, 1);
	send_lines(log, level, line.bytes + begin, line.length - begin);
}

static void write_formatted(struct prefork_log *log, enum prefork_log_level level, const char *module,
			    const struct prefork_log_pair *pairs, size_t count, const char *format,
			    va_list arguments) PREFORK_PRINTF(6, 0);

static void write_formatted(struct prefork_log *log, enum prefork_log_level level, const char *module,
			    const struct prefork_log_pair *pairs, size_t count, const char *format,
			    va_list arguments)
{
	char raw[PFI_LOGFILE_LINE_MAX], escaped[PFI_LOGFILE_LINE_MAX];
	const int error = errno;
	struct pfi_text text, shown;

	if (!prefork_log_enabled(log, level) || level > PREFORK_LOG_CRITICAL)
		return;
	pfi_text_init(&text, raw, sizeof raw);
	pfi_text_vformat(&text, format, arguments);
	pfi_text_init(&shown, escaped, sizeof escaped);
	pfi_text_add_line(&shown, raw, text.length);
	if (log->sink != NULL)
		log->sink(log->user, level, module, escaped, pairs, count);
	else
		write_message(log, level, escaped, pairs, count);
	errno = error;
}

void prefork_log_write(struct prefork_log *log, enum prefork_log_level level, const char *module,
		       const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
{
	PFI_RETURN_IF_NULL(format, );
	PFI_RETURN_IF_NO_BYTES(pairs, count, );

	va_list arguments;

	count_line(log, level, 0);
	va_start(arguments, format);
	write_formatted(log, level, module, pairs, count, format, arguments);
	va_end(arguments);
}

void prefork_log_printf(struct prefork_log *log, enum prefork_log_level level, const char *module, const char *format,
		     ...)
{
	PFI_RETURN_IF_NULL(format, );

	va_list arguments;

	count_line(log, level, 0);
	va_start(arguments, format);
	write_formatted(log, level, module, NULL, 0, format, arguments);
	va_end(arguments);
}

/* A line that is not counted, because it belongs to another. */
static void write_title(struct prefork_log *log, enum prefork_log_level level, const char *module, const char *format, ...)
	PREFORK_PRINTF(4, 5);

static void write_title(struct prefork_log *log, enum prefork_log_level level, const char *module, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_formatted(log, level, module, NULL, 0, format, arguments);
	va_end(arguments);
}

/* Copy the lines of the block that fit into `lines` completely; a line that is longer than the buffer is truncated.
 * Returns the number of bytes of `text` that were used. */
static size_t fill_lines(struct pfi_text *lines, const char *text, size_t size, unsigned *ret_lines)
{
	size_t at = 0;

	*ret_lines = 0;
	while (at < size) {
		const char *const newline = memchr(text + at, '\n', size - at);
		const size_t length = newline != NULL ? (size_t)(newline - text) - at : size - at;
		const size_t before = lines->length;

		pfi_text_add(lines, "  ");
		pfi_text_add_line(lines, text + at, length);
		if (lines->cut || lines->length + 1 >= lines->size) {
			if (before > 0) {
				lines->length = before;
				return at;
			}
			end_line(lines);
		} else {
			pfi_text_add_char(lines, '\n');
		}
		++*ret_lines;
		at += length + (newline != NULL);
	}
	return at;
}

static void write_block(struct prefork_log *log, enum prefork_log_level level, const char *text, size_t size)
{
	char bytes[PFI_LOGFILE_LINE_MAX];
	struct pfi_text lines;
	unsigned count;

	size = size < BLOCK_MAX ? size : BLOCK_MAX;
	while (size > 0) {
		pfi_text_init(&lines, bytes, sizeof bytes);

		const size_t used = fill_lines(&lines, text, size, &count);

		write_lines(log, &lines, count);
		send_lines(log, level, lines.bytes, lines.length);
		text += used;
		size -= used;
	}
}

/* Pass a block to the sink; the copy adds the NUL that a pair needs. */
static void sink_block(struct prefork_log *log, enum prefork_log_level level, const char *module, const char *title,
		       const char *text, size_t size)
{
	char *const copy = strndup(text, size);
	const struct prefork_log_pair pair = PREFORK_TEXT("text", copy);

	log->sink(log->user, level, module, title, &pair, 1);
	free(copy);
}

void prefork_log_block(struct prefork_log *log, enum prefork_log_level level, const char *module, const char *title,
		       const char *text, size_t size)
{
	PFI_RETURN_IF_NULL(title, );
	PFI_RETURN_IF_NO_BYTES(text, size, );

	const int error = errno;

	count_line(log, level, 1);
	if (!prefork_log_enabled(log, level) || level > PREFORK_LOG_CRITICAL)
		return;
	if (log->sink != NULL) {
		sink_block(log, level, module, title, text, size);
	} else {
		write_title(log, level, module, "%s", title);
		write_block(log, level, text, size);
	}
	errno = error;
}

void prefork_log_pass(struct prefork_log *log, enum prefork_log_level level, const char *message,
		      const struct prefork_log_pair *pairs, size_t count)
{
	PFI_RETURN_IF_NULL(log, );
	PFI_RETURN_IF_NULL(message, );
	PFI_RETURN_IF_NO_BYTES(pairs, count, );
	PFI_RETURN_UNLESS((int)level >= 0 && (int)level < LEVELS, , "there is no log level %d", (int)level);

	const int error = errno;
	const bool is_block = count == 1 && !pairs[0].is_number && pairs[0].text != NULL && strcmp(pairs[0].key, "text") == 0;

	write_message(log, level, message, pairs, is_block ? 0 : count);
	if (is_block)
		write_block(log, level, pairs[0].text, strlen(pairs[0].text));
	errno = error;
}

int prefork_log_put(struct prefork_log *log, const char *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(log, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);

	char line[PFI_LOGFILE_LINE_MAX];
	const int error = errno;
	struct pfi_text text;
	bool written;

	pfi_text_init(&text, line, sizeof line);
	pfi_text_add_bytes(&text, bytes, size);
	end_line(&text);
	written = pfi_logfile_write(&log->file, line, text.length, 1);
	send_lines(log, PREFORK_LOG_INFO, line, text.length);
	errno = error;
	return written ? 0 : atomic_load(&log->file.why);
}

bool pfi_log_is_standard(const struct prefork_log *log)
{
	return log != NULL && log->file.path == NULL;
}

int pfi_log_fd(const struct prefork_log *log)
{
	return log && log->file.fd >= 0 ? log->file.fd : STDERR_FILENO;
}

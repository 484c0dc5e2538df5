/*
 * prefork/log.h -- one line per event, from every thread and every process.
 *
 * A log writes to one file (or stream, or function of the host's). A line is put
 * together on the stack and leaves with one write(2): no lock, no allocation, so
 * that neither a fork nor a stuck thread can hold it up. A full disk, a closed
 * pipe or a reader that stopped reading costs lines, never time: they are counted,
 * and the count is the first thing written when it works again. Neither SIGPIPE nor
 * SIGXFSZ is raised, whatever their dispositions.
 *
 * Owner: who created a log destroys it, after all its users. Threads: everything
 * but create and destroy may be called from any thread; nothing from a signal
 * handler. Fork: a child goes on writing to the same file.
 */
#ifndef PREFORK_LOG_H
#define PREFORK_LOG_H

#include <stddef.h>
#include <stdint.h>

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_log;

enum prefork_log_level {
	PREFORK_LOG_DEBUG,
	PREFORK_LOG_INFO,
	PREFORK_LOG_WARNING,
	PREFORK_LOG_ERROR,
	PREFORK_LOG_CRITICAL
};

/** One key=value behind the error message: PREFORK_TEXT("pool", name), or
 *  PREFORK_NUMBER("pid", pid). A text may be NULL: written as "-". */
struct prefork_log_pair {
	const char *key;
	const char *text;
	int64_t number;
	int is_number;
};

#define PREFORK_TEXT(key, text) { (key), (text), 0, 0 }
#define PREFORK_NUMBER(key, number) { (key), 0, (int64_t)(number), 1 }

/** Takes what would have been a line. `room` is the part of the program that
 *  speaks ("arbiter", "worker"); `error message` has no line breaks; what
 *  prefork_log_block() was given has its lines in the pair "text". Called in any
 *  thread of any process. */
typedef void prefork_log_sink(void *user, enum prefork_log_level level, const char *module, const char *message,
			      const struct prefork_log_pair *pairs, size_t count);

/** Open a log on the file `path`, which is made if need be and appended to; "-" is
 *  the open descriptor `standard_fd` (2: standard error), which is borrowed for
 *  the call only and never made non-blocking for others. A *new* log that takes
 *  PREFORK_LOG_INFO and above. -EINVAL; -EBADF: `standard_fd` is not open; -ENOMEM; or
 *  what open(2) says. Since 0.1. */
PREFORK_API int prefork_log_create(const char *path, int standard_fd, struct prefork_log **ret);

/** Whether prefork_log_create() would work, for a check of settings: makes no file, and
 *  writes nothing. 0, or its errors with an error message. That nobody reads from a pipe it does
 *  not find out, since looking would disturb who does. Since 0.1. */
PREFORK_API int prefork_log_check(const char *path, int standard_fd);

/** Close and free. NULL is fine. Since 0.1. */
PREFORK_API void prefork_log_destroy(struct prefork_log *log);

/** Give all lines to `sink` from now on, instead of the file; NULL: to the file
 *  again. Borrows `user` until the next such call. Not while other threads use
 *  the log. Since 0.1. */
PREFORK_API void prefork_log_set_sink(struct prefork_log *log, prefork_log_sink *sink, void *user);

/** Leave out what is less important than `level`. Since 0.1. */
PREFORK_API void prefork_log_set_level(struct prefork_log *log, enum prefork_log_level level);

/** 1 when a line of this level would be written: spare yourself the work of
 *  preparing it. A NULL log takes nothing. Since 0.1. */
PREFORK_API int prefork_log_enabled(const struct prefork_log *log, enum prefork_log_level level);

/** The level called "debug", "info", "warning", "error" or "critical", in
 *  capitals or not; -EINVAL. Since 0.1. */
PREFORK_API int prefork_log_level_of(const char *name);

/** Write one line: time, pid, level, error message, and `count` pairs. Control
 *  characters and line breaks in the error message and the values are written as
 *  \n or \x1b, so that nobody outside can forge a line. Cut at 4096 bytes. A NULL
 *  log is fine. errno is kept. Since 0.1. */
PREFORK_API void prefork_log_write(struct prefork_log *log, enum prefork_log_level level, const char *module,
				   const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
	PREFORK_PRINTF(6, 7);

/** The same without pairs. Since 0.1. */
PREFORK_API void prefork_log_printf(struct prefork_log *log, enum prefork_log_level level, const char *module,
				 const char *format, ...) PREFORK_PRINTF(4, 5);

/** Write one line as above that says `title`, and below it `size` bytes of text of
 *  several lines, each indented: a traceback. At most 64 KiB of it. Since 0.1. */
PREFORK_API void prefork_log_block(struct prefork_log *log, enum prefork_log_level level, const char *module,
				   const char *title, const char *text, size_t size);

/** Write `size` bytes as they are, as one line: no time, no level, the caller has
 *  escaped what must be; a newline is added, and it is cut at 4096 bytes. For access
 *  logs. No sink. 0; or, when the line was lost and counted, -EAGAIN: who reads is too slow, or
 *  what write(2) says (-ENOSPC, -EPIPE). errno is kept. Since 0.1. */
PREFORK_API int prefork_log_put(struct prefork_log *log, const char *bytes, size_t size);

/** How many lines this process has lost since it was asked last. The lines of
 *  prefork_log_write() tell it by themselves, those of prefork_log_put() do not.
 *  Since 0.1. */
PREFORK_API unsigned prefork_log_take_lost(struct prefork_log *log);

/** Open the file again under its name, as after a rotation. On failure the old
 *  one stays in use: what open(2) says. 0 for a standard stream. To be called
 *  in every process. Since 0.1. */
PREFORK_API int prefork_log_reopen(struct prefork_log *log);

#ifdef __cplusplus
}
#endif

#endif

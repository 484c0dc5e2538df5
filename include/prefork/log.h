/*
 * prefork/log.h -- one line per event, from every thread and every process.
 *
 * A log writes to one file (or stream, or function of the application). A line is formatted on the stack and written
 * with one write(2): no lock and no allocation, so that neither a fork nor a stuck thread delays it. If the disk is
 * full, the pipe is closed or its reader is too slow, lines are dropped and counted, and the count is the first
 * line written afterwards; the caller never blocks. SIGPIPE and SIGXFSZ are not raised, whatever their
 * dispositions are.
 *
 * Ownership: the creator destroys a log, after its last use. Threads: everything but create and destroy may be called
 * in any thread; nothing in a signal handler. Fork: the child writes to the same file.
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

/** One key=value pair after the message: PREFORK_TEXT("pool", name), or PREFORK_NUMBER("pid", pid). A NULL text is
 *  written as "-". */
struct prefork_log_pair {
	const char *key;
	const char *text;
	int64_t number;
	int is_number;
};

#define PREFORK_TEXT(key, text) { (key), (text), 0, 0 }
#define PREFORK_NUMBER(key, number) { (key), 0, (int64_t)(number), 1 }

/** Receives each line instead of the file. `module` is the part of the program that logs ("arbiter", "worker");
 *  `message` has no line breaks; the text of prefork_log_block() is the pair "text". Called in any thread of any
 *  process. */
typedef void prefork_log_sink(void *user, enum prefork_log_level level, const char *module, const char *message,
			      const struct prefork_log_pair *pairs, size_t count);

/** Counts a line at `level`: of prefork_log_write() and prefork_log_printf(), or, if `is_block` is 1, of
 *  prefork_log_block(), whose lines are one. Called in any thread of any process, also for levels that are not logged. It
 *  must not block, and must not use the log. */
typedef void prefork_log_counter(void *user, enum prefork_log_level level, int is_block);

/** Open a log that appends to the file `path`, and create the file if it does not exist; "-" is the open descriptor
 *  `standard_fd` (2: standard error), which is borrowed for the call and never set non-blocking. Returns a *new* log
 *  with level PREFORK_LOG_INFO. A file that is created in the process of an arbiter that is root, at the start or in a
 *  hook, is given to the user and group of the workers. -EINVAL; -EBADF: `standard_fd` is not open; -ENOMEM; or the error of open(2).
 *  Since 0.1. */
PREFORK_API int prefork_log_create(const char *path, int standard_fd, struct prefork_log **ret);

/** Whether prefork_log_create() would succeed, for a check of settings: creates no file and writes nothing. 0, or its
 *  errors with an error message. A pipe without a reader is not detected, since opening it would disturb a reader.
 *  Since 0.1. */
PREFORK_API int prefork_log_check(const char *path, int standard_fd);

/** Close and free the log. NULL is allowed. Since 0.1. */
PREFORK_API void prefork_log_destroy(struct prefork_log *log);

/** Pass all lines to `sink` instead of the file; NULL: write to the file again. Borrows `user` until the next such
 *  call. No other thread may use the log during the call. Since 0.1. */
PREFORK_API void prefork_log_set_sink(struct prefork_log *log, prefork_log_sink *sink, void *user);

/** For sinks: write a line or a block to the file and to syslog after all, with the arguments of the sink, now or later. The
 *  level of the log is not looked at. As the functions that write a line, in any thread. errno is preserved. Since 0.1. */
PREFORK_API void prefork_log_pass(struct prefork_log *log, enum prefork_log_level level, const char *message,
				  const struct prefork_log_pair *pairs, size_t count);

/** Send each line also to syslog, as datagrams in the form of RFC 3164, at most 2048 bytes each, without blocking. Lines
 *  that the daemon does not take are dropped and counted, and the count is the first line sent afterwards. `address`:
 *  "unix://PATH" or "udp://ADDRESS:PORT", without host names, since a lookup may block; `identity`: the tag of the lines;
 *  `facility`: "user", "daemon", "local0" and so on. A second call replaces the first. No other thread may use the log
 *  during the call. With a sink, only the sink is called. 0; -EINVAL: an argument is NULL or invalid; -ENOMEM; or the
 *  error of socket(2); always with an error message. Since 0.1. */
PREFORK_API int prefork_log_add_syslog(struct prefork_log *log, const char *address, const char *identity,
				       const char *facility);

/** Call `counter` for each line, before it is written; NULL: for none. Borrows `user` until a call with NULL. No other
 *  thread may use the log during the call. Fork: the child has the same counter, and its copy of `user`. 0; -EBUSY: the
 *  log has a counter; -EINVAL. Since 0.1. */
PREFORK_API int prefork_log_set_counter(struct prefork_log *log, prefork_log_counter *counter, void *user);

/** Drop lines below `level`. From then on the setting loglevel changes it no more: not at a reload, and not by
 *  prefork_arbiter_override(). Since 0.1. */
PREFORK_API void prefork_log_set_level(struct prefork_log *log, enum prefork_log_level level);

/** 1: lines of this level are written; 0: they are dropped, so the caller can skip preparing them, or `log` is NULL.
 *  Since 0.1. */
PREFORK_API int prefork_log_enabled(const struct prefork_log *log, enum prefork_log_level level);

/** The level named "debug", "info", "warning", "error" or "critical", in upper or lower case; -EINVAL. Since 0.1. */
PREFORK_API int prefork_log_level_of(const char *name);

/** Write one line: time, pid, level, message, and `count` pairs. Control characters and line breaks in the message and
 *  the values are written as \n or \x1b, so that data from a client cannot forge a line. Truncated to 4096 bytes.
 *  With a NULL log nothing is written. errno is preserved. Since 0.1. */
PREFORK_API void prefork_log_write(struct prefork_log *log, enum prefork_log_level level, const char *module,
				   const struct prefork_log_pair *pairs, size_t count, const char *format, ...)
	PREFORK_PRINTF(6, 7);

/** The same without pairs. Since 0.1. */
PREFORK_API void prefork_log_printf(struct prefork_log *log, enum prefork_log_level level, const char *module,
				 const char *format, ...) PREFORK_PRINTF(4, 5);

/** Write one line as above with the message `title`, and below it `size` bytes of text of several lines, each indented,
 *  such as a traceback. Truncated to 64 KiB. Since 0.1. */
PREFORK_API void prefork_log_block(struct prefork_log *log, enum prefork_log_level level, const char *module,
				   const char *title, const char *text, size_t size);

/** Write `size` bytes unchanged as one line, without time and level; the caller has escaped them. Adds a newline and
 *  truncates to 4096 bytes. For access logs; the sink is not called. 0; or, if the line was dropped and counted,
 *  -EAGAIN: the reader is too slow, or the error of write(2) (-ENOSPC, -EPIPE). errno is preserved. Since 0.1. */
PREFORK_API int prefork_log_put(struct prefork_log *log, const char *bytes, size_t size);

/** Return the number of lines that this process has dropped since the last call. prefork_log_write() logs the number
 *  itself, prefork_log_put() does not. Since 0.1. */
PREFORK_API unsigned prefork_log_take_lost(struct prefork_log *log);

/** Reopen the file by its name, after a rotation. 0 also for a standard stream; or the error of open(2), and the old
 *  file stays in use. Each process calls it for itself. Since 0.1. */
PREFORK_API int prefork_log_reopen(struct prefork_log *log);

#ifdef __cplusplus
}
#endif

#endif

/*
 * log_queue -- lines of the log on their way to Python: any thread puts them in, without the GIL and without waiting, and
 * one thread at a time takes them out.
 *
 * A ring of pointers whose producers agree by a counter (D. Vyukov's bounded queue), so that there is no lock that a fork
 * or a thread that was killed could leave taken. The queue belongs to one process: a child has lines of its own only
 * after wsgi_log_queue_reset().
 */
#ifndef WSGI_LOG_QUEUE_H
#define WSGI_LOG_QUEUE_H

#include <prefork/log.h>

#include <stddef.h>
#include <stdint.h>

enum { WSGI_LOG_QUEUE_LINES = 1024, WSGI_LOG_QUEUE_BYTES = 1024 * 1024 };

/* A line as a sink of the log gets it; one allocation. */
struct wsgi_log_line {
	enum prefork_log_level level;
	int64_t time_us; /* CLOCK_REALTIME */
	size_t size;     /* of the allocation */
	const char *module;
	const char *message;
	size_t count;
	struct prefork_log_pair pairs[];
};

/** Copy a line into the queue. 0; -ENOBUFS: too many lines or bytes wait; -ENOMEM; -ESRCH: the queue is that of another
 *  process. Any thread. */
int wsgi_log_queue_put(enum prefork_log_level level, const char *module, const char *message,
                       const struct prefork_log_pair *pairs, size_t count);

/** The oldest line, *new*, for free(3); NULL: none. One thread at a time. */
struct wsgi_log_line *wsgi_log_queue_take(void);

/** How many lines wait: a moment ago, if other threads use the queue. */
size_t wsgi_log_queue_length(void);

/** Drop all lines, and let this process use the queue. No other thread may use it meanwhile. */
void wsgi_log_queue_reset(void);

/** Write the messages that wait to `fd`, without taking them out: for a process that crashes. Async-signal-safe. */
void wsgi_log_queue_dump(int fd);

#endif

/* Takes lines from the queue to prefork_wsgi.logging_bridge: once per turn in the arbiter, in a thread in workers. */
#include "log_bridge.h"
#include "config_file.h"
#include "interpreter.h"
#include "log_emit.h"
#include "log_queue.h"
#include "log_settings.h"
#include "loggers.h"
#include "python_modules.h"
#include "request_hooks.h"
#include "wsgi_clock.h"
#include "wsgi_log.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	TURN_MS = 1000,      /* the longest time that handlers may take in one turn of the arbiter              */
	SHARE_MS = 200,      /* after that the rest waits for the next turn                                     */
	PAUSE_MS = 10000,    /* how long lines bypass Python after handlers of the arbiter were too slow        */
	END_S = 2,           /* how long a worker that exits waits for a handler                                */
	LINE_BYTES = 4095,
};

static const char module[] = "prefork_wsgi.logging_bridge";

static struct prefork_arbiter *the_arbiter;
static struct prefork_log *arbiter_log;
static struct prefork_log *own_log; /* NULL: the lines do not go through Python */
static bool is_worker;
static atomic_bool stopped;        /* lines go to the file        */
static _Atomic int64_t resume_ms; /* until then, too             */
static atomic_uint bypassed;       /* lines for which the queue had no space, since the last report */

static int wake_fd = -1; /* in the arbiter: an eventfd that it watches, once lines have gone through Python */

static sem_t wake; /* in a worker: one for each line */
static pthread_t emitter;
static atomic_bool has_emitter, ends;

static void wake_consumer(void)
{
	const uint64_t one = 1;

	if (!is_worker)
		(void)!write(wake_fd, &one, sizeof one);
	else if (atomic_load(&has_emitter))
		(void)sem_post(&wake);
}

static int enqueue(enum prefork_log_level level, const char *part, const char *message, const struct prefork_log_pair *pairs,
                   size_t count)
{
	int r = -EAGAIN;

	if (!wsgi_log_emit_is_direct() && !atomic_load(&stopped) && wsgi_now_ms() >= atomic_load(&resume_ms)) {
		r = wsgi_log_queue_put(level, part, message, pairs, count);
		if (r == -ENOBUFS)
			(void)atomic_fetch_add(&bypassed, 1);
	}
	if (r == 0)
		wake_consumer();
	return r;
}

/* The sink of the log: any thread. */
static void take_line(void *user, enum prefork_log_level level, const char *part, const char *message,
                      const struct prefork_log_pair *pairs, size_t count)
{
	if (enqueue(level, part, message, pairs, count) < 0)
		prefork_log_pass(user, level, message, pairs, count);
}

/* --- with the GIL --- */

static void report_bypassed(void)
{
	const unsigned lines = atomic_exchange(&bypassed, 0);

	if (lines > 0)
		wsgi_log(PREFORK_LOG_WARNING, "python_log_full", "Python's logging is too slow: %u line%s went to the log file instead",
		         lines, lines == 1 ? "" : "s");
}

static void drain(int64_t until_ms)
{
	wsgi_log_emit(own_log, until_ms);
	report_bypassed();
}

/* --- the arbiter --- */

static void pause_python(void)
{
	atomic_store(&resume_ms, wsgi_now_ms() + PAUSE_MS);
	wsgi_log(PREFORK_LOG_ERROR, "python_log_slow",
	         "Python's logging has taken a second in the arbiter, its lines go to this log for %d s", PAUSE_MS / 1000);
}

/* A time limit for what Python does until end_limit(): it gets an exception, again and again. 0 ms: none. */
static PyObject *begin_limit(int64_t ms, bool may_fork)
{
	PyObject *limit = wsgi_python_call(module, "limit", "(dO)", (double)ms / 1000, may_fork ? Py_True : Py_False);

	PyErr_Clear(); /* without memory there is no limit */
	return limit;
}

static void end_limit(PyObject *limit)
{
	PyObject *none = limit ? wsgi_python_call(module, "unlimit", "(O)", limit) : NULL;

	if (limit && none == NULL) /* the time expired just now, and the timer may still run */
		none = wsgi_python_call(module, "unlimit", "(O)", limit);
	PyErr_Clear();
	Py_XDECREF(none);
	Py_XDECREF(limit);
}

static void drain_turn(void)
{
	const int64_t begin = wsgi_now_ms();
	PyObject *limit = begin_limit(TURN_MS, false);

	drain(begin + SHARE_MS);
	end_limit(limit);
	if (wsgi_now_ms() >= begin + TURN_MS)
		pause_python();
	if (wsgi_log_queue_length() > 0)
		wake_consumer();
}

/* All lines that wait, before the handlers change: those that handlers do not take within a turn go to the file. */
static void drain_all(void)
{
	const int64_t until = wsgi_now_ms() + TURN_MS;
	PyObject *limit = begin_limit(TURN_MS, false);

	drain(until);
	end_limit(limit);
	if (wsgi_now_ms() >= until)
		wsgi_log_emit_write(own_log);
}

static void on_wake(struct prefork_arbiter *arbiter, int fd, void *user)
{
	uint64_t count;

	(void)arbiter, (void)user;
	(void)!read(fd, &count, sizeof count);
	if (!wsgi_gil_take())
		return;
	drain_turn();
	wsgi_gil_release();
}

/* The GIL is held afterwards, unless it fails. */
static int begin(const struct prefork_settings *settings)
{
	int r = wsgi_config_start_python(settings);

	if (r < 0)
		return r;
	if (own_log == NULL)
		wsgi_log_queue_reset();
	r = wsgi_log_settings_path(settings);
	if (r < 0)
		wsgi_gil_release();
	return r;
}

static int open_wake(void)
{
	const int fd = wake_fd < 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	int r;

	if (wake_fd >= 0)
		return 0;
	if (fd < 0)
		return prefork_fail(-errno, "eventfd: %s", strerror(errno));
	r = prefork_arbiter_watch(the_arbiter, fd, on_wake, NULL);
	if (r < 0)
		(void)close(fd);
	else
		wake_fd = fd;
	return r;
}

/* From now on the lines go through Python, or do not any more. */
static void connect(bool is_asked_for)
{
	own_log = is_asked_for ? arbiter_log : NULL;
	prefork_log_set_sink(arbiter_log, own_log ? take_line : NULL, own_log);
}

/* `limit_ms` is for the code of a logger_class, and of classes that a configuration names. */
static int change(const struct prefork_settings *fresh, int64_t limit_ms)
{
	bool goes_through_python;
	PyObject *limit;
	int r;

	if (!wsgi_log_settings_may_ask(fresh))
		return 0;
	r = begin(fresh);
	if (r < 0)
		return r;
	if (own_log)
		drain_all(); /* with the handlers that were in force */
	limit = begin_limit(limit_ms, true);
	r = wsgi_log_settings_configure(arbiter_log, fresh);
	end_limit(limit);
	wsgi_gil_release();
	goes_through_python = r == 1;
	if (goes_through_python)
		r = open_wake();
	if (r >= 0)
		connect(goes_through_python);
	return r < 0 ? r : 0;
}

/* As on_starting, the start has no limit. */
int wsgi_log_bridge_start(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	the_arbiter = arbiter;
	arbiter_log = prefork_arbiter_log(arbiter);
	return change(settings, 0);
}

int wsgi_log_bridge_reload(const struct prefork_settings *fresh)
{
	return change(fresh, prefork_settings_int(fresh, "config_timeout"));
}

void wsgi_log_bridge_reloaded(const struct prefork_settings *in_force, bool is_done)
{
	if (!is_done && wsgi_log_settings_may_ask(in_force) && wsgi_log_bridge_reload(in_force) < 0)
		connect(false);
}

static void report_reopen(int r)
{
	if (r < 0)
		wsgi_log(PREFORK_LOG_ERROR, "python_log_reopen_failed", "Log files of Python's logging cannot be opened again: %s",
		         prefork_error());
}

void wsgi_log_bridge_reopen(void)
{
	PyObject *none;

	if (own_log == NULL || !wsgi_gil_take())
		return;
	report_reopen(wsgi_loggers_reopen_access());
	none = wsgi_python_call(module, "reopen", "()");
	report_reopen(none ? 0 : wsgi_log_settings_refuse());
	Py_XDECREF(none);
	wsgi_gil_release();
}

/* --- workers --- */

void wsgi_log_bridge_in_child(struct prefork_worker *worker, bool starts_emitter)
{
	is_worker = true;
	if (own_log == NULL)
		return;
	own_log = starts_emitter ? prefork_worker_log(worker) : NULL;
	if (own_log == NULL)
		prefork_log_set_sink(prefork_worker_log(worker), NULL, NULL);
	wsgi_log_queue_reset();
	atomic_store(&resume_ms, 0);
	atomic_store(&bypassed, 0);
}

/* The emitter: it waits for the GIL, so that no thread of the server has to. */
static void *emit_lines(void *nothing)
{
	while (!atomic_load(&ends)) {
		while (sem_wait(&wake) < 0 && errno == EINTR) {
		}
		while (sem_trywait(&wake) == 0) {
		}
		if (wsgi_log_queue_length() == 0 || !wsgi_gil_take())
			continue;
		drain(INT64_MAX);
		wsgi_gil_release();
	}
	return nothing;
}

void wsgi_log_bridge_worker_start(void)
{
	if (own_log == NULL || sem_init(&wake, 0, 1) < 0)
		return;
	if (pthread_create(&emitter, NULL, emit_lines, NULL) == 0)
		atomic_store(&has_emitter, true);
	else
		atomic_store(&stopped, true); /* the file has the lines */
}

/* False: a handler does not return. */
static bool end_emitter(void)
{
	struct timespec until;

	if (!atomic_exchange(&has_emitter, false))
		return true;
	atomic_store(&ends, true);
	(void)sem_post(&wake);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_S;
	return pthread_timedjoin_np(emitter, NULL, &until) == 0;
}

static void end_worker(void)
{
	drain(INT64_MAX);
	atomic_store(&stopped, true);
	drain(INT64_MAX); /* what came meanwhile */
}

/* A handler does not return, and holds its lock: the exit of Python must not wait for it. */
static void abandon(void)
{
	if (!wsgi_gil_take())
		return;
	Py_XDECREF(wsgi_python_call(module, "abandon", "()"));
	PyErr_Clear();
	wsgi_gil_release();
}

/* Nothing supervises the arbiter: a handler must not keep it from its exit. */
static void end_arbiter(void)
{
	PyObject *limit;

	drain_all();
	atomic_store(&stopped, true);
	wsgi_log_emit_write(own_log); /* what came meanwhile */
	limit = begin_limit(TURN_MS, false);
	Py_XDECREF(wsgi_python_call(module, "finish", "()"));
	PyErr_Clear();
	end_limit(limit);
}

void wsgi_log_bridge_stop(void)
{
	if (own_log == NULL)
		return;
	if (!end_emitter()) {
		atomic_store(&stopped, true);
		wsgi_log_emit_write(own_log);
		abandon();
		return;
	}
	if (wsgi_gil_take()) {
		if (is_worker)
			end_worker();
		else
			end_arbiter();
		wsgi_gil_release();
	}
	atomic_store(&stopped, true);
}

void wsgi_log_bridge_dump(int fd)
{
	if (own_log)
		wsgi_log_queue_dump(fd);
}

/* Responses of the server itself: their lines are passed on as they are. For those of the application access() is called
 * with their objects (request_hooks.c). */
int wsgi_log_bridge_access(struct prefork_request *request, const struct prefork_access *access, void *user)
{
	char line[LINE_BYTES + 1];

	(void)user;
	if (!wsgi_has_access || own_log == NULL)
		return 1;
	if (request && prefork_request_user(request) != NULL) /* or it will be, if the body is pulled */
		return 0;
	line[prefork_access_line(access, line, LINE_BYTES)] = '\0';
	return enqueue(PREFORK_LOG_INFO, "access", line, NULL, 0);
}

/* Calls prefork_wsgi.logging_bridge for the lines in the queue. */
#include "log_emit.h"
#include "failure.h"
#include "forked_children.h"
#include "log_queue.h"
#include "python_modules.h"
#include "wsgi_clock.h"
#include "wsgi_log.h"

#include <prefork/log.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURES_MS = 1000 }; /* at most one line about a logger that fails in this time */

static const char module[] = "prefork_wsgi.logging_bridge";

static int64_t failure_ms; /* of the last such line */
static _Thread_local bool is_direct;

bool wsgi_log_emit_is_direct(void)
{
	return is_direct;
}

static PyObject *dict_of(const struct prefork_log_pair *pairs, size_t count)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < count; i++) {
		const char *text = pairs[i].text ? pairs[i].text : "-";
		PyObject *value = pairs[i].is_number ? PyLong_FromLongLong(pairs[i].number)
		                                     : PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");

		if (value == NULL || PyDict_SetItemString(dict, pairs[i].key, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *emit(const struct wsgi_log_line *line)
{
	PyObject *pairs = dict_of(line->pairs, line->count);
	PyObject *message = PyUnicode_DecodeUTF8(line->message, (Py_ssize_t)strlen(line->message), "backslashreplace");
	PyObject *result = NULL;

	if (pairs && message && strcmp(line->module, "access") == 0)
		result = wsgi_python_call(module, "emit_access", "(O)", message);
	else if (pairs && message)
		result = wsgi_python_call(module, "emit", "(isOOd)", (int)(line->level + 1) * 10, line->module, message, pairs,
		                          (double)line->time_us / 1e6);
	Py_XDECREF(message);
	Py_XDECREF(pairs);
	return result;
}

/* Takes the exception that is set. Its line goes to the file, and the traceback at most once a second. */
static void pass_on(struct prefork_log *log, const struct wsgi_log_line *line)
{
	const int64_t now = wsgi_now_ms();
	char why[512];
	PyObject *text;

	prefork_log_pass(log, line->level, line->message, line->pairs, line->count);
	if (failure_ms > 0 && now < failure_ms + FAILURES_MS) {
		PyErr_Clear();
		return;
	}
	failure_ms = now;
	text = wsgi_failure_take(why, sizeof why);
	is_direct = true;
	wsgi_failure_log(text, "python_log_failed", "Python's logging fails, its lines go to this log: %s", why);
	is_direct = false;
}

/* At the end two threads may take lines: the emitter may be stuck in a handler. */
static struct wsgi_log_line *take(void)
{
	static atomic_flag is_taking = ATOMIC_FLAG_INIT;
	struct wsgi_log_line *line;

	while (atomic_flag_test_and_set(&is_taking))
		(void)sched_yield();
	line = wsgi_log_queue_take();
	atomic_flag_clear(&is_taking);
	return line;
}

void wsgi_log_emit(struct prefork_log *log, int64_t until_ms)
{
	struct wsgi_log_line *line;

	for (size_t left = wsgi_log_queue_length(); left > 0 && (line = take()); left--) {
		PyObject *result = emit(line);

		wsgi_forked_child_stop();
		if (result == NULL)
			pass_on(log, line);
		Py_XDECREF(result);
		free(line);
		if (wsgi_now_ms() >= until_ms)
			break;
	}
}

void wsgi_log_emit_write(struct prefork_log *log)
{
	struct wsgi_log_line *line;

	while ((line = take())) {
		prefork_log_pass(log, line->level, line->message, line->pairs, line->count);
		free(line);
	}
}

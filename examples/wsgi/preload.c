/* Logs the threads and connections that preload.py finds in the arbiter. */
#include "preload.h"
#include "failure.h"
#include "interpreter.h"
#include "python_modules.h"
#include "wsgi_log.h"
#include "wsgi_options.h"

#include <prefork/arbiter.h>
#include <prefork/log.h>

#include <string.h>

static unsigned generation; /* the last one that was examined; 0: none */

/* Leaves an exception set if it fails. */
static void log_line(PyObject *line)
{
	const char *kind, *what, *owner;

	if (!PyArg_ParseTuple(line, "sss", &kind, &what, &owner))
		return;
	if (strcmp(kind, "thread") == 0)
		wsgi_log(PREFORK_LOG_WARNING, "preload_thread",
		         "Thread %s of %s does not exist in workers: start it in post_fork or post_worker_init", what, owner);
	else
		wsgi_log(PREFORK_LOG_WARNING, "preload_connection",
		         "Connection %s of %s is shared by all workers: open it in post_fork or post_worker_init", what, owner);
}

/* `found` is the result of check() in preload.py. Leaves an exception set if it fails. */
static void log_lines(PyObject *found)
{
	PyObject *lines;
	unsigned more;

	if (!PyArg_ParseTuple(found, "O!I", &PyList_Type, &lines, &more))
		return;
	for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines) && !PyErr_Occurred(); i++)
		log_line(PyList_GET_ITEM(lines, i));
	if (more > 0 && !PyErr_Occurred())
		wsgi_log(PREFORK_LOG_WARNING, "preload_more", "And %u more threads and connections of the arbiter", more);
}

static void log_failure(void)
{
	char line[512];

	Py_XDECREF(wsgi_failure_take(line, sizeof line));
	wsgi_log(PREFORK_LOG_WARNING, "preload_check_failed", "Threads and connections of the arbiter cannot be examined: %s", line);
}

void wsgi_preload_check(const struct prefork_process *process)
{
	const unsigned current = prefork_process_generation(process);
	PyObject *found;

	if (!wsgi_python_runs() || current == generation || strcmp(prefork_process_pool(process), WSGI_POOL) != 0 || !wsgi_gil_take())
		return;
	found = wsgi_python_call("prefork_wsgi.preload", "check", "(O)", generation == 0 ? Py_True : Py_False);
	generation = current;
	if (found)
		log_lines(found);
	if (PyErr_Occurred())
		log_failure();
	Py_XDECREF(found);
	wsgi_gil_release();
}

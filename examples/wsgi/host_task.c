/* Starts, suspends and resumes tasks by the functions of the adapter, and keeps a list of those that have not ended. */
#include "host_task.h"
#include "wsgi_log.h"

#include <prefork/host_loop.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* What a task calls: the work of one request. */
struct work {
	PyObject_HEAD
	vectorcallfunc vectorcall;
	struct prefork_connection *connection; /* NULL: begun, or never to begin   */
	PyObject *task;                        /* NULL until `submit` has returned */
	struct work *next, *previous;          /* in `unfinished`                  */
	bool is_over;
};

/* Attributes of the adapter. */
static PyObject *submit_function, *current_function, *park_function, *unpark_function, *cancel_function;
static struct work unfinished = { .next = &unfinished, .previous = &unfinished }; /* tasks that have switched back */
static struct work *spare; /* for the next request */

static void end(struct work *work)
{
	work->is_over = true;
	if (work->next) {
		work->next->previous = work->previous;
		work->previous->next = work->next;
		work->next = work->previous = NULL;
	}
	Py_CLEAR(work->task);
}

static PyObject *work_call(PyObject *self, PyObject *const *arguments, size_t flagged, PyObject *names)
{
	struct work *const work = (struct work *)self;
	struct prefork_connection *const connection = work->connection;

	(void)arguments, (void)flagged, (void)names;
	work->connection = NULL;
	if (connection)
		prefork_connection_work(connection);
	end(work);
	Py_RETURN_NONE;
}

static PyTypeObject type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "prefork.Work",
	.tp_basicsize = sizeof(struct work),
	.tp_dealloc = (destructor)PyObject_Free,
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
	.tp_vectorcall_offset = offsetof(struct work, vectorcall),
	.tp_call = PyVectorcall_Call,
	.tp_doc = "The work of a request: call it once, in its task.",
};

static struct work *make_work(struct prefork_connection *connection)
{
	struct work *const work = spare ? spare : PyObject_New(struct work, &type);

	spare = NULL;
	if (work == NULL)
		return NULL;
	work->vectorcall = work_call;
	work->connection = connection;
	work->task = NULL;
	work->next = work->previous = NULL;
	work->is_over = false;
	return work;
}

static void drop_work(struct work *work)
{
	if (spare == NULL && Py_REFCNT(work) == 1 && work->is_over)
		spare = work;
	else
		Py_DECREF(work);
}

/* The task has switched back, or it has not begun: `work` is in the list until it ends. */
static void add_unfinished(struct work *work, PyObject *task)
{
	work->task = Py_NewRef(task);
	work->next = unfinished.next;
	work->previous = &unfinished;
	work->next->previous = unfinished.next = work;
}

static int submit(struct prefork_connection *connection, void *user)
{
	struct work *const work = make_work(connection);
	PyObject *const task = work ? PyObject_CallOneArg(submit_function, (PyObject *)work) : NULL;
	int r = 0;

	(void)user;
	if (task == NULL) {
		PyErr_WriteUnraisable(submit_function);
		r = work && work->connection == NULL ? 0 : -EAGAIN; /* 0: it has begun */
	} else if (!work->is_over) {
		add_unfinished(work, task);
	}
	if (r < 0 && work)
		work->connection = NULL; /* the task must not begin: the client gets 503 */
	Py_XDECREF(task);
	if (work)
		drop_work(work);
	return r;
}

/* Called by a task, which may have released the GIL around a function of the library. An exception is one that was
 * thrown into the task, such as a timeout: it stays set, and the wait ends. */
static int park(struct prefork_wait *wait, void *user)
{
	PyThreadState *const state = PyGILState_GetThisThreadState();
	const bool is_released = !PyGILState_Check();
	PyObject *task, *result = NULL;

	(void)user;
	if (is_released)
		PyEval_RestoreThread(state);
	task = PyErr_Occurred() ? NULL : PyObject_CallNoArgs(current_function);
	if (task) {
		prefork_wait_set_user(wait, task);
		result = PyObject_CallNoArgs(park_function);
		prefork_wait_set_user(wait, NULL);
	}
	Py_XDECREF(result);
	Py_XDECREF(task);
	if (is_released)
		(void)PyEval_SaveThread();
	return result ? 0 : -ECANCELED;
}

static void unpark(struct prefork_wait *wait, void *user)
{
	PyObject *const task = Py_XNewRef(prefork_wait_user(wait));
	PyObject *const result = task ? PyObject_CallOneArg(unpark_function, task) : NULL;

	(void)user;
	if (task && result == NULL)
		PyErr_WriteUnraisable(task);
	Py_XDECREF(result);
	Py_XDECREF(task);
}

/* A list of its own: cancel() may end tasks at once. */
static void cancel_tasks(void *user)
{
	PyObject *const tasks = PyList_New(0);

	(void)user;
	for (struct work *work = unfinished.next; tasks && work != &unfinished; work = work->next)
		(void)PyList_Append(tasks, work->task);
	for (Py_ssize_t i = 0; tasks && i < PyList_GET_SIZE(tasks); i++) {
		PyObject *const result = PyObject_CallOneArg(cancel_function, PyList_GET_ITEM(tasks, i));

		if (result == NULL)
			PyErr_WriteUnraisable(cancel_function);
		Py_XDECREF(result);
	}
	Py_XDECREF(tasks);
	PyErr_Clear(); /* without memory for the list the tasks end by the time limit */
}

bool wsgi_host_tasks_remain(void)
{
	return unfinished.next != &unfinished;
}

int wsgi_host_tasks_open(PyObject *loop, struct prefork_host_loop *ret)
{
	if (PyType_Ready(&type) < 0 || !(submit_function = PyObject_GetAttrString(loop, "submit")) ||
	    !(current_function = PyObject_GetAttrString(loop, "current")) ||
	    !(park_function = PyObject_GetAttrString(loop, "park")) ||
	    !(unpark_function = PyObject_GetAttrString(loop, "unpark")))
		return -1;
	cancel_function = PyObject_GetAttrString(loop, "cancel");
	PyErr_Clear();
	ret->submit = submit;
	ret->park = park;
	ret->unpark = unpark;
	ret->cancel_tasks = cancel_function ? cancel_tasks : NULL;
	return 0;
}

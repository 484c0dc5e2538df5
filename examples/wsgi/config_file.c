/* Reads a configuration file in Python into the settings: config_file.py runs it. */
#include "config_file.h"
#include "config_path.h"
#include "failure.h"
#include "forked_children.h"
#include "interpreter.h"
#include "python_modules.h"
#include "virtualenv.h"
#include "wsgi_log.h"
#include "wsgi_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/settings.h>

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIGNALS_MAX = 65 };

static const char module[] = "prefork_wsgi.config_file";

static char *const *arguments;    /* argv of main() */
static bool has_limit;
static FILE *traceback_file;      /* NULL: standard error, and the log once it is open            */
static uintptr_t last_reading;    /* the number of the last reading of settings, with a file or without */
static bool has_run;              /* a file */
static bool has_config;           /* a Config object was asked for */
static PyObject *warnings;        /* a list of (name of a file, text); NULL: none                  */
static char name[PATH_MAX];       /* of its file                                                  */
static PyObject *before_import;   /* modules of the file, while the application is imported; NULL: there is no file */
static PyObject *of_application;  /* list of those that the application has imported; NULL: none  */

/* --- Python calls these --- */

/* has_row(name): is it a setting of the server. */
static PyObject *has_row(PyObject *capsule, PyObject *text)
{
	const struct prefork_settings *settings = PyCapsule_GetPointer(capsule, NULL);
	const char *row = settings ? PyUnicode_AsUTF8(text) : NULL;

	return row ? PyBool_FromLong(prefork_settings_origin(settings, row, NULL, NULL) == 0) : NULL;
}

PyObject *wsgi_config_items(const struct prefork_settings *settings, const char *row)
{
	PyObject *list = PyList_New(0);
	const char *text;

	for (size_t i = 0; list && (text = prefork_settings_item(settings, row, i)); i++) {
		PyObject *item = PyUnicode_DecodeFSDefault(text);

		if (item == NULL || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

/* lookup(name): (value, does it come from the file), or None: no such setting. */
static PyObject *lookup(PyObject *capsule, PyObject *text)
{
	const struct prefork_settings *settings = PyCapsule_GetPointer(capsule, NULL);
	const char *row = settings ? PyUnicode_AsUTF8(text) : NULL, *value;
	enum prefork_origin origin;
	PyObject *object;
	int64_t number;

	if (row == NULL)
		return NULL;
	if (prefork_settings_origin(settings, row, &origin, NULL) < 0)
		Py_RETURN_NONE;
	if (prefork_settings_get_int(settings, row, &number) == 0)
		object = PyLong_FromLongLong(number);
	else if (prefork_settings_count(settings, row) > 0)
		object = wsgi_config_items(settings, row);
	else
		object = (value = prefork_settings_text(settings, row)) ? PyUnicode_DecodeFSDefault(value) : Py_NewRef(Py_None);
	return object ? Py_BuildValue("(NO)", object, origin == PREFORK_FROM_FILE ? Py_True : Py_False) : NULL;
}

static PyMethodDef has_row_method = { "has_row", has_row, METH_O, NULL };
static PyMethodDef lookup_method = { "lookup", lookup, METH_O, NULL };

/* A function of Python for these settings; it is called only while they are. */
static PyObject *bind(PyMethodDef *method, const struct prefork_settings *settings)
{
	PyObject *capsule = PyCapsule_New((void *)(uintptr_t)settings, NULL, NULL);
	PyObject *function = capsule ? PyCFunction_New(method, capsule) : NULL;

	Py_XDECREF(capsule);
	return function;
}

PyObject *wsgi_config_has_row(const struct prefork_settings *settings)
{
	return bind(&has_row_method, settings);
}

/* --- running the file --- */

/* sys.argv is the whole command line, as with gunicorn. Fails without memory only. */
static void set_arguments(void)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && arguments[i]; i++) {
		PyObject *text = PyUnicode_DecodeFSDefault(arguments[i]);

		if (text == NULL || PyList_Append(list, text) < 0)
			Py_CLEAR(list);
		Py_XDECREF(text);
	}
	if (list)
		(void)PySys_SetObject("argv", list);
	PyErr_Clear();
	Py_XDECREF(list);
}

int wsgi_config_start_python(const struct prefork_settings *settings)
{
	char venv[PATH_MAX];
	int r;

	wsgi_forked_children_prepare();
	if (wsgi_python_runs())
		return wsgi_gil_take() ? 0 : prefork_fail(-ENOMEM, "no memory for a thread of Python");
	r = wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), arguments[0], venv, sizeof venv);
	if (r == 0)
		r = wsgi_python_start(arguments[0], *venv ? venv : NULL);
	if (r == 0)
		set_arguments();
	return r;
}

int wsgi_config_enter_python(const struct prefork_settings *settings, bool *ret_had_gil)
{
	*ret_had_gil = wsgi_gil_is_held();
	return *ret_had_gil ? 0 : wsgi_config_start_python(settings);
}

void wsgi_config_leave_python(bool had_gil)
{
	if (!had_gil)
		wsgi_gil_release();
}

/* The exception of our own code, which is an error of the program, or a lack of memory. */
static int fail_by_exception(const char *path)
{
	char line[512];

	Py_XDECREF(wsgi_failure_take(line, sizeof line));
	return prefork_fail(PREFORK_ECONFIG, "%s: %s", path, line);
}

void wsgi_config_warn(const char *file, PyObject *texts)
{
	if (warnings == NULL)
		warnings = PyList_New(0);
	for (Py_ssize_t i = 0; warnings && i < PyList_GET_SIZE(texts); i++) {
		PyObject *pair = Py_BuildValue("(sO)", file, PyList_GET_ITEM(texts, i));

		if (pair && PySequence_Contains(warnings, pair) == 0) /* the file of --paste is read again after cfg.set() */
			(void)PyList_Append(warnings, pair);
		Py_XDECREF(pair);
	}
	PyErr_Clear(); /* without memory, the rest is not reported */
}

static void print_traceback(const char *text)
{
	if (*text != '\0' && (traceback_file || !wsgi_log_is_open()))
		fputs(text, traceback_file ? traceback_file : stderr);
	else if (*text != '\0')
		wsgi_log_block(PREFORK_LOG_ERROR, "config_failed", text, strlen(text), "The configuration file %s fails", name);
}

static int assign(struct prefork_settings *settings, PyObject *pairs, const char *path)
{
	int r = 0;

	for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(pairs); i++) {
		char place[PATH_MAX + 128];
		const char *row, *text;

		if (!PyArg_ParseTuple(PyList_GET_ITEM(pairs, i), "ss", &row, &text))
			return fail_by_exception(path);
		(void)snprintf(place, sizeof place, "%s: %s", path, row);
		r = prefork_settings_assign(settings, row, text, place);
	}
	return r;
}

/* `result` is that of load() in config_file.py. */
static int take_result(struct prefork_settings *settings, PyObject *result, const char *path)
{
	PyObject *pairs, *texts;
	const char *line, *traceback;

	if (!PyArg_ParseTuple(result, "O!O!zs", &PyList_Type, &pairs, &PyList_Type, &texts, &line, &traceback))
		return fail_by_exception(path);
	Py_CLEAR(warnings);
	wsgi_config_warn(name, texts);
	if (line == NULL)
		return assign(settings, pairs, path);
	print_traceback(traceback);
	return prefork_fail(PREFORK_ECONFIG, "%s: %s", path, line);
}

/* The signal state of this thread: a file may change it, by signal.signal() for example, and the library handles signals. */
struct signal_state {
	struct sigaction actions[SIGNALS_MAX];
	sigset_t mask;
};

static void save_signals(struct signal_state *state)
{
	for (int signo = 1; signo < SIGNALS_MAX; signo++)
		(void)sigaction(signo, NULL, &state->actions[signo]); /* fails for those of the C library */
	(void)pthread_sigmask(SIG_SETMASK, NULL, &state->mask);
}

static void restore_signals(const struct signal_state *state)
{
	struct sigaction now;

	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		const struct sigaction *before = &state->actions[signo];

		if (sigaction(signo, NULL, &now) == 0 && now.sa_handler != before->sa_handler)
			(void)sigaction(signo, before, NULL);
	}
	(void)pthread_sigmask(SIG_SETMASK, &state->mask, NULL);
}

/* The user pointer of settings: the number of their reading, and in the lowest bit whether a file in Python was read. */
enum { WITH_FILE = 1 };

static void set_number(struct prefork_settings *settings, uintptr_t number, unsigned with_file)
{
	(void)prefork_settings_set_user(settings, (void *)(number << 1 | with_file));
}

static uintptr_t user_of(const struct prefork_settings *settings)
{
	return settings ? (uintptr_t)prefork_settings_user(settings) : 0;
}

static Py_ssize_t number_of(const struct prefork_settings *settings)
{
	return (Py_ssize_t)(user_of(settings) >> 1);
}

bool wsgi_config_file_was_read(const struct prefork_settings *settings)
{
	return (user_of(settings) & WITH_FILE) != 0;
}

/* The caller has the GIL. */
static int run(struct prefork_settings *settings, const struct wsgi_config_path *file)
{
	const pid_t pid = getpid();
	const double limit = has_limit ? (double)prefork_settings_int(settings, "config_timeout") / 1000 : 0;
	PyObject *paths = wsgi_config_items(settings, "pythonpath"), *function = bind(&has_row_method, settings), *result = NULL;
	struct signal_state before;
	int r;

	save_signals(&before);
	(void)snprintf(name, sizeof name, "%s", file->name);
	set_number(settings, last_reading, WITH_FILE);
	has_run = true;
	if (paths && function)
		result = wsgi_python_call(module, "load", "(nssOOdO)", (Py_ssize_t)last_reading, file->location, file->directory,
		                          paths, of_application ? of_application : Py_None, limit, function);
	if (has_limit)
		restore_signals(&before);
	if (getpid() != pid) /* a process that the file has forked, and that returns from it */
		wsgi_forked_child_exit();
	r = result ? take_result(settings, result, file->name) : fail_by_exception(file->name);
	Py_XDECREF(result);
	Py_XDECREF(function);
	Py_XDECREF(paths);
	return r;
}

/* Such a command does not run a server, so it does not run the file either. */
bool wsgi_config_is_other_command(const struct prefork_settings *settings)
{
	static const char *const rows[] = { "send_reload", "send_upgrade", "convert_config" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (wsgi_options_is_set(settings, rows[i]))
			return true;
	return false;
}

static int read_file(struct prefork_settings *settings, const char *path, const char *place, void *user)
{
	static struct wsgi_config_path file;
	int r;

	(void)place, (void)user;
	set_number(settings, ++last_reading, 0);
	if (!wsgi_config_path_find(settings, path, &file))
		return 1;
	if (wsgi_config_is_other_command(settings))
		return 0;
	r = wsgi_config_start_python(settings);
	if (r < 0)
		return r;
	r = run(settings, &file);
	wsgi_gil_release();
	return r;
}

int wsgi_config_file_add(struct prefork_settings *settings, char *const argv[])
{
	arguments = argv;
	return prefork_settings_set_file_reader(settings, read_file, NULL);
}

void wsgi_config_file_limit(FILE *output)
{
	has_limit = true;
	traceback_file = output;
}

bool wsgi_config_file_is_python(const struct prefork_settings *settings)
{
	static struct wsgi_config_path file;

	return wsgi_config_path_find(settings, prefork_settings_text(settings, "config"), &file);
}

void wsgi_config_file_report(void)
{
	if (!wsgi_python_runs() || !wsgi_gil_take())
		return;
	for (Py_ssize_t i = 0; warnings && i < PyList_GET_SIZE(warnings); i++) {
		const char *file, *text;

		if (!PyArg_ParseTuple(PyList_GET_ITEM(warnings, i), "ss", &file, &text))
			break;
		if (wsgi_log_is_open())
			wsgi_log(PREFORK_LOG_WARNING, "config_warning", "Configuration file %s: %s", file, text);
		else
			fprintf(stderr, "prefork-wsgi: %s: %s\n", file, text);
	}
	PyErr_Clear();
	Py_CLEAR(warnings);
	wsgi_gil_release();
}

/* --- the Config object --- */

bool wsgi_config_file_asks_for_check(const struct prefork_settings *settings)
{
	PyObject *answer;
	bool is_true;

	if (has_limit || !wsgi_config_file_was_read(settings) || !wsgi_gil_take())
		return false;
	answer = wsgi_python_call(module, "asks_for_check", "(n)", number_of(settings));
	is_true = answer == Py_True;
	PyErr_Clear();
	Py_XDECREF(answer);
	wsgi_gil_release();
	return is_true;
}

static PyObject *call(const char *function, const struct prefork_settings *settings)
{
	PyObject *values = bind(&lookup_method, settings), *result = NULL;

	if (values)
		result = wsgi_python_call(module, function, "(nOz)", number_of(settings), values,
		                          wsgi_options_application(settings));
	Py_XDECREF(values);
	return result;
}

PyObject *wsgi_config_of(const struct prefork_settings *settings)
{
	PyObject *config = call("config_of", settings);

	has_config = true;
	Py_XDECREF(config); /* config_file.py keeps it */
	return config;
}

PyObject *wsgi_config_draft(const struct prefork_settings *settings)
{
	return call("draft", settings);
}

int wsgi_config_select(const struct prefork_settings *settings)
{
	PyObject *none = call("select", settings);

	Py_XDECREF(none);
	return none ? 0 : -1;
}

void wsgi_config_keep(const struct prefork_settings *settings)
{
	PyObject *none;

	if (!has_run && !has_config)
		return; /* and the module is not imported for this */
	none = wsgi_python_call(module, "drop", "(n)", number_of(settings));
	PyErr_Clear(); /* without memory they stay */
	Py_XDECREF(none);
}

int wsgi_config_follow(struct prefork_arbiter *arbiter)
{
	PyObject *changes = wsgi_python_call(module, "changes", "()");
	int r = changes ? 0 : fail_by_exception("cfg.set()");

	for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(changes); i++) {
		char place[128];
		const char *row, *text;
		int continues;

		if (!PyArg_ParseTuple(PyList_GET_ITEM(changes, i), "ssp", &row, &text, &continues)) {
			r = fail_by_exception("cfg.set()");
			break;
		}
		(void)snprintf(place, sizeof place, "cfg.set(\"%s\")", row);
		r = continues ? prefork_arbiter_override_append(arbiter, row, text, place)
		              : prefork_arbiter_override(arbiter, row, text, place);
		if (r == -ENOENT) /* a setting that only the Config object has */
			r = 0;
	}
	Py_XDECREF(changes);
	return r;
}

/* --- the modules of a preloaded application --- */

void wsgi_config_import_begins(void)
{
	if (has_run)
		Py_XSETREF(before_import, PyDict_Copy(PyImport_GetModuleDict()));
	PyErr_Clear(); /* without memory all modules stay */
}

void wsgi_config_import_ends(void)
{
	PyObject *modules = PyImport_GetModuleDict(), *key, *value;
	Py_ssize_t position = 0;

	Py_XSETREF(of_application, PyList_New(0));
	while (of_application && PyDict_Next(modules, &position, &key, &value)) {
		if (before_import == NULL || !PyDict_Contains(before_import, key))
			(void)PyList_Append(of_application, key);
	}
	Py_CLEAR(before_import);
	PyErr_Clear();
}

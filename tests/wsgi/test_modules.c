/* The Python modules that are in the program. */
#include "python.h"

#include "gunicorn_table.h"
#include "interpreter.h"
#include "python_modules.h"

#include "../suite.h"

static void start_python(void)
{
	ck_assert_int_eq(wsgi_python_start("prefork-wsgi", NULL), 0);
}

/* Two calls install one finder. */
START_TEST(modules_in_the_program_are_imported_with_their_source)
{
	PyObject *module, *spec, *text;

	ck_assert_int_eq(wsgi_python_modules_install(), 0);
	ck_assert_int_eq(wsgi_python_modules_install(), 0);
	module = PyImport_ImportModule("prefork_wsgi.importer");
	ck_assert_ptr_nonnull(module);
	spec = PyObject_GetAttrString(module, "__spec__");
	text = PyObject_CallMethod(PyObject_GetAttrString(spec, "loader"), "get_source", "s", "prefork_wsgi.importer");
	ck_assert_ptr_nonnull(text);
	ck_assert_int_ge(PyUnicode_Find(text, PyUnicode_FromString("class Importer"), 0, PY_SSIZE_T_MAX, 1), 0);
	Py_DECREF(text);
	Py_DECREF(spec);
	Py_DECREF(module);
}
END_TEST

START_TEST(a_call_of_what_is_missing_sets_an_exception)
{
	ck_assert_ptr_null(wsgi_python_call("prefork_wsgi.importer", "no_such_function", "()"));
	ck_assert(PyErr_ExceptionMatches(PyExc_AttributeError));
	PyErr_Clear();
	ck_assert_ptr_null(wsgi_python_call("prefork_wsgi.no_such_module", "f", "()"));
	ck_assert(PyErr_ExceptionMatches(PyExc_ModuleNotFoundError));
	PyErr_Clear();
}
END_TEST

START_TEST(an_attribute_of_a_module_is_found)
{
	PyObject *class = wsgi_python_get("prefork_wsgi.importer", "Importer");

	ck_assert(class != NULL && PyType_Check(class));
	Py_DECREF(class);
	ck_assert_ptr_null(wsgi_python_get("prefork_wsgi.importer", "no_such_attribute"));
	ck_assert(PyErr_ExceptionMatches(PyExc_AttributeError));
	PyErr_Clear();
	ck_assert_ptr_null(wsgi_python_get("prefork_wsgi.loop_none", "Loop"));
	ck_assert(PyErr_ExceptionMatches(PyExc_ModuleNotFoundError));
	PyErr_Clear();
}
END_TEST

START_TEST(a_function_gets_its_arguments)
{
	PyObject *sum = wsgi_python_call("operator", "add", "(ii)", 2, 3);

	ck_assert_ptr_nonnull(sum);
	ck_assert_int_eq(PyLong_AsLong(sum), 5);
	Py_DECREF(sum);
}
END_TEST

/* The names of gunicorn 26.1: 99 settings and 20 hooks; one of an older version. */
START_TEST(the_table_has_each_name_once)
{
	size_t hooks = 0, settings = 0;

	for (size_t i = 0; i < wsgi_gunicorn_row_count; i++) {
		const struct wsgi_gunicorn_row *const row = &wsgi_gunicorn_rows[i];

		ck_assert_ptr_eq(wsgi_gunicorn_row(row->name), row);
		ck_assert_msg(row->why != NULL || row->status == WSGI_GUNICORN_SAME, "%s: no reason", row->name);
		if (row->kind == WSGI_GUNICORN_HOOK)
			hooks++;
		else
			settings++;
	}
	ck_assert_uint_eq(hooks, 20);
	ck_assert_uint_eq(settings, 100);
	ck_assert_ptr_null(wsgi_gunicorn_row("preload"));
}
END_TEST

START_TEST(a_value_that_asks_for_nothing_is_harmless)
{
	ck_assert(wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("http_protocols"), "h2,H1"));
	ck_assert(!wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("http_protocols"), "h2"));
	ck_assert(wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("http_parser"), "FAST"));
	ck_assert(!wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("http_parser"), "python"));
	ck_assert(wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("dirty_workers"), "0"));
	ck_assert(!wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("dirty_workers"), "00"));
	ck_assert(wsgi_gunicorn_is_harmless(wsgi_gunicorn_row("dirty_apps"), ""));
}
END_TEST

START_TEST(python_sees_the_rows_of_the_table)
{
	PyObject *checks = PyRun_String("import prefork_wsgi.table as t\n"
	                                "row = t.by_name['bind']\n"
	                                "assert (row.flags, row.kind, row.default) == (['-b', '--bind'], 'commas', '127.0.0.1:8000')\n"
	                                "assert t.by_name['umask'].default == '0' and t.by_name['pidfile'].default is None\n"
	                                "assert t.by_name['pre_fork'].arguments == ['server', 'worker']\n"
	                                "assert t.by_name['http_parser'].is_harmless('fast')\n"
	                                "assert {row.status for row in t.rows} == {'same', 'better', 'no effect', 'refused'}\n",
	                                Py_file_input, PyModule_GetDict(PyImport_AddModule("__main__")),
	                                PyModule_GetDict(PyImport_AddModule("__main__")));

	if (checks == NULL)
		PyErr_Print();
	ck_assert_ptr_nonnull(checks);
	Py_DECREF(checks);
}
END_TEST

static void run_python(const char *code)
{
	ck_assert_int_eq(wsgi_python_modules_install(), 0);
	if (PyRun_SimpleString(code) != 0)
		ck_abort_msg("the code above has raised an exception");
}

/* An installed package of the same name is not found, whatever sys.path has. */
START_TEST(the_package_gunicorn_is_the_one_in_the_program)
{
	run_python("import gunicorn, gunicorn.util as util, gunicorn.errors, gunicorn.http.errors, gunicorn.sock\n"
	           "assert gunicorn.__file__.startswith('<prefork-wsgi>/'), gunicorn.__file__\n"
	           "assert gunicorn.version_info >= (20, 1), gunicorn.version_info\n"
	           "assert gunicorn.SERVER_SOFTWARE == 'gunicorn/' + gunicorn.__version__\n"
	           "assert issubclass(gunicorn.errors.HaltServer, BaseException)\n");
}
END_TEST

START_TEST(functions_of_gunicorn_util_do_what_their_callers_expect)
{
	run_python("import collections, gunicorn.util as util\n"
	           "assert util.load_class('collections.OrderedDict') is collections.OrderedDict\n"
	           "assert util.load_class(dict) is dict\n"
	           "assert util.import_app('collections:OrderedDict.fromkeys')('a') == {'a': None}\n"
	           "assert util.get_arity(lambda a, b, *c, d=1: 0) == 2\n"
	           "table = {'localhost:80': ('localhost', 80), ':9': ('0.0.0.0', 9), '[::1]:5': ('::1', 5), '[::1]': ('::1', 8000),\n"
	           "         'unix:/a/b': '/a/b', 'unix:///a': '/a', 'fd://3': 3, 'tcp://h:1': ('h', 1)}\n"
	           "assert {text: util.parse_address(text) for text in table} == table\n"
	           "assert util.is_hoppish('Keep-Alive') and not util.is_hoppish('Accept')\n"
	           "assert util.http_date(0) == 'Thu, 01 Jan 1970 00:00:00 GMT'\n"
	           "def error(function, *words):\n"
	           "    try: function(*words)\n"
	           "    except Exception as raised: return str(raised)\n"
	           "assert 'no_such' in error(util.load_class, 'no_such.Class')\n"
	           "assert 'has no daemonize' in error(getattr, util, 'daemonize')\n"
	           "assert 'no distribution no-such is installed' in error(util.load_class, 'egg:no-such#x')\n");
}
END_TEST

START_TEST(no_class_derives_from_one_of_the_server)
{
	run_python("from gunicorn.util import load_class\n"
	           "class Mixin: pass\n"
	           "words = {'gthread': 'threads', 'gevent': 'gevent', 'gevent_pywsgi': 'gevent', 'eventlet': 'eventlet', 'tornado': 'tornado'}\n"
	           "for name, word in words.items():\n"
	           "    parent = load_class(name)\n"
	           "    try: type('Own', (Mixin, parent), {})\n"
	           "    except TypeError as error:\n"
	           "        assert f'Own derives from {parent.__name__}, ' in str(error) and f'use -k {word},' in str(error), error\n"
	           "    else: assert False, name\n"
	           "type('Own', (load_class('sync'),), {})\n");
}
END_TEST

START_TEST(addresses_of_a_config_are_those_of_gunicorn)
{
	run_python("from gunicorn.config import Config\n"
	           "cfg = Config()\n"
	           "table = {'[::1]': ('::1', 8000), '[::1]:5': ('::1', 5), 'LocalHost': ('localhost', 8000), ':9': ('0.0.0.0', 9),\n"
	           "         'tcp://h:1': ('h', 1), 'unix:/a': '/a', 'fd://3': 3}\n"
	           "cfg.set('bind', list(table))\n"
	           "assert cfg.address == list(table.values()), cfg.address\n");
}
END_TEST

START_TEST(global_variables_of_paste_are_split_at_an_equals_sign_without_a_backslash)
{
	run_python("from prefork_wsgi import config_file, paste\n"
	           "table = {(): {}, ('a=b', 'c='): {'a': 'b', 'c': ''}, ('a=b=c',): {'a': 'b=c'}, ('a=1', 'a=2'): {'a': '2'},\n"
	           "         (r'a\\=b=c\\=d',): {'a=b': 'c=d'}}\n"
	           "for pairs, wanted in table.items(): assert paste.variables(pairs) == wanted, (pairs, paste.variables(pairs))\n"
	           "for pair in ('a', '=b', '', r'a\\=b'):\n"
	           "    try: paste.variables([pair])\n"
	           "    except config_file.ConfigError as error: assert repr(pair) in str(error)\n"
	           "    else: assert False, pair\n"
	           "assert paste.location('a/b.ini#c', '/d') == ('/d/a/b.ini', '#c')\n"
	           "assert paste.location('/b.ini', '/d') == ('/b.ini', '')\n");
}
END_TEST

START_TEST(the_failure_page_is_the_traceback_as_text)
{
	run_python("from prefork_wsgi import failure_page\n"
	           "seen = []\n"
	           "page = failure_page.application('shop:app', 'Traceback\\udc80 <b>\u00e9')\n"
	           "body = b''.join(page({}, lambda status, headers: seen.append((status, dict(headers)))))\n"
	           "assert b'The application shop:app does not load' in body and b'Traceback\\\\udc80 <b>\\xc3\\xa9' in body, body\n"
	           "status, headers = seen[0]\n"
	           "assert status.startswith('500 ') and headers['Content-Type'].startswith('text/plain'), seen\n"
	           "assert headers['Content-Length'] == str(len(body)) and headers['X-Content-Type-Options'] == 'nosniff'\n");
}
END_TEST

START_TEST(a_program_cannot_start_the_server)
{
	run_python("import gunicorn.app.base, gunicorn.app.wsgiapp\n"
	           "class Own(gunicorn.app.base.BaseApplication): pass\n"
	           "for make in (Own, gunicorn.app.base.Application, gunicorn.app.wsgiapp.run):\n"
	           "    try: make()\n"
	           "    except NotImplementedError as error: assert 'start the command prefork-wsgi' in str(error), error\n"
	           "    else: assert False\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("modules");
	TCase *tcase = tcase_create("modules");

	tcase_add_unchecked_fixture(tcase, start_python, NULL);
	tcase_add_test(tcase, modules_in_the_program_are_imported_with_their_source);
	tcase_add_test(tcase, a_call_of_what_is_missing_sets_an_exception);
	tcase_add_test(tcase, an_attribute_of_a_module_is_found);
	tcase_add_test(tcase, a_function_gets_its_arguments);
	tcase_add_test(tcase, the_table_has_each_name_once);
	tcase_add_test(tcase, a_value_that_asks_for_nothing_is_harmless);
	tcase_add_test(tcase, python_sees_the_rows_of_the_table);
	tcase_add_test(tcase, the_package_gunicorn_is_the_one_in_the_program);
	tcase_add_test(tcase, functions_of_gunicorn_util_do_what_their_callers_expect);
	tcase_add_test(tcase, no_class_derives_from_one_of_the_server);
	tcase_add_test(tcase, addresses_of_a_config_are_those_of_gunicorn);
	tcase_add_test(tcase, global_variables_of_paste_are_split_at_an_equals_sign_without_a_backslash);
	tcase_add_test(tcase, the_failure_page_is_the_traceback_as_text);
	tcase_add_test(tcase, a_program_cannot_start_the_server);
	suite_add_tcase(suite, tcase);
	return run_suite_in_process(suite); /* one interpreter for all tests */
}

/* The environ of requests in memory. */
#include "python.h"

#include "environ.h"
#include "fake_http.h"
#include "file.h"
#include "interpreter.h"
#include "header_names.h"
#include "template.h"

#include "../suite.h"

#include <string.h>

static void start_python(void)
{
	ck_assert_int_eq(wsgi_python_start("prefork-wsgi", NULL), 0);
	ck_assert_int_eq(wsgi_header_names_create(), 0);
	ck_assert_int_eq(wsgi_file_prepare(), 0);
}

static struct wsgi_template *template_for(const char *address, const char *script_name)
{
	struct wsgi_template *template = wsgi_template_create(
		&(struct wsgi_template_config){ .address = address, .script_name = script_name, .errors = Py_None });

	ck_assert_ptr_nonnull(template);
	return template;
}

static struct prefork_request request_for(const char *target, const char *host)
{
	struct prefork_request request = { .method = "GET", .target = target, .path_size = strcspn(target, "?") };

	if (target[request.path_size] == '?')
		request.query = target + request.path_size + 1;
	if (host) {
		request.names[request.fields] = "Host";
		request.values[request.fields++] = host;
	}
	return request;
}

static PyObject *environ_of(struct wsgi_template *template, struct prefork_request *request)
{
	PyObject *dict = wsgi_environ_create(template, request, Py_None, Py_None);

	ck_assert_ptr_null(PyErr_Occurred());
	return dict;
}

/* NULL: expect that the key is missing. */
static const char *item(PyObject *dict, const char *key)
{
	PyObject *value = PyDict_GetItemString(dict, key);

	return value ? PyUnicode_AsUTF8(value) : NULL;
}

static void assert_item(PyObject *dict, const char *key, const char *expected)
{
	const char *value = item(dict, key);

	if (expected == NULL || value == NULL)
		ck_assert_msg(expected == value, "%s is %s", key, value ? value : "missing");
	else
		ck_assert_msg(strcmp(value, expected) == 0, "%s is %s, not %s", key, value, expected);
}

static const struct server {
	const char *address, *host, *name, *port;
} servers[] = {
	{ "127.0.0.1:8000", "example.org:99", "127.0.0.1", "8000" },
	{ "[::1]:8000", "example.org", "::1", "8000" },
	{ "unix:/run/x", NULL, "localhost", "80" },
	{ "unix:/run/x", "", "localhost", "80" },
	{ "unix:/run/x", "example.org", "example.org", "80" },
	{ "unix:/run/x", "example.org:8080", "example.org", "8080" },
	{ "unix:/run/x", "example.org:", "example.org", "80" },
	{ "unix:/run/x", "[2001:db8::1]", "2001:db8::1", "80" },
	{ "unix:/run/x", "[2001:db8::1]:81", "2001:db8::1", "81" },
	{ "unix:/run/a:b", "example.org", "example.org", "80" },
};

START_TEST(the_server_has_a_name_and_a_port)
{
	const struct server *const server = &servers[_i];
	struct wsgi_template *template = template_for(server->address, "");
	struct prefork_request request = request_for("/", server->host);
	PyObject *dict = environ_of(template, &request);

	assert_item(dict, "SERVER_NAME", server->name);
	assert_item(dict, "SERVER_PORT", server->port);
	assert_item(dict, "HTTP_HOST", server->host);
	Py_DECREF(dict);
	wsgi_template_destroy(template);
}
END_TEST

static const struct mounted {
	const char *script_name, *target, *script, *path; /* path NULL: refused */
} mounted[] = {
	{ "", "/a/b", "", "/a/b" },
	{ "/", "/a/b", "", "/a/b" },
	{ "/shop", "/shop/cart?x", "/shop", "/cart" },
	{ "/shop/", "/shop/cart", "/shop", "/cart" },
	{ "/shop", "/shop", "/shop", "" },
	{ "/shop", "/sh%6Fp/%63art", "/shop", "/cart" },
	{ "/caf\xc3\xa9", "/caf%C3%A9/x", "/caf\xc3\x83\xc2\xa9", "/x" }, /* each byte is a character */
	{ "/shop", "/", NULL, NULL },
	{ "/shop", "/shopping", NULL, NULL },
	{ "/shop", "/SHOP/cart", NULL, NULL },
	{ "/shop", "/x/shop/cart", NULL, NULL },
	{ "/shop", "/sh", NULL, NULL },
};

START_TEST(the_path_is_split_at_script_name_or_refused)
{
	const struct mounted *const row = &mounted[_i];
	struct wsgi_template *template = template_for("127.0.0.1:80", row->script_name);
	struct prefork_request request = request_for(row->target, "x");
	PyObject *dict = environ_of(template, &request);

	ck_assert_int_eq(dict != NULL, row->path != NULL);
	if (dict) {
		assert_item(dict, "SCRIPT_NAME", row->script);
		assert_item(dict, "PATH_INFO", row->path);
	}
	Py_XDECREF(dict);
	wsgi_template_destroy(template);
}
END_TEST

/* A template caches values of the last request, which must not appear in the next one. */
static const struct {
	const char *destination, *protocol, *address, *port;
} proxied[] = {
	{ "198.51.100.7", "TCP4", "198.51.100.7", "8443" },
	{ "2001:db8::7", "TCP6", "2001:db8::7", "8443" },
	{ "", NULL, NULL, NULL }, /* a unix socket of the proxy */
	{ NULL, NULL, NULL, NULL },
};

START_TEST(a_proxy_header_names_the_address_that_the_client_connected_to)
{
	struct wsgi_template *template = template_for("127.0.0.1:80", "");
	struct prefork_request request = request_for("/", "x");

	request.destination = proxied[_i].destination;
	PyObject *dict = environ_of(template, &request);
	assert_item(dict, "PROXY_PROTOCOL", proxied[_i].protocol);
	assert_item(dict, "PROXY_ADDR", proxied[_i].address);
	assert_item(dict, "PROXY_PORT", proxied[_i].port);
	Py_DECREF(dict);
	wsgi_template_destroy(template);
}
END_TEST

START_TEST(no_value_leaks_into_the_next_environ)
{
	struct wsgi_template *template = template_for("unix:/run/x", "");
	static const struct {
		const char *target, *host, *peer, *path, *query, *name, *port;
	} rows[] = {
		{ "/a?q=1", "one:1", NULL, "/a", "q=1", "one", "50123" },
		{ "/a?q=1", "one:1", NULL, "/a", "q=1", "one", "50123" },
		{ "/b", NULL, "", "/b", "", "localhost", "0" },
		{ "/a", "two", "192.0.2.9", "/a", "", "two", "0" },
		{ "/a", "two", NULL, "/a", "", "two", "50123" },
	};
	PyObject *kept[5];

	for (int i = 0; i < 5; i++) {
		struct prefork_request request = request_for(rows[i].target, rows[i].host);

		request.peer = rows[i].peer;
		kept[i] = environ_of(template, &request);
	}
	for (int i = 0; i < 5; i++) {
		assert_item(kept[i], "RAW_URI", rows[i].target);
		assert_item(kept[i], "PATH_INFO", rows[i].path);
		assert_item(kept[i], "QUERY_STRING", rows[i].query);
		assert_item(kept[i], "HTTP_HOST", rows[i].host);
		assert_item(kept[i], "REMOTE_ADDR", rows[i].peer ? rows[i].peer : "192.0.2.7");
		assert_item(kept[i], "REMOTE_PORT", rows[i].port);
		assert_item(kept[i], "SERVER_NAME", rows[i].name);
		Py_DECREF(kept[i]);
	}
	wsgi_template_destroy(template);
}
END_TEST

/* A proxy forwards requests of both schemes. */
START_TEST(the_port_of_a_unix_socket_follows_the_scheme)
{
	static const struct {
		const char *scheme, *host, *port;
	} rows[] = { { "http", "one", "80" }, { "https", "one", "443" }, { "https", NULL, "443" }, { "http", NULL, "80" },
		     { "https", "one:81", "81" } };
	struct wsgi_template *template = template_for("unix:/run/x", "");

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct prefork_request request = request_for("/", rows[i].host);
		PyObject *dict;

		request.scheme = rows[i].scheme;
		dict = environ_of(template, &request);
		assert_item(dict, "wsgi.url_scheme", rows[i].scheme);
		assert_item(dict, "SERVER_PORT", rows[i].port);
		Py_DECREF(dict);
	}
	wsgi_template_destroy(template);
}
END_TEST

START_TEST(fields_with_the_same_name_are_joined)
{
	struct wsgi_template *template = template_for("127.0.0.1:80", "");
	struct prefork_request request = request_for("/", "h");
	PyObject *dict;

	for (int i = 0; i < 3; i++) {
		request.names[request.fields] = i == 1 ? "x-tag" : "X-Tag";
		request.values[request.fields++] = "same";
	}
	dict = environ_of(template, &request);
	assert_item(dict, "HTTP_X_TAG", "same, same, same");
	Py_DECREF(dict);
	wsgi_template_destroy(template);
}
END_TEST

/* With header_map dangerous only. */
START_TEST(names_with_underscores_map_like_hyphens_with_two_exceptions)
{
	struct wsgi_template *template = template_for("127.0.0.1:80", "");

	for (int i = 0; i < 2; i++) { /* cached, and not cached */
		struct prefork_request request = request_for("/", "h");
		static const char *const fields[][2] = { { "X_Tag", "1" }, { "X-Tag", "2" }, { "Content_Length", "3" },
			                                 { "Content_Type", "4" }, { "Content-Length", "5" } };
		PyObject *dict;

		for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
			request.names[request.fields] = fields[k][0];
			request.values[request.fields++] = fields[k][1];
		}
		dict = environ_of(template, &request);
		assert_item(dict, "HTTP_X_TAG", "1, 2");
		assert_item(dict, "HTTP_CONTENT_LENGTH", "3");
		assert_item(dict, "HTTP_CONTENT_TYPE", "4");
		assert_item(dict, "CONTENT_LENGTH", "5");
		assert_item(dict, "CONTENT_TYPE", NULL);
		Py_DECREF(dict);
	}
	wsgi_template_destroy(template);
}
END_TEST

/* The table of names has a maximum; names beyond it must work, too. */
START_TEST(unknown_header_names_use_bounded_memory)
{
	struct wsgi_template *template = template_for("127.0.0.1:80", "");
	char names[600][24];

	for (int i = 0; i < 600; i++) {
		struct prefork_request request = request_for("/", "h");
		PyObject *dict;

		(void)snprintf(names[i], sizeof names[i], "X-Made-Up-%d", i);
		request.names[1] = names[i];
		request.values[1] = "yes";
		request.names[2] = "HoSt-"; /* similar to a known name */
		request.values[2] = "no";
		request.fields = 3;
		dict = environ_of(template, &request);
		(void)snprintf(names[i], sizeof names[i], "HTTP_X_MADE_UP");
		ck_assert_int_eq(PyDict_GET_SIZE(dict), PyDict_GET_SIZE(template->environ) + 2);
		assert_item(dict, "HTTP_HOST", "h");
		assert_item(dict, "HTTP_HOST_", "no");
		Py_DECREF(dict);
	}
	wsgi_template_destroy(template);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("environ");
	TCase *tcase = tcase_create("environ");

	tcase_add_unchecked_fixture(tcase, start_python, NULL);
	tcase_add_loop_test(tcase, the_server_has_a_name_and_a_port, 0, sizeof servers / sizeof *servers);
	tcase_add_loop_test(tcase, the_path_is_split_at_script_name_or_refused, 0, sizeof mounted / sizeof *mounted);
	tcase_add_loop_test(tcase, a_proxy_header_names_the_address_that_the_client_connected_to, 0, 4);
	tcase_add_test(tcase, no_value_leaks_into_the_next_environ);
	tcase_add_test(tcase, the_port_of_a_unix_socket_follows_the_scheme);
	tcase_add_test(tcase, fields_with_the_same_name_are_joined);
	tcase_add_test(tcase, names_with_underscores_map_like_hyphens_with_two_exceptions);
	tcase_add_test(tcase, unknown_header_names_use_bounded_memory);
	suite_add_tcase(suite, tcase);
	return run_suite_in_process(suite); /* one interpreter for all tests */
}

/* The bridge with real applications (tests/e2e/apps/kitchen.py), over a connection in memory. */
#include "response_headers.h"
#include "python.h"

#include "failure.h"
#include "interpreter.h"
#include "kitchen.h"
#include "load.h"

#include "../suite.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fds_before;

static int open_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n;
}

static void open_test(void)
{
	kitchen_log[0] = '\0';
	fds_before = open_fds();
}

static void close_test(void)
{
	ck_assert_int_eq(open_fds(), fds_before);
}

static void assert_response(const char *target, int status, const char *body)
{
	struct prefork_request request = kitchen_request(target);

	kitchen_serve(&request);
	ck_assert_msg(request.status == status, "%s: %d, %s", target, request.status, kitchen_log);
	ck_assert_str_eq(request.sent ? request.sent : "", body);
	free(request.sent);
}

static const struct response {
	const char *target;
	int status;
	const char *body;
} responses[] = {
	{ "/", 200, "Hello, world!\n" },
	{ "/no-length", 200, "onetwothree" },
	{ "/a-tuple", 200, "in a tuple" },
	{ "/generator", 200, "alpha beta" },
	{ "/late-start", 201, "late" },
	{ "/empty", 200, "" },
	{ "/no-content", 204, "" },
	{ "/writer", 200, "written twice and returned" },
	{ "/good-head", 299, "ok" },
	{ "/recovers", 503, "sorry" },
	{ "/early-hints", 200, "hinted" },
	{ "/streamed-hint", 200, "hint refused" },
	{ "/iterate-wrapper", 200, "[b'abcd', b'ef']" },
	{ "/gzip-file", 200, "unpacked" },
	{ "/a-file-part", 200, "\n\v\f\r\016" },
	{ "/buffers", 200, "bytearray memoryview written" },
	{ "/buffers-at-once", 200, "bytearray memoryview" },
	{ "/lax-head?list", 200, "lax" },
	{ "/lax-head?iterable", 200, "lax" },
	{ "/lax-head?length", 200, "lax" },
};

START_TEST(the_response_equals_the_result_of_the_application)
{
	assert_response(responses[_i].target, responses[_i].status, responses[_i].body);
	ck_assert_str_eq(kitchen_log, "");
}
END_TEST

static const char *const errors[][2] = {
	{ "/fails", "KeyError: 'before the head'" },
	{ "/fails-with-bytes", "ValueError: a file name that is not UTF-8: \\udcff" },
	{ "/fails-first", "ValueError: after start_response" },
	{ "/os-error", "[Errno 32]" },
	{ "/exits", "SystemExit: 7" },
	{ "/interrupts", "KeyboardInterrupt" },
	{ "/never-starts", "start_response" },
	{ "/close-without-start", "start_response" },
	{ "/starts-twice", "start_response" },
	{ "/returns-str", "bytes, not str" },
	{ "/returns-none", "NoneType" },
	{ "/bad-head?pair-of-letters", "TypeError" },
	{ "/bad-head?lf", "ValueError" },
	{ "/bad-hint", "ValueError" },
	{ "/bad-head?name", "ValueError" },
	{ "/bad-head?name-empty", "ValueError" },
	{ "/bad-head?wide", "latin-1" },
	{ "/bad-head?bytes", "TypeError" },
	{ "/bad-head?number", "TypeError" },
	{ "/bad-head?triple", "TypeError" },
	{ "/bad-head?not-a-list", "TypeError" },
	{ "/bad-head?status-int", "TypeError" },
	{ "/bad-head?status-bytes", "TypeError" },
	{ "/bad-head?status-short", "ValueError" },
	{ "/bad-head?status-word", "ValueError" },
	{ "/bad-head?status-100", "ValueError" },
	{ "/bad-head?status-newline", "ValueError" },
};

START_TEST(an_exception_of_the_application_is_status_500_with_a_traceback)
{
	assert_response(errors[_i][0], 500, "");
	ck_assert_msg(strstr(kitchen_log, "Error handling request GET ") && strstr(kitchen_log, errors[_i][0]), "%s", kitchen_log);
	ck_assert_msg(strstr(kitchen_log, errors[_i][1]) != NULL, "%s", kitchen_log);
}
END_TEST

/* As gunicorn does, with a warning. */
START_TEST(hop_by_hop_headers_are_dropped_with_one_warning)
{
	wsgi_response_headers_prepare();
	for (int i = 0; i < 3; i++) {
		struct prefork_request request = kitchen_request("/lax-head?hop");

		kitchen_serve(&request);
		ck_assert_int_eq(request.status, 200);
		ck_assert_str_eq(request.head, "X-A:b\n");
		ck_assert_str_eq(request.sent, "lax");
		free(request.sent);
		ck_assert_int_eq(strstr(kitchen_log, "sets the header Connection, which") != NULL, i == 0);
		kitchen_log[0] = '\0';
	}
}
END_TEST

START_TEST(early_hints_precede_the_response)
{
	struct prefork_request request = kitchen_request("/early-hints");

	kitchen_serve(&request);
	ck_assert_str_eq(request.interim, "Link:</a.css>; rel=preload\nLink:</b.js>; rel=preload\n");
	ck_assert_ptr_null(strstr(request.head, "Link"));
	free(request.sent);
}
END_TEST

/* Requests of several tasks may share a thread: the callable belongs to its request. */
START_TEST(early_hints_of_one_request_never_reach_another)
{
	struct prefork_request other = kitchen_request("/hint-for-another-request");

	assert_response("/keep-hints", 200, "kept");
	kitchen_serve(&other);
	ck_assert_str_eq(other.interim, "");
	ck_assert_str_eq(other.sent, "refused");
	free(other.sent);
}
END_TEST

START_TEST(an_error_after_the_head_aborts_the_response)
{
	struct prefork_request request = kitchen_request("/recovers-too-late");

	kitchen_serve(&request);
	ck_assert_int_lt(request.error, 0);
	ck_assert_str_eq(request.sent, "half");
	ck_assert_ptr_nonnull(strstr(kitchen_log, "too late to say sorry"));
	free(request.sent);
}
END_TEST

START_TEST(every_iterable_is_closed_once)
{
	struct prefork_request request = kitchen_request("/endless");

	request.sent_max = 200000;
	kitchen_serve(&request);
	ck_assert_int_eq(request.error, -ECONNRESET);
	free(request.sent);
	ck_assert_str_eq(kitchen_log, ""); /* a client that closes is no error */
	request = kitchen_request("/close-after-error");
	kitchen_serve(&request);
	ck_assert_int_lt(request.error, 0);
	free(request.sent);
	assert_response("/close-once", 200, "ab");
	request = kitchen_request("/wrapped-source");
	kitchen_serve(&request);
	ck_assert_uint_eq(request.sent_size, 1000);
	free(request.sent);
	request = kitchen_request("/show-closed");
	kitchen_serve(&request);
	for (const char *const *name = (const char *const[]){ "endless", "close_after_error", "close_once",
	                                                      "wrapped_source", NULL };
	     *name; name++) {
		const char *first = strstr(request.sent, *name);

		ck_assert_msg(first && strstr(first + 1, *name) == NULL, "%s in %s", *name, request.sent);
	}
	free(request.sent);
}
END_TEST

START_TEST(a_wrapped_file_is_sent_by_sendfile)
{
	struct prefork_request request = kitchen_request(_i ? "/a-temporary-file" : "/a-file-part");

	kitchen_serve(&request);
	ck_assert(request.whole);
	ck_assert_str_eq(request.sent, _i ? "a temporary file" : "\n\v\f\r\016");
	free(request.sent);
}
END_TEST

START_TEST(a_partial_line_is_logged_when_its_request_finishes)
{
	assert_response("/half-a-line", 200, "ok");

	FILE *file = fopen(kitchen_errors_path(), "r");
	char line[64] = "";

	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
	ck_assert_str_eq(line, "no newline\n");
	ck_assert_int_eq(fclose(file), 0);
}
END_TEST

START_TEST(the_path_is_decoded_once_and_fields_become_keys)
{
	struct prefork_request request = kitchen_request("/environment/a%20b%2541%zz%4?x=%41");

	request.fields = 5;
	memcpy(request.names, ((const char *[]){ "Content-Type", "X-Two", "x-two", "Cookie", "cookie" }),
	       5 * sizeof *request.names);
	memcpy(request.values, ((const char *[]){ "text/x", "1", "2", "a=1", "b=2" }), 5 * sizeof *request.values);
	kitchen_serve(&request);
	for (const char *const *line =
	         (const char *const[]){ "PATH_INFO='/environment/a b%41%zz%4'\n", "QUERY_STRING='x=%41'\n",
	                                "CONTENT_TYPE='text/x'\n", "HTTP_X_TWO='1, 2'\n", "HTTP_COOKIE='a=1; b=2'\n",
	                                "SERVER_NAME='127.0.0.1'\n", "SERVER_PORT='8000'\n", "SCRIPT_NAME=''\n",
	                                "REMOTE_ADDR='192.0.2.7'\n", "REMOTE_PORT='50123'\n", "wsgi.version=(1, 0)\n",
	                                "SERVER_PROTOCOL='HTTP/1.1'\n", "wsgi.url_scheme='http'\n", "types=str", NULL };
	     *line; line++)
		ck_assert_msg(strstr(request.sent, *line) != NULL, "%s in %s", *line, request.sent);
	free(request.sent);
	assert_response("/", 200, "Hello, world!\n"); /* the template has no value of the request */
	request = kitchen_request("/environment");
	kitchen_serve(&request);
	ck_assert_ptr_null(strstr(request.sent, "X_TWO"));
	free(request.sent);
}
END_TEST

START_TEST(every_method_reads_the_whole_body)
{
	static const char text[] = "first line\nsecond line\nthird\n\nlast without end";
	static const char seen[] = "[b'', b'first line\\n', b'sec', b'ond line\\n', b'th', [b'ird\\n'], "
	                           "[b'\\n', b'last without end'], b'', b'', []]";
	char *large = malloc(200000);
	struct prefork_request request = kitchen_request("/input-methods");

	request.body = text;
	request.body_size = sizeof text - 1;
	kitchen_serve(&request);
	ck_assert_str_eq(request.sent, seen);
	free(request.sent);
	memset(large, 'x', 200000);
	for (size_t size = 65535; size < 200000; size += size < 65537 ? 1 : 67231) {
		request = kitchen_request("/echo");
		request.body = large;
		request.body_size = size;
		kitchen_serve(&request);
		ck_assert_uint_eq(request.sent_size, size);
		free(request.sent);
	}
	free(large);
}
END_TEST

START_TEST(a_short_body_is_never_returned_as_complete)
{
	struct prefork_request request = kitchen_request("/echo");

	request.body = "fifty";
	request.body_size = 5;
	request.body_error = -ECONNRESET;
	kitchen_serve(&request);
	ck_assert_int_eq(request.status, 500);
	ck_assert_ptr_null(request.sent);
	ck_assert_ptr_nonnull(strstr(kitchen_log, "Client lost during request GET /echo"));
	ck_assert_ptr_null(strstr(kitchen_log, "Traceback"));
}
END_TEST

START_TEST(objects_kept_after_the_request_raise_exceptions)
{
	assert_response("/keep-input", 200, "kept");
	assert_response("/read-kept-input", 200, "refused: ValueError");
	assert_response("/write-late", 200, "kept");
	assert_response("/write-after", 200, "refused: RuntimeError");
}
END_TEST

START_TEST(a_path_outside_of_script_name_is_refused_with_its_cause)
{
	struct wsgi_template *const whole = kitchen_template;
	struct prefork_request request = kitchen_request("/shopping");

	(void)wsgi_gil_take();
	kitchen_template = wsgi_template_create(&(struct wsgi_template_config){ "127.0.0.1:80", "/shop", false, false, Py_None });
	wsgi_gil_release();
	kitchen_serve(&request);
	ck_assert_int_eq(request.status, 500);
	ck_assert_ptr_nonnull(strstr(request.sent, "not below SCRIPT_NAME"));
	ck_assert_str_eq(kitchen_log, "GET /shopping is not below SCRIPT_NAME, which is \"/shop\" event=script_name_mismatch pool=web");
	free(request.sent);
	kitchen_log[0] = '\0';
	assert_response("/shop/hello", 200, "Hello, world!\n");
	kitchen_template = whole;
}
END_TEST

/* Python's allocators; the `refuse_at`-th allocation fails. */
static PyMemAllocatorEx plain[2];
static long refuse_at; /* counted down to 0 */

static bool is_refused(void)
{
	return refuse_at > 0 && --refuse_at == 0;
}

static void *scarce_malloc(void *context, size_t size)
{
	PyMemAllocatorEx *allocator = context;

	return is_refused() ? NULL : allocator->malloc(allocator->ctx, size);
}

static void *scarce_calloc(void *context, size_t count, size_t size)
{
	PyMemAllocatorEx *allocator = context;

	return is_refused() ? NULL : allocator->calloc(allocator->ctx, count, size);
}

static void *scarce_realloc(void *context, void *old, size_t size)
{
	PyMemAllocatorEx *allocator = context;

	return is_refused() ? NULL : allocator->realloc(allocator->ctx, old, size);
}

static void plain_free(void *context, void *old)
{
	PyMemAllocatorEx *allocator = context;

	allocator->free(allocator->ctx, old);
}

static void make_memory_scarce(bool scarce)
{
	static const PyMemAllocatorDomain domains[] = { PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ };

	(void)wsgi_gil_take();
	for (int i = 0; i < 2; i++) {
		PyMemAllocatorEx hook = { &plain[i], scarce_malloc, scarce_calloc, scarce_realloc, plain_free };

		if (scarce)
			PyMem_GetAllocator(domains[i], &plain[i]);
		PyMem_SetAllocator(domains[i], scarce ? &hook : &plain[i]);
	}
	wsgi_gil_release();
}

static const char *const scarce[] = {
	"/", "/no-length", "/generator", "/writer", "/good-head", "/early-hints", "/environment/%41?b", "/wrapped-source",
	"/iterate-wrapper", "/input-methods", "/errors", "/half-a-line", "/fails", "/bad-head?hop", "/exits", "/in-context?x",
	"/close-after-error", "/large",
};

/* Whichever allocation fails, there is a response or an error, and the next request is served normally. */
START_TEST(an_allocation_failure_fails_one_request_only)
{
	long n = 0;

	make_memory_scarce(true);
	do {
		struct prefork_request request = kitchen_request(scarce[_i]);

		request.body = "a\nbody\n";
		request.body_size = 7;
		request.names[request.fields] = "X-New";
		request.values[request.fields++] = "a value";
		refuse_at = ++n;
		kitchen_serve(&request);
		ck_assert_msg(request.status >= 200 || request.error < 0, "%s %ld", scarce[_i], n);
		free(request.sent);
		kitchen_log[0] = '\0';
	} while (refuse_at == 0);
	refuse_at = 0;
	make_memory_scarce(false);
	ck_assert_int_gt(n, 3);
	assert_response("/", 200, "Hello, world!\n");
	assert_response("/generator", 200, "alpha beta");
}
END_TEST

static Py_ssize_t allocated_blocks(void)
{
	PyObject *number = PyObject_CallNoArgs(PySys_GetObject("getallocatedblocks"));
	const Py_ssize_t n = PyLong_AsSsize_t(number);

	Py_DECREF(number);
	return n;
}

START_TEST(no_reference_leaks_over_many_requests)
{
	Py_ssize_t blocks[3];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 300; i++) {
			assert_response("/", 200, "Hello, world!\n");
			assert_response("/generator", 200, "alpha beta");
			assert_response("/fails", 500, "");
			assert_response("/bad-head?hop", 500, "");
			assert_response("/writer", 200, "written twice and returned");
			kitchen_log[0] = '\0';
		}
		(void)wsgi_gil_take();
		(void)PyGC_Collect();
		blocks[round] = allocated_blocks();
		wsgi_gil_release();
	}
	ck_assert_int_lt(blocks[2] - blocks[1], 250); /* one per request would be 300 */
}
END_TEST

static const char *const loads[][2] = {
	{ "kitchen", "AttributeError: module 'kitchen' has no attribute 'application'" },
	{ "kitchen:app", NULL },
	{ "factories:make()", NULL },
	{ "factories:make('x', status='404 Not Found')", NULL },
	{ "factories:container.app", NULL },
	{ "factories:container.missing", "AttributeError: " },
	{ "factories:make(", "SyntaxError: " },
	{ "factories:make(open)", "ValueError: malformed" },
	{ "factories:make(1, 2, 3)", "TypeError: make() takes" },
	{ "factories:number", "TypeError: \"factories:number\" is not callable, it is 7" },
	{ "factories:number + (1)", "ValueError: \"number + (1)\" is neither a name nor a call" },
	{ "nowhere:app", "ModuleNotFoundError: No module named 'nowhere'" },
	{ "kitchen.py", "ImportError: \"kitchen.py\" is a file" },
	{ "broken:app", "SyntaxError: " },
	{ "leaves:app", "SystemExit: not today" },
};

START_TEST(an_application_is_loaded_or_the_cause_is_reported)
{
	char line[512] = "";
	PyObject *application, *text = NULL;

	(void)wsgi_gil_take();
	application = wsgi_load(loads[_i][0]);
	if (application == NULL)
		text = wsgi_failure_take(line, sizeof line);
	wsgi_gil_release();
	ck_assert_msg((application != NULL) == (loads[_i][1] == NULL), "%s: %s", loads[_i][0], line);
	if (loads[_i][1])
		ck_assert_msg(text && strncmp(line, loads[_i][1], strlen(loads[_i][1])) == 0, "%s", line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bridge");
	TCase *tcase = tcase_create("bridge");

	tcase_add_unchecked_fixture(tcase, kitchen_open, NULL);
	tcase_add_checked_fixture(tcase, open_test, close_test);
	tcase_add_loop_test(tcase, the_response_equals_the_result_of_the_application, 0, sizeof responses / sizeof *responses);
	tcase_add_loop_test(tcase, an_exception_of_the_application_is_status_500_with_a_traceback, 0,
	                    sizeof errors / sizeof *errors);
	tcase_add_test(tcase, hop_by_hop_headers_are_dropped_with_one_warning);
	tcase_add_test(tcase, early_hints_precede_the_response);
	tcase_add_test(tcase, early_hints_of_one_request_never_reach_another);
	tcase_add_test(tcase, an_error_after_the_head_aborts_the_response);
	tcase_add_test(tcase, every_iterable_is_closed_once);
	tcase_add_loop_test(tcase, a_wrapped_file_is_sent_by_sendfile, 0, 2);
	tcase_add_test(tcase, a_partial_line_is_logged_when_its_request_finishes);
	tcase_add_test(tcase, the_path_is_decoded_once_and_fields_become_keys);
	tcase_add_test(tcase, every_method_reads_the_whole_body);
	tcase_add_test(tcase, a_short_body_is_never_returned_as_complete);
	tcase_add_test(tcase, objects_kept_after_the_request_raise_exceptions);
	tcase_add_test(tcase, a_path_outside_of_script_name_is_refused_with_its_cause);
	tcase_add_loop_test(tcase, an_allocation_failure_fails_one_request_only, 0,
	                    sizeof scarce / sizeof *scarce);
	tcase_add_test(tcase, no_reference_leaks_over_many_requests);
	tcase_add_loop_test(tcase, an_application_is_loaded_or_the_cause_is_reported, 0, sizeof loads / sizeof *loads);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return run_suite_in_process(suite); /* one interpreter for all tests */
}

#include "kitchen.h"

#include "errors.h"
#include "response_headers.h"
#include "interpreter.h"
#include "load.h"
#include "header_names.h"
#include "wsgi_log.h"

#include <prefork/log.h>

#include <check.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wsgi_application kitchen;
struct wsgi_template *kitchen_template;
char kitchen_log[1 << 16];

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void add(const char *text)
{
	strncat(kitchen_log, text, sizeof kitchen_log - strlen(kitchen_log) - 1);
}

static void remember(void *user, enum prefork_log_level level, const char *module, const char *message,
                     const struct prefork_log_pair *pairs, size_t count)
{
	(void)user, (void)level, (void)module;
	pthread_mutex_lock(&log_lock);
	add(message);
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].is_number)
			continue;
		add(" "), add(pairs[i].key), add("=");
		add(pairs[i].text ? pairs[i].text : "");
	}
	pthread_mutex_unlock(&log_lock);
}

static void make_file(void)
{
	const char *const path = getenv("KITCHEN_FILE");
	FILE *file = path ? fopen(path, "wb") : NULL;

	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 2560; i++)
		ck_assert_int_ne(fputc(i & 255, file), EOF);
	ck_assert_int_eq(fclose(file), 0);
}

const char *kitchen_errors_path(void)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s-errors", getenv("KITCHEN_FILE"));
	return path;
}

void kitchen_open(void)
{
	struct prefork_log *log = NULL, *errors = NULL;

	make_file();
	ck_assert_int_eq(wsgi_python_start("prefork-wsgi", NULL), 0);
	ck_assert_int_eq(wsgi_header_names_create(), 0);
	ck_assert_int_eq(wsgi_request_prepare(), 0);
	ck_assert_int_eq(wsgi_errors_prepare(), 0);
	ck_assert_int_eq(wsgi_load_path(NULL, APPS), 0);
	kitchen.callable = wsgi_load("kitchen:app");
	ck_assert_ptr_nonnull(kitchen.callable);
	ck_assert_int_eq(prefork_log_create("-", 2, &log), 0);
	prefork_log_set_sink(log, remember, NULL);
	wsgi_log_prepare(log, "web", 0);
	wsgi_response_headers_prepare();
	(void)unlink(kitchen_errors_path());
	ck_assert_int_eq(prefork_log_create(kitchen_errors_path(), 2, &errors), 0);
	kitchen_template = wsgi_template_create(&(struct wsgi_template_config){
		.address = "127.0.0.1:8000", .script_name = "", .errors = wsgi_errors_create(errors) });
	ck_assert_ptr_nonnull(kitchen_template);
	kitchen.templates = &kitchen_template;
	wsgi_gil_release();
}

struct prefork_request kitchen_request(const char *target)
{
	struct prefork_request request = { .method = "GET", .target = target, .path_size = strcspn(target, "?") };

	if (target[request.path_size] == '?')
		request.query = target + request.path_size + 1;
	return request;
}

void kitchen_serve(struct prefork_request *request)
{
	const int r = wsgi_request_handle(request, &kitchen);

	if (r < 0 && !request->begun)
		request->status = 500;
	if (r < 0 && request->error == 0)
		request->error = r;
	if (r == 0)
		fake_drive(request);
	wsgi_request_finished(request);
}

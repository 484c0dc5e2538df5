/* An HTTP server that responds "Hello" to every request: one callback per request. */
#include <prefork/http.h>
#include <prefork/prefork.h>
#include <stdio.h>

/* Called in a worker for each request, when its head is complete. */
static int hello(struct prefork_request *request, void *user)
{
	static const char body[] = "Hello, world!\n";
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	if (r == 0)
		r = prefork_response_field(request, "Content-Type", "text/plain");
	if (r == 0)
		r = prefork_response_last(request, body, sizeof body - 1);
	return r; /* negative: the library sends 500 */
}

static const struct prefork_http_service service = { .struct_size = sizeof service, .handle = hello };

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv); /* ps shows "http_hello: worker 0 [hello] serving" */
	int r = prefork_http_load(argc, argv, &settings); /* 1: done, for example --help */

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "hello", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter); /* ./http_hello --bind 127.0.0.1:8000 --workers 4 */
	if (r < 0)
		fprintf(stderr, "http_hello: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}

/* An HTTPS server that responds with the cipher of the connection: HTTP and TLS on one arbiter. */
#include <prefork/http.h>
#include <prefork/prefork.h>
#include <prefork/tls.h>

#include <openssl/ssl.h>

#include <stdio.h>

/* Called in a worker for each request. Without certfile, the server serves HTTP without TLS. */
static int hello(struct prefork_request *request, void *user)
{
	const SSL *const ssl = prefork_tls_ssl(prefork_request_connection(request));
	char body[128];
	const int size = snprintf(body, sizeof body, "Hello over %s!\n", ssl != NULL ? SSL_get_version(ssl) : "plain HTTP");
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	if (r == 0)
		r = prefork_response_field(request, "Content-Type", "text/plain");
	if (r == 0)
		r = prefork_response_last(request, body, (size_t)size);
	return r;
}

static const struct prefork_http_service service = { .struct_size = sizeof service, .handle = hello };

static int load(int argc, char **argv, struct prefork_settings **ret)
{
	int r = prefork_settings_create(ret);

	if (r == 0)
		r = prefork_http_add_options(*ret);
	if (r == 0)
		r = prefork_tls_add_options(*ret);
	return r == 0 ? prefork_settings_parse(*ret, argc, argv) : r; /* 1: done, for example --help */
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv);
	int r = load(argc, argv, &settings);

	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 && (r = prefork_tls_attach(arbiter, NULL)) == 0 &&
	    (r = prefork_http_add_service(arbiter, "hello", &service, NULL)) == 0)
		r = prefork_arbiter_run(arbiter); /* ./https_hello --bind :8443 --certfile cert.pem --keyfile key.pem */
	if (r < 0)
		fprintf(stderr, "https_hello: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}

/* Linked with --wrap to an example that knows nothing of TLS: its settings and its arbiter get it. An example has
 * prefork_http_load() parse its settings, or does so itself. */
#include <prefork/http.h>
#include <prefork/prefork.h>
#include <prefork/tls.h>

int __real_prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret);
int __wrap_prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret);
int __real_prefork_settings_parse(struct prefork_settings *settings, int argc, char *const argv[]);
int __wrap_prefork_settings_parse(struct prefork_settings *settings, int argc, char *const argv[]);
int __wrap_prefork_http_load(int argc, char *const argv[], struct prefork_settings **ret);

int __wrap_prefork_settings_parse(struct prefork_settings *settings, int argc, char *const argv[])
{
	const int r = prefork_tls_add_options(settings);

	return r == 0 ? __real_prefork_settings_parse(settings, argc, argv) : r;
}

int __wrap_prefork_http_load(int argc, char *const argv[], struct prefork_settings **ret)
{
	int r = prefork_settings_create(ret);

	if (r == 0)
		r = prefork_http_add_options(*ret);
	return r == 0 ? prefork_settings_parse(*ret, argc, argv) : r;
}

int __wrap_prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret)
{
	const int r = __real_prefork_arbiter_create(settings, ret);

	return r == 0 ? prefork_tls_attach(*ret, NULL) : r;
}

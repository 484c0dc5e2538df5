/* Gives the service to an arbiter. */
#include "http/options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>

#include <errno.h>

static void on_destroyed(void *user)
{
	pfi_http_destroy(user);
}

int prefork_http_add_service(struct prefork_arbiter *arbiter, const char *pool,
                             const struct prefork_http_service *service, void *user)
{
	static const struct prefork_hooks hooks = { .struct_size = sizeof hooks, .destroyed = on_destroyed };
	struct pfi_http *http;
	int r;

	if (service == NULL || service->handle == NULL || service->struct_size < sizeof *service)
		return prefork_fail(-EINVAL, "an HTTP service needs `handle`, and its struct_size");
	http = pfi_http_create(service, user);
	if (http == NULL)
		return prefork_fail(-ENOMEM, "no memory for an HTTP service");
	r = pfi_http_configure(&http->config, prefork_arbiter_settings(arbiter));
	if (r == 0)
		r = prefork_arbiter_add_hooks(arbiter, &hooks, http);
	if (r < 0) {
		pfi_http_destroy(http);
		return r;
	}
	return prefork_arbiter_add_service(arbiter, pool, pfi_http_table(), http);
}

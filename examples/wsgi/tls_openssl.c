/* TLS by libprefork-tls. */
#include "tls.h"

#include <prefork/tls.h>

int wsgi_tls_add_options(struct prefork_settings *settings)
{
	return prefork_tls_add_options(settings);
}

int wsgi_tls_attach(struct prefork_arbiter *arbiter)
{
	return prefork_tls_attach(arbiter, NULL);
}

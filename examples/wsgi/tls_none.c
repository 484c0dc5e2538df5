/* Without TLS: the build has no OpenSSL. */
#include "tls.h"

int wsgi_tls_add_options(struct prefork_settings *settings)
{
	(void)settings;
	return 0;
}

int wsgi_tls_attach(struct prefork_arbiter *arbiter)
{
	(void)arbiter;
	return 0;
}

int (*const wsgi_tls_fill)(PyObject *environ, struct prefork_request *request) = NULL;

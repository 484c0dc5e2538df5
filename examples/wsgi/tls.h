/*
 * tls -- TLS, if the build has OpenSSL.
 */
#ifndef WSGI_TLS_H
#define WSGI_TLS_H

#include "python.h"

struct prefork_arbiter;
struct prefork_request;
struct prefork_settings;

/** Add the settings of TLS. Returns as prefork_settings_add_module(); 0 without OpenSSL. */
int wsgi_tls_add_options(struct prefork_settings *settings);

/** Serve TLS if the settings say so. Returns as prefork_tls_attach(); 0 without OpenSSL. */
int wsgi_tls_attach(struct prefork_arbiter *arbiter);

/** Add to environ what is known about the connection and the client's certificate (SSL_CLIENT_S_DN and so on). -1 with
 *  an exception set. NULL: the build has no OpenSSL. */
extern int (*const wsgi_tls_fill)(PyObject *environ, struct prefork_request *request);

#endif

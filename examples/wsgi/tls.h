/*
 * tls -- TLS, if the build has OpenSSL.
 */
#ifndef WSGI_TLS_H
#define WSGI_TLS_H

struct prefork_arbiter;
struct prefork_settings;

/** Add the settings of TLS. Returns as prefork_settings_add_module(); 0 without OpenSSL. */
int wsgi_tls_add_options(struct prefork_settings *settings);

/** Serve TLS if the settings say so. Returns as prefork_tls_attach(); 0 without OpenSSL. */
int wsgi_tls_attach(struct prefork_arbiter *arbiter);

#endif

/*
 * ssl_context -- the hook ssl_context: what it chooses becomes settings of TLS.
 */
#ifndef WSGI_SSL_CONTEXT_H
#define WSGI_SSL_CONTEXT_H

struct prefork_settings;

/** When all sources of the settings were read: call the hook, if the configuration file has it and TLS is on, and set what
 *  it says. Returns 0, or PREFORK_ECONFIG with an error message. */
int wsgi_ssl_context_apply(struct prefork_settings *settings);

#endif

/*
 * reloader -- --reload: a pool of one worker, without Python, that watches the code of the
 * application and has the arbiter reload when it was edited.
 *
 * Because it is an ordinary reload, an edit that does not load changes nothing but the log.
 */
#ifndef WSGI_RELOADER_H
#define WSGI_RELOADER_H

struct prefork_arbiter;
struct prefork_settings;

/** Add the pool if the setting reload asks for it. Returns as prefork_arbiter_add_pool(). */
int wsgi_reloader_add(struct prefork_arbiter *arbiter, const struct prefork_settings *settings);

#endif

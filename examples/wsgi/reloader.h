/*
 * reloader -- --reload: a pool of one worker, without Python, that watches the code of the
 * application and sends SIGHUP to the arbiter when it changes.
 *
 * It is an ordinary reload. If the changed code does not load, the new workers respond with its traceback
 * (application.h), until an edit loads.
 */
#ifndef WSGI_RELOADER_H
#define WSGI_RELOADER_H

struct prefork_arbiter;
struct prefork_settings;

/** Add the pool if the setting `reload` is on. Returns as prefork_arbiter_add_pool(). */
int wsgi_reloader_add(struct prefork_arbiter *arbiter, const struct prefork_settings *settings);

#endif

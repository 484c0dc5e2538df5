/*
 * log_bridge -- the lines of the log through Python's logging, where logger_class or logconfig* ask for it.
 *
 *     any thread: prefork_log_write() -- sink --> log_queue --+-- arbiter: once per turn -----> logger of the process
 *                                                             '-- worker: a thread for it --'
 *
 * No thread waits for Python: a line that the queue does not take, or that fails in Python, goes to the log file as without
 * Python, and so does every line while handlers of the arbiter are too slow. Without those settings nothing of this runs.
 *
 * Call these functions on the first thread, without the GIL unless they say otherwise.
 */
#ifndef WSGI_LOG_BRIDGE_H
#define WSGI_LOG_BRIDGE_H

#include <stdbool.h>

struct prefork_access;
struct prefork_arbiter;
struct prefork_request;
struct prefork_settings;
struct prefork_worker;

/** Before the start of the arbiter: configure logging from `settings`, and have the lines go through it. 0: done, or not
 *  asked for; a negative errno with an error message. Python is started if it is needed. */
int wsgi_log_bridge_start(struct prefork_arbiter *arbiter, const struct prefork_settings *settings);

/** A reload, for its hooks: configure logging from `fresh`. After an error, or if the reload fails later, logging is
 *  as before. */
int wsgi_log_bridge_reload(const struct prefork_settings *fresh);
void wsgi_log_bridge_reloaded(const struct prefork_settings *in_force, bool is_done);

/** Log files were rotated: open those of handlers again. */
void wsgi_log_bridge_reopen(void);

/** The first call in a worker. The caller has the GIL. `starts_emitter`: wsgi_log_bridge_worker_start() will be called. Else
 *  the worker is of a pool without Python, and its lines go to the log file. */
void wsgi_log_bridge_in_child(struct prefork_worker *worker, bool starts_emitter);

/** The worker is about to serve. */
void wsgi_log_bridge_worker_start(void);

/** The process ends: all lines that wait go through Python now, and later ones to the file. */
void wsgi_log_bridge_stop(void);

/** In a worker that crashes: write what waits to `fd`. Async-signal-safe. */
void wsgi_log_bridge_dump(int fd);

/** The callback `access` of HTTP. */
int wsgi_log_bridge_access(struct prefork_request *request, const struct prefork_access *access, void *user);

#endif

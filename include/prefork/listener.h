/*
 * prefork/listener.h -- a socket that listens, shared by the arbiter and its workers.
 *
 * Listeners belong to their arbiter: what a function here returns is borrowed and
 * stays as long as the listener, in a worker as long as the worker.
 *
 * The descriptor is non-blocking, and O_NONBLOCK belongs to the socket, not to the descriptor: all
 * processes that have it share the flag, so leave it so. A socket that was handed over (fd://N,
 * LISTEN_FDS) stays non-blocking after the end: to clear the flag then would let the server that has
 * taken over block in accept(2). A program that wants it blocking clears it itself. Threads: any. Fork: a listener may be used in parent and child.
 */
#ifndef PREFORK_LISTENER_H
#define PREFORK_LISTENER_H

#include <stdbool.h>

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_listener;

/** Where it listens, with the port that was really bound: "127.0.0.1:8000",
 *  "[::1]:8000", "unix:/run/app.sock", "unix:@name". Since 0.1. */
PREFORK_API const char *prefork_listener_address(const struct prefork_listener *listener);

/** What it was called: the text given to the setting bind, or the name that came
 *  with an inherited socket (LISTEN_FDNAMES). Since 0.1. */
PREFORK_API const char *prefork_listener_name(const struct prefork_listener *listener);

/** Its descriptor, to poll and to accept from. Never close it. With the setting
 *  reuse_port a worker's is a set of sockets, to poll alone: accept by
 *  prefork_worker_accept(). Since 0.1. */
PREFORK_API int prefork_listener_fd(const struct prefork_listener *listener);

/** Whether somebody else bound it and may hold it still: systemd, the arbiter
 *  before an upgrade, fd://N. Since 0.1. */
PREFORK_API bool prefork_listener_is_inherited(const struct prefork_listener *listener);

#ifdef __cplusplus
}
#endif

#endif

/*
 * prefork/listener.h -- a listening socket, shared by the arbiter and its workers.
 *
 * Owner: the arbiter. What a function here returns is borrowed and valid as long as the listener,
 * in a worker as long as the worker.
 *
 * The descriptor is non-blocking. O_NONBLOCK belongs to the open file description, which all
 * processes share: do not change it. An inherited socket (fd://N, LISTEN_FDS) stays
 * non-blocking after the end: clearing the flag would make a server that has taken over block in
 * accept(2). A program that needs it blocking clears it itself.
 *
 * Threads: any. Fork: parent and child may both use a listener.
 */
#ifndef PREFORK_LISTENER_H
#define PREFORK_LISTENER_H

#include <stdbool.h>

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_listener;

/** The address, with the port that was really bound: "127.0.0.1:8000", "[::1]:8000",
 *  "unix:/run/app.sock", "unix:@name". Since 0.1. */
PREFORK_API const char *prefork_listener_address(const struct prefork_listener *listener);

/** The name: the text in the setting bind, or the name of an inherited socket (LISTEN_FDNAMES).
 *  Since 0.1. */
PREFORK_API const char *prefork_listener_name(const struct prefork_listener *listener);

/** The descriptor, to poll and to accept from. Never close it. With the setting reuse_port a
 *  worker has an epoll instance over several sockets here, to poll only: accept with
 *  prefork_worker_accept(). Since 0.1. */
PREFORK_API int prefork_listener_fd(const struct prefork_listener *listener);

/** The number of connections that wait to be accepted, of all its sockets. In the arbiter. -EOPNOTSUPP: the kernel does
 *  not count them (a unix socket); or the error of getsockopt(2). Since 0.1. */
PREFORK_API int prefork_listener_pending(const struct prefork_listener *listener);

/** Whether another program bound it and may still have it open: systemd, the arbiter before an
 *  upgrade, the program that passed fd://N. Since 0.1. */
PREFORK_API bool prefork_listener_is_inherited(const struct prefork_listener *listener);

#ifdef __cplusplus
}
#endif

#endif

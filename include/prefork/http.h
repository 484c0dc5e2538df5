/*
 * prefork/http.h -- an HTTP/1.1 server on top of any worker strategy.
 *
 * An application fills in a table of callbacks. `handle`, the handler, is called once per request in
 * a worker; it reads the request and responds. The same table runs under every strategy. The library
 * checks requests against RFC 9112 first; an invalid request gets an error response, and the handler
 * is not called.
 *
 * Ownership: a request belongs to the library. The application may use it, and the texts that its
 * functions return, from the call of `handle` until `finished` has returned. Texts end with a NUL
 * that is not counted in their size, unless stated otherwise.
 *
 * Threads: one thread at a time may use a request: the one that runs a callback for it. Threads of
 * the application may use it until `finished` returns, so `finished` must wait for them, unless the
 * request is suspended (prefork_request_suspend()), for then `finished` is not called: once
 * the response is started, several of them may call prefork_response_write(), prefork_response_end()
 * and prefork_request_read() at the same time; each call is atomic. Under the threads strategy, and
 * under libev with the setting threads, requests are handled concurrently, and each callback of a
 * request may run in another thread. Under libev without threads callbacks must not block.
 * Fork: as in <prefork/service.h>.
 */
#ifndef PREFORK_HTTP_H
#define PREFORK_HTTP_H

#include <prefork/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_access;
struct prefork_arbiter;
struct prefork_connection;
struct prefork_error_page;
struct prefork_request;
struct prefork_settings;
struct prefork_worker;

enum prefork_http_traits {
	PREFORK_HTTP_CONNECT = 1u << 0, /* call `handle` for CONNECT, too; without it the response is 501 */
};

/**
 * The callbacks. Use designated initialisers; only `handle` is required. The library copies the
 * table, and borrows `user` until the arbiter is destroyed; each worker has its own copy (fork).
 *
 * worker_start  once per worker, before the first request. A negative errno is a boot failure
 *               (PREFORK_EAPP: of the application)
 * handle        for each request. Respond by prefork_response_*(). Return 0: the response ends where
 *               the source of its body ends. Return a negative errno: if the response has not begun,
 *               the client gets 500; otherwise the connection is closed so that the client can tell
 *               that the body is truncated. The log has the request and the error message of
 *               prefork_fail(), except for PREFORK_EAPP, which the application has logged itself
 * finished      once per `handle`, the last callback of the request: the kernel has the response, or
 *               the request has failed (prefork_request_error())
 * worker_stop   once, after the last request, unless the worker was killed
 * traits        of enum prefork_http_traits
 * error_page    before the library sends an error response: for an invalid request, or a failed
 *               `handle` (500). prefork_error_page_body() and prefork_error_page_field() replace the
 *               library's HTML page. `request` is NULL if its header is incomplete or invalid;
 *               otherwise it may be read, but prefork_response_*() must not be called. Runs in any
 *               thread, also in an event loop: it must not block. Called after `finished`, if
 *               `handle` was called, except for a suspended request that reaches a limit. Since 0.1.
 * resumed       after each prefork_request_resume(), where `handle` would be called, and returns as
 *               `handle` does. Also if the request has failed meanwhile (prefork_request_error()).
 *               NULL: returns 0. After a suspension by `pull`, `pull` is called next. Not called if a
 *               loop of the application starts no task for it (`submit` in <prefork/host_loop.h>):
 *               the client has 503, or the response is cut, and `finished` follows. Since 0.1.
 * client_gone   the client of a suspended request has closed the connection; also for a request
 *               whose handler runs in a thread (threads, and libev with the setting threads). At
 *               most once per request, within 1 s. The request goes on: resume it, or let the
 *               handler end early. What counts is the setting client_gone_on_fin. In the first
 *               thread of the worker, while another thread may use the request: it must not block.
 *               Under sync, and under libev without threads, ask prefork_request_is_abandoned() in a
 *               handler. Since 0.1.
 * drain_begin   once, when the worker begins to leave (stop, reload, max_requests): respond to
 *               suspended requests soon, and suspend none afterwards: prefork_worker_directive() is
 *               no longer PREFORK_CONTINUE. Threads as client_gone. Since 0.1.
 * abandoned     the library has ended a suspended request. prefork_request_error() is -ETIMEDOUT:
 *               suspend_timeout has passed; resume it, to have it freed. Or -EINTR: the worker ends,
 *               because three quarters of graceful_timeout have passed since the drain began, or
 *               because it quits; this is the last callback of the request, `finished` is not
 *               called, and the process ends without freeing its memory. prefork_request_resume()
 *               is allowed and without effect then. If the response was not started, the client has
 *               504 or 503, except from a worker that quits. A request that had an error before keeps
 *               it: then resume it, which is right in both cases. Threads as client_gone. Since 0.1.
 * access        after each response, that of the library to an invalid request, too: where the line of the
 *               access log is written, also if no setting asks for one. Return 0 to write none: the
 *               application logs itself. `request` is NULL if its header is incomplete or invalid. Before
 *               `finished`, in the same thread; for responses of the library in any thread, also in an
 *               event loop: there it must not block. Of a request that is abandoned when the worker ends,
 *               before `abandoned`, and in the same thread as that. Since 0.1.
 */
struct prefork_http_service {
	size_t struct_size; /* sizeof(struct prefork_http_service) */
	int (*worker_start)(struct prefork_worker *worker, void *user);
	int (*handle)(struct prefork_request *request, void *user);
	void (*finished)(struct prefork_request *request, void *user);
	void (*worker_stop)(struct prefork_worker *worker, void *user);
	unsigned traits;
	void (*error_page)(struct prefork_error_page *page, struct prefork_request *request, void *user);
	int (*resumed)(struct prefork_request *request, void *user);
	void (*client_gone)(struct prefork_request *request, void *user);
	void (*drain_begin)(struct prefork_worker *worker, void *user);
	void (*abandoned)(struct prefork_request *request, void *user);
	int (*access)(struct prefork_request *request, const struct prefork_access *access, void *user);
};

/** Add the settings of HTTP (limits, timeouts, access log) to those of the library. Call it between
 *  prefork_settings_create() and prefork_settings_parse(). Errors as
 *  prefork_settings_add_options(). Since 0.1. */
PREFORK_API int prefork_http_add_options(struct prefork_settings *settings);

/** prefork_settings_load() with the settings of HTTP. Since 0.1. */
PREFORK_API int prefork_http_load(int argc, char *const argv[], struct prefork_settings **ret);

/** Add a pool that serves HTTP. The arbiter's settings must have the rows of
 *  prefork_http_add_options(). Copies `service` and `pool`; *borrows* `user` until the arbiter is
 *  destroyed. Returns 0; -EINVAL: an argument or `handle` is NULL, struct_size is wrong, or the rows
 *  are missing; -ENOMEM; or an error of prefork_arbiter_add_service(). Since 0.1. */
PREFORK_API int prefork_http_add_service(struct prefork_arbiter *arbiter, const char *pool,
                                         const struct prefork_http_service *service, void *user);

/* The request line. `ret_size` may be NULL. */

/** "GET": a token in upper case; with the setting permit_unconventional_http_method any token. Methods are
 *  case-sensitive: "get" is not "GET". Since 0.1. */
PREFORK_API const char *prefork_request_method(const struct prefork_request *request, size_t *ret_size);

/** The request target as the client sent it: "/a%20b?c", "http://host/a", "*". Since 0.1. */
PREFORK_API const char *prefork_request_target(const struct prefork_request *request, size_t *ret_size);

/** The path of the target, not decoded: "/a%20b"; "/" if the target has none. Use `*ret_size`: if the
 *  target has a query, no NUL follows the path. Since 0.1. */
PREFORK_API const char *prefork_request_path(const struct prefork_request *request, size_t *ret_size);

/** The query: what follows the first '?' of the target; NULL: there is none. Since 0.1. */
PREFORK_API const char *prefork_request_query(const struct prefork_request *request, size_t *ret_size);

/** n of HTTP/1.n: 0, or 1 and above. Since 0.1. */
PREFORK_API unsigned prefork_request_minor_version(const struct prefork_request *request);

/* The header fields: in the order and with the names that the client sent, values without the blanks
 * around them. Names with an underscore are included only with header_map dangerous. */

/** The number of header fields. Since 0.1. */
PREFORK_API size_t prefork_request_header_count(const struct prefork_request *request);

/** Returns the value of field `index`, and its name in `*ret_name`; NULL after the last. The sizes may be
 *  NULL. Since 0.1. */
PREFORK_API const char *prefork_request_header_at(const struct prefork_request *request, size_t index,
                                                  const char **ret_name, size_t *ret_name_size,
                                                  size_t *ret_value_size);

/** The value of the first field with this name, case-insensitive; NULL: there is none. If the target is
 *  absolute, Host is the host of the target. Since 0.1. */
PREFORK_API const char *prefork_request_header(const struct prefork_request *request, const char *name,
                                               size_t *ret_size);

/* The client and the listener. */

/** "https" if the connection uses TLS, here or as its PROXY header (setting proxy_protocol) or nginx over
 *  uwsgi (setting protocol) says, else "http"; or what a proxy in forwarded_allow_ips reports (setting
 *  secure_scheme_headers). Since 0.1. */
PREFORK_API const char *prefork_request_scheme(const struct prefork_request *request);

/** As prefork_connection_peer(); with the setting protocol uwsgi, the client that the proxy reports
 *  (REMOTE_ADDR, REMOTE_PORT). Since 0.1. */
PREFORK_API const char *prefork_request_peer(struct prefork_request *request, unsigned *ret_port);

/** The number of the listener, as in prefork_worker_listener(). Since 0.1. */
PREFORK_API size_t prefork_request_listener(const struct prefork_request *request);

/** The connection and the worker. Do not read from or write to the connection. Since 0.1. */
PREFORK_API struct prefork_connection *prefork_request_connection(const struct prefork_request *request);
PREFORK_API struct prefork_worker *prefork_request_worker(const struct prefork_request *request);

/** A pointer of the application; NULL when `handle` is called. Since 0.1. */
PREFORK_API void prefork_request_set_user(struct prefork_request *request, void *user);
PREFORK_API void *prefork_request_user(const struct prefork_request *request);

/** The `user` of prefork_http_add_service(). Since 0.1. */
PREFORK_API void *prefork_request_service_user(const struct prefork_request *request);

/* The body. */

/** The length of the body in bytes; 0: no body; -1: unknown, because the body is chunked and was not
 *  collected before `handle` was called (setting stream_uploads, or beyond spool_limit). A chunked body
 *  that was collected is decoded (RFC 9112 7.1.3): its length is known, and the header fields have
 *  Content-Length instead of Transfer-Encoding. Since 0.1. */
PREFORK_API int64_t prefork_request_content_length(const struct prefork_request *request);

/** Read at most `size` bytes of the body. The body is collected before `handle` is called, up to the
 *  setting spool_limit. The rest, or all of it with the setting stream_uploads, is read from the
 *  connection: the call waits for the client, at most body_timeout from one byte to the next, and no
 *  longer than body_rate allows on average; the first call sends "100 Continue" if the client waits for
 *  it. In an event loop without threads all of the body is collected; a body beyond the limits gets 413
 *  or 507, and `handle` is not called. Returns the number of bytes; 0 at the end of the body; or
 *   -EPROTO      the framing of the body is invalid,
 *   -EFBIG       the body is larger than the setting limit_request_body,
 *   -ETIMEDOUT   body_timeout has passed, or the rate is below body_rate,
 *   -ECONNRESET  the client closed the connection before the end of the body,
 *   -EINTR       the worker quits,
 *   -ECANCELED   the application wants the task that reads for something else (<prefork/host_loop.h>); the
 *                request has no error, and the body may be read later,
 *   -EIO ...     the file of a collected body cannot be read.
 *  Except after -ECANCELED, all later calls return the same error. Unless the response has begun, the client gets 400, 408, 413 or 500
 *  from the library, whatever `handle` does afterwards. A body that is not read is discarded. Since 0.1. */
PREFORK_API ptrdiff_t prefork_request_read(struct prefork_request *request, void *bytes, size_t size);

/* The trailer: fields after a chunked body. They are available once the body was read to its end, and
 * are not merged into the header fields (RFC 9110 6.5.1), so that a client cannot change decisions
 * that are based on these. Fields about framing, routing and authorization get 400; fields about the
 * content (Content-Type) and controls (Range) are dropped. */

/** The number of trailer fields; 0 before the end of the body. Since 0.1. */
PREFORK_API size_t prefork_request_trailer_count(const struct prefork_request *request);

/** Field `index`, as prefork_request_header_at(). Since 0.1. */
PREFORK_API const char *prefork_request_trailer_at(const struct prefork_request *request, size_t index,
                                                   const char **ret_name, size_t *ret_name_size,
                                                   size_t *ret_value_size);

/** The value of the first trailer field with this name, case-insensitive; NULL: there is none. Since 0.1. */
PREFORK_API const char *prefork_request_trailer(const struct prefork_request *request, const char *name,
                                                size_t *ret_size);

/** 0, or the first error of this request: of prefork_request_read(), of the connection, or the return value
 *  of `handle`. Since 0.1. */
PREFORK_API int prefork_request_error(const struct prefork_request *request);

/* Suspended requests: the handler returns, and the response follows later, from any thread. */

/** Suspend the request: it waits, without a thread, until prefork_request_resume(). Call it in `handle`, in
 *  `resumed`, or in a `pull` callback, in the thread that runs it, and return 0 soon afterwards; what `pull`
 *  returns is sent, and 0 is not the end of the body.
 *
 *  From this call until prefork_request_resume() the request belongs to the caller, who may pass it on: one
 *  thread at a time, with or without a number, may read the request and call prefork_response_*(). Its memory
 *  stays valid, also if the connection ends. Output that the client does not take at once is sent with the
 *  next piece, or after the request is resumed.
 *
 *  A suspended request counts as a connection, so a worker has at most worker_connections of them under every
 *  strategy, and it counts in queue_limit. The setting suspend_timeout limits each suspension; the request
 *  timeout does not apply. A draining worker waits for it (callbacks drain_begin and abandoned).
 *
 *  Returns 0, or a negative errno with an error message, and then the request is not suspended:
 *   -EALREADY   it is suspended already, or its response has ended,
 *   -EINVAL     `request` is NULL, or no callback that may suspend it runs,
 *   -EMFILE, -ENFILE, -ENOMEM  the descriptors that find an absent client cannot be opened (once per worker);
 *  or the error of the request. Not detected: a call in another thread than that of the callback, and
 *  prefork_response_*() by two threads at the same time; of two that start a response, one gets -EALREADY.
 *  Since 0.1. */
PREFORK_API int prefork_request_suspend(struct prefork_request *request);

/** Resume a suspended request: `resumed` is called in the worker. Once per suspension, from any thread, also
 *  before the callback that suspended it has returned, and from client_gone, drain_begin and abandoned. The
 *  caller must not use the request afterwards. Returns 0, also after `abandoned`;
 *   -EALREADY   it was resumed already,
 *   -EINVAL     `request` is NULL or not suspended.
 *  A second call is detected only until `finished`: later the memory may be that of another request. Since
 *  0.1. */
PREFORK_API int prefork_request_resume(struct prefork_request *request);

/** Whether the client has closed the connection (setting client_gone_on_fin): for long handlers under sync and
 *  in event loops, which then end early. One system call, poll(2). For the thread that uses the request. True
 *  if `request` is NULL. Since 0.1. */
PREFORK_API bool prefork_request_is_abandoned(struct prefork_request *request);

/* The response: prefork_response_start(), then fields, then one source of the body: bytes, a file, a
 * callback, or pieces. Without a source the body is empty. HEAD, 1xx, 204 and 304 have no body: it is
 * dropped.
 *
 * All functions return 0 or a negative errno with an error message (prefork_error()):
 *   -EALREADY   called in the wrong order: the response is not started, or has begun already
 *   -EINVAL     an argument is NULL, or see the function
 *   -ENOMEM     no memory for the head
 *   -E2BIG      the head is larger than 1 MiB
 * If the request has an error, they return that error. */

/** Start a response. `reason` NULL: the registered reason phrase. A status of 100 to 199 starts an interim
 *  response: end it by prefork_response_end(), and start the next. -EINVAL: the status is not 100 to 999,
 *  is 101, or the reason has control characters. Since 0.1. */
PREFORK_API int prefork_response_start(struct prefork_request *request, int status, const char *reason);

/** Add a header field. -EINVAL: the name is not a token, the value has control characters, or
 *  Content-Length is not a number or is repeated; -EPERM: a hop-by-hop field (Connection,
 *  Transfer-Encoding ...), which only the library sends. The library adds Date and Server, unless they
 *  are added here. Since 0.1. */
PREFORK_API int prefork_response_header(struct prefork_request *request, const char *name, size_t name_size,
                                        const char *value, size_t value_size);

/** The same with texts that end with a NUL. Since 0.1. */
PREFORK_API int prefork_response_field(struct prefork_request *request, const char *name, const char *value);

/** Close the connection after this response. Call it before the body. Since 0.1. */
PREFORK_API int prefork_response_close(struct prefork_request *request);

/** Send the whole body, together with the head. Adds Content-Length, unless it was added. `bytes` may be
 *  reused after the call. -EINVAL: `size` contradicts Content-Length. Since 0.1. */
PREFORK_API int prefork_response_bytes(struct prefork_request *request, const void *bytes, size_t size);

/** The same, for a handler that returns immediately afterwards. If the client has requested
 *  "Connection: close", the kernel sends response and FIN in one packet, which saves a third of the
 *  work. If the handler does not return, the response is delayed by up to 200 ms. Since 0.1. */
PREFORK_API int prefork_response_last(struct prefork_request *request, const void *bytes, size_t size);

/** The body is `size` bytes from `offset` of the file `fd`, sent by sendfile(2) after `handle` has
 *  returned. *Borrows* `fd` until `finished` returns. If the file is shorter, the connection is closed
 *  early. Errors, all before anything is sent: -EINVAL: a negative number, `size` contradicts
 *  Content-Length, or `fd` is a pipe or a socket; -EBADF: `fd` is not open for reading; -EISDIR: `fd` is
 *  a directory. Since 0.1. */
PREFORK_API int prefork_response_file(struct prefork_request *request, int fd, int64_t offset, int64_t size);

/** The body is what `pull` returns. It is called after `handle`, whenever the client can take more: it
 *  points `*ret_bytes` at the next piece, which must stay valid until the next call or `finished`, and
 *  returns its size; 0 at the end; or a negative errno, as `handle`. The head is sent with the first
 *  piece. Without Content-Length the body is chunked. A body that is longer than Content-Length is
 *  cut there, and an error logged. Since 0.1. */
PREFORK_API int prefork_response_pull(struct prefork_request *request,
                                      ptrdiff_t (*pull)(struct prefork_request *request,
                                                        const void **ret_bytes, void *user),
                                      void *user);

/** Send the next piece of the body, as a chunk unless there is a Content-Length, without delay. What the
 *  client does not take is kept: in memory (setting response_memory), then in a file (spool_limit).
 *  Beyond these limits a thread that may block waits until the client has taken some, at most
 *  write_timeout from one byte to the next. In an event loop without threads no thread can wait, and
 *  nothing is sent while the handler runs: the piece is refused with -ENOBUFS, and the response aborted;
 *  use prefork_response_pull() for responses without a limit. Each piece restarts the worker timeout.
 *  `size` 0 sends the head, if it is not sent yet.
 *   -EINVAL      more than Content-Length (it is sent up to there),
 *   -EALREADY    the response has ended, by prefork_response_end() or because `handle` has returned,
 *   -ETIMEDOUT   write_timeout has passed, or the rate is below response_rate,
 *   -ENOBUFS     see above,
 *   -ECANCELED   the application wants the task that writes for something else (<prefork/host_loop.h>):
 *                nothing of the piece is sent, and it may be written again,
 *   -ECONNRESET  and other errors of the connection: the client has closed it. If the body is dropped
 *                (HEAD, 204, 304), pieces after the first detect this, too.
 *  Since 0.1. */
PREFORK_API int prefork_response_write(struct prefork_request *request, const void *bytes, size_t size);

/** End a body of pieces, or a response without a body. It is implied when `handle` returns 0. Waits for
 *  threads in prefork_response_write(); later pieces get -EALREADY. -EINVAL: less than Content-Length;
 *  the connection is closed early. -ECANCELED: as prefork_response_write(); the end follows when `handle`
 *  returns. Since 0.1. */
PREFORK_API int prefork_response_end(struct prefork_request *request);

/* Error responses of the library: for use in the callback `error_page` only. */

/** The status: 400 to 507. -EINVAL: `page` is NULL. Since 0.1. */
PREFORK_API int prefork_error_page_status(const struct prefork_error_page *page);

/** The reason as a short English text, which may be shown to the client: "a header field is too long".
 *  NULL: none, as for a failed `handle`. Since 0.1. */
PREFORK_API const char *prefork_error_page_detail(const struct prefork_error_page *page);

/** Replace the body and its Content-Type. Both are copied. The body is not sent in response to HEAD.
 *  -EINVAL: NULL, or the type is empty or has control characters; -E2BIG: more than 1 MiB; -ENOMEM. After
 *  an error the page is unchanged. Since 0.1. */
PREFORK_API int prefork_error_page_body(struct prefork_error_page *page, const char *type, const void *bytes,
                                        size_t size);

/** Add a header field. Copied. -EINVAL: NULL, the name is not a token, or the value has control characters;
 *  -EPERM: only the library sends it (Date, Content-Length, Content-Type, hop-by-hop fields); -E2BIG: more
 *  than 64 KiB of fields; -ENOMEM. Since 0.1. */
PREFORK_API int prefork_error_page_field(struct prefork_error_page *page, const char *name, const char *value);

/* A response for the access log: for use in the callback `access` only. The status, the number of bytes of the body
 * that were sent or are pending, the time since the header was complete (0: it never was), and the
 * line in the format of the setting access_log_format, without its end: at most `size` bytes, whose number is returned.
 * 0 if an argument is NULL. Since 0.1. */
PREFORK_API int prefork_access_status(const struct prefork_access *access);
PREFORK_API uint64_t prefork_access_sent(const struct prefork_access *access);
PREFORK_API uint64_t prefork_access_took_us(const struct prefork_access *access);
PREFORK_API size_t prefork_access_line(const struct prefork_access *access, char *bytes, size_t size);

/** The status of the last prefork_response_start(); 0: none. Since 0.1. */
PREFORK_API int prefork_response_status(const struct prefork_request *request);

/** How many bytes of the body of the response were given to be sent, or were sent from a file. Since 0.1. */
PREFORK_API int64_t prefork_response_sent(const struct prefork_request *request);

/** Whether the head of the final response is sent or pending, so that no other response is possible. Before
 *  that use prefork_response_reset(). Since 0.1. */
PREFORK_API bool prefork_response_begun(const struct prefork_request *request);

/** Discard a response that is started but not begun. -EALREADY: it has begun. Since 0.1. */
PREFORK_API int prefork_response_reset(struct prefork_request *request);

#ifdef __cplusplus
}
#endif

#endif

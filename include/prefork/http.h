/*
 * prefork/http.h -- an HTTP/1.1 server on top of any worker strategy.
 *
 * A host gives a table of callbacks; `handle` is called once per request, in a
 * worker, with a handle to read the request by and to answer it with. The
 * same table runs under every strategy. Requests are held to RFC 9112 before
 * anything of the host's sees them; what is wrong is answered by the library.
 *
 * Ownership: a request belongs to the library, from the call of `handle` until
 * `finished` has returned. Texts that it hands out live as long. Unless said
 * otherwise texts end with a NUL that is not counted in their size.
 *
 * Threads: a request may be used by one thread at a time: the one that is in a
 * callback for it. Threads of the host's own may help it until `finished` is called, which
 * has to wait for them: several at a time may be in prefork_response_write() and
 * prefork_response_end(), and beside them in prefork_request_read(), once the
 * response was started; each of these calls is carried out as a whole. Under the threads strategy, and under libev with the setting
 * threads, two requests may be handled at the same time, and one request's callbacks
 * by a different thread each time. Under libev without threads nothing may block.
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

struct prefork_arbiter;
struct prefork_connection;
struct prefork_error_page;
struct prefork_request;
struct prefork_settings;
struct prefork_worker;

enum prefork_http_traits {
	PREFORK_HTTP_CONNECT = 1u << 0, /* `handle` wants CONNECT, too; without it the library answers 501 */
};

/**
 * The callbacks, filled in by the host with designated initialisers. Only
 * `handle` must be there. The table is copied, `user` borrowed until the arbiter
 * is destroyed; after fork each worker has its own copy.
 *
 * worker_start  once per worker before the first request; a negative answer is
 *               a boot failure (PREFORK_EAPP: of the application)
 * handle        a request has come. Answer it by prefork_response_*(). Returns
 *               0, and the response ends where the body source ends; or a
 *               negative errno: the client gets a 500 if the response was not
 *               begun, and a connection that breaks off if it was, so that a
 *               part is never taken for the whole. The log says which request
 *               it was, with the error message of prefork_fail(), unless the
 *               answer is PREFORK_EAPP: the application has told by itself
 * finished      the last call for this request, once per `handle`: its
 *               response has been handed to the kernel, or the client is gone
 *               (prefork_request_error() tells which)
 * worker_stop   once, after the last request, unless the worker died
 * traits        of enum prefork_http_traits
 * error_page    the library answers by itself: it refuses a request, or `handle` has failed (500). With
 *               prefork_error_page_body() and prefork_error_page_field() the host may say something else than
 *               the library's page of HTML. `request` is NULL where its header is not complete, or not
 *               right; what it was asked by then can be read, but nothing can be answered by it. Called in any thread,
 *               also in an event loop: it must not block. Comes after `finished`, if `handle` was called. Since 0.1.
 */
struct prefork_http_service {
	size_t struct_size; /* sizeof(struct prefork_http_service) */
	int (*worker_start)(struct prefork_worker *worker, void *user);
	int (*handle)(struct prefork_request *request, void *user);
	void (*finished)(struct prefork_request *request, void *user);
	void (*worker_stop)(struct prefork_worker *worker, void *user);
	unsigned traits;
	void (*error_page)(struct prefork_error_page *page, struct prefork_request *request, void *user);
};

/** Add the settings of HTTP (limits, timeouts, access log), to be read with the
 *  library's own: between prefork_settings_create() and
 *  prefork_settings_parse(). Errors as prefork_settings_add_options(). Since 0.1. */
PREFORK_API int prefork_http_add_options(struct prefork_settings *settings);

/** Read the command line as prefork_settings_load() does, with the settings of
 *  HTTP: the short way for a program that is a web server. Since 0.1. */
PREFORK_API int prefork_http_load(int argc, char *const argv[], struct prefork_settings **ret);

/** Add a pool that serves HTTP to an arbiter whose settings have the rows of
 *  prefork_http_add_options(). Borrows `user` until destroy; copies `service` and
 *  `pool`. Returns 0, -EINVAL (no `handle`, no rows, a table whose size cannot be), or what
 *  prefork_arbiter_add_service() fails with. Since 0.1. */
PREFORK_API int prefork_http_add_service(struct prefork_arbiter *arbiter, const char *pool,
                                         const struct prefork_http_service *service, void *user);

/* The request line. `ret_size` may be NULL. */

/** "GET": a token in upper case; with the setting permit_unconventional_http_method any token. Methods are
 *  case-sensitive: "get" is another one than "GET". Since 0.1. */
PREFORK_API const char *prefork_request_method(const struct prefork_request *request, size_t *ret_size);

/** What the client asked for, as it wrote it: "/a%20b?c", "http://host/a", "*".
 *  Since 0.1. */
PREFORK_API const char *prefork_request_target(const struct prefork_request *request, size_t *ret_size);

/** The path of the target, not decoded: "/a%20b"; "/" where the target has none.
 *  Only its first `*ret_size` bytes: no NUL follows where there is a query. Since 0.1. */
PREFORK_API const char *prefork_request_path(const struct prefork_request *request, size_t *ret_size);

/** What follows the first '?' of the target, NULL without one. Since 0.1. */
PREFORK_API const char *prefork_request_query(const struct prefork_request *request, size_t *ret_size);

/** n of HTTP/1.n: 0, or 1 and above. Since 0.1. */
PREFORK_API unsigned prefork_request_minor_version(const struct prefork_request *request);

/* The header fields: in the order in which they came, names as they were
 * written, values without the blanks around them. Names with an underscore are
 * there only if the setting header_map says so. */

/** How many there are. Since 0.1. */
PREFORK_API size_t prefork_request_header_count(const struct prefork_request *request);

/** Field `index`: its value, and its name in `*ret_name`; NULL behind the last.
 *  The sizes may be NULL. Since 0.1. */
PREFORK_API const char *prefork_request_header_at(const struct prefork_request *request, size_t index,
                                                  const char **ret_name, size_t *ret_name_size,
                                                  size_t *ret_value_size);

/** The value of the first field of this name, in any case; NULL when there is
 *  none. Host of an absolute target is the one of the target. Since 0.1. */
PREFORK_API const char *prefork_request_header(const struct prefork_request *request, const char *name,
                                               size_t *ret_size);

/* Where it came from. */

/** "http"; or "https" when a proxy among forwarded_allow_ips says so (setting
 *  secure_scheme_headers). Since 0.1. */
PREFORK_API const char *prefork_request_scheme(const struct prefork_request *request);

/** As prefork_connection_peer(). Since 0.1. */
PREFORK_API const char *prefork_request_peer(struct prefork_request *request, unsigned *ret_port);

/** The number of the listener, as in prefork_worker_listener(). Since 0.1. */
PREFORK_API size_t prefork_request_listener(const struct prefork_request *request);

/** The connection and the worker. What the connection's own functions say about
 *  its bytes is HTTP's business: do not read or write it. Since 0.1. */
PREFORK_API struct prefork_connection *prefork_request_connection(const struct prefork_request *request);
PREFORK_API struct prefork_worker *prefork_request_worker(const struct prefork_request *request);

/** The host's own pointer, NULL when `handle` is called. Since 0.1. */
PREFORK_API void prefork_request_set_user(struct prefork_request *request, void *user);
PREFORK_API void *prefork_request_user(const struct prefork_request *request);

/** What the host was added with. Since 0.1. */
PREFORK_API void *prefork_request_service_user(const struct prefork_request *request);

/* The body. */

/** The length of the body in bytes: 0 without one. -1 when only its end will tell: it is chunked, and
 *  was not collected whole before `handle` was called (setting stream_uploads, or beyond spool_limit). A
 *  chunked body that was collected is decoded as RFC 9112 7.1.3 says: its length is known, and its header
 *  fields have Content-Length in the place of Transfer-Encoding. Since 0.1. */
PREFORK_API int64_t prefork_request_content_length(const struct prefork_request *request);

/** Read at most `size` bytes of the body. It was collected before `handle` was called, as far as
 *  the setting spool_limit allows. What is beyond that, or all of it with the setting stream_uploads,
 *  is read while it comes: then this waits for the client, at most the setting body_timeout from one byte to
 *  the next, and on average as long as the setting body_rate allows, and the first call sends "100
 *  Continue" to a client that waits for it. In an event loop without threads all is collected, and what has no room is answered with 413
 *  or 507 before `handle` is called. Returns how many bytes were
 *  read; 0 at the end of a body that came whole; or
 *   -EPROTO      it is not framed as it should be,
 *   -EFBIG       it is larger than the setting limit_request_body,
 *   -ETIMEDOUT   nothing, or too little, came for too long,
 *   -ECONNRESET  the client is gone, or ended before the end of the body,
 *   -EINTR       the worker must end at once.
 *  It then stays at this error. Unless the response was begun already, the
 *  client gets 400, 413 or 408 from the library, whatever `handle`
 *  does afterwards. What is not read is skipped. Since 0.1. */
PREFORK_API ptrdiff_t prefork_request_read(struct prefork_request *request, void *bytes, size_t size);

/* The trailer: fields that come behind a chunked body. They are there once the body was read to
 * its end, and are not among the header fields: a client must not change with them
 * what was decided already. Those about framing, routing and authorization are refused (400), those about the
 * content (Content-Type) and controls (Range) dropped: RFC 9110 6.5.1. */

/** How many there are; 0 before the end of the body. Since 0.1. */
PREFORK_API size_t prefork_request_trailer_count(const struct prefork_request *request);

/** Field `index`, as prefork_request_header_at(). Since 0.1. */
PREFORK_API const char *prefork_request_trailer_at(const struct prefork_request *request, size_t index,
                                                   const char **ret_name, size_t *ret_name_size,
                                                   size_t *ret_value_size);

/** The value of the first one of this name, in any case; NULL when there is none. Since 0.1. */
PREFORK_API const char *prefork_request_trailer(const struct prefork_request *request, const char *name,
                                                size_t *ret_size);

/** 0 as long as all went well; then the negative errno of what went wrong with
 *  this request: one of prefork_request_read(), what `handle` returned, or that
 *  of the connection. Since 0.1. */
PREFORK_API int prefork_request_error(const struct prefork_request *request);

/* The response: prefork_response_start(), then fields, then one source of its
 * body: bytes, a file, a callback, or pieces. A response that is not given a body
 * has none. HEAD, 1xx, 204 and 304 have no body on the wire: it is dropped.
 *
 * All return 0 or a negative errno with an error message (prefork_error()):
 *   -EALREADY   the response was begun (or its body was): too late for this
 *   -EINVAL     what is said at the function
 *   -ENOMEM     the head does not fit in memory, -E2BIG: nor in 1 MiB
 * and, once the request has an error, that error. */

/** Begin with a status line. `reason` may be NULL: the registered one. A status
 *  of 100 to 199 begins an interim response, which prefork_response_end()
 *  ends; another start may follow. -EINVAL: the status is not 100 to 999, is
 *  101, or the reason has control characters. Since 0.1. */
PREFORK_API int prefork_response_start(struct prefork_request *request, int status, const char *reason);

/** Add a field. -EINVAL: the name is no token, the value has control characters,
 *  a Content-Length is no number or comes twice; -EPERM: the field is about the
 *  connection (Connection, Transfer-Encoding ...), which is the library's. Date
 *  and Server are added by the library unless they are here. Since 0.1. */
PREFORK_API int prefork_response_header(struct prefork_request *request, const char *name, size_t name_size,
                                        const char *value, size_t value_size);

/** The same with texts that end with NUL. Since 0.1. */
PREFORK_API int prefork_response_field(struct prefork_request *request, const char *name, const char *value);

/** Close the connection after this response. Before the body. Since 0.1. */
PREFORK_API int prefork_response_close(struct prefork_request *request);

/** The whole body. Head and body leave together; Content-Length is set unless it
 *  is there. `bytes` is read before the call returns. -EINVAL: Content-Length
 *  says otherwise. Since 0.1. */
PREFORK_API int prefork_response_bytes(struct prefork_request *request, const void *bytes, size_t size);

/** The same for a handler that returns right afterwards. Where the client has asked for the
 *  connection to be closed, response and end leave as one packet, which is a third
 *  less work. Whoever had something else to do first would delay the response, by
 *  200 ms at most. Since 0.1. */
PREFORK_API int prefork_response_last(struct prefork_request *request, const void *bytes, size_t size);

/** The whole body is `size` bytes from `offset` of the file `fd`, which the kernel
 *  sends by itself where it can. Borrows `fd` until `finished` returns. A file that
 *  turns out shorter breaks the connection off. -EINVAL: a negative number, Content-Length
 *  says otherwise, or `fd` is a pipe or a socket; -EBADF: it is not open for reading;
 *  -EISDIR: it is a directory. Nothing has left then. Since 0.1. */
PREFORK_API int prefork_response_file(struct prefork_request *request, int fd, int64_t offset, int64_t size);

/** The body is what `pull` returns, called after `handle` whenever the client can
 *  take more: it points `*ret_bytes` at the next piece, which must stay until
 *  the next pull or `finished`, and returns its size; 0 at the end; or a negative
 *  errno, as `handle` does: the head leaves with the first piece. Without a Content-Length it
 *  is sent in chunks; of more than that says, what fits is sent, and the log tells. Since 0.1. */
PREFORK_API int prefork_response_pull(struct prefork_request *request,
                                      ptrdiff_t (*pull)(struct prefork_request *request,
                                                        const void **ret_bytes, void *user),
                                      void *user);

/** The next piece of the body, in chunks unless there is a Content-Length. It
 *  leaves at once. What the client cannot take is kept for it, in memory (setting response_memory)
 *  and then in a file (spool_limit). Beyond that a thread that may block waits here until the client
 *  has taken some, at most the setting write_timeout from one byte to the
 *  next (-ETIMEDOUT). In an event loop without threads nobody may wait, and nothing leaves
 *  while the handler runs: there the next piece is refused with -ENOBUFS, which breaks the response
 *  off, and responses without a bound are for prefork_response_pull(). A thread
 *  that gives out its pieces is not stuck: each begins the request timeout anew.
 *  `size` 0 sends the head, if it was not. Where the body is dropped (HEAD, 204, 304), pieces after the first
 *  are refused with -ECONNRESET once the client is gone. -EINVAL: more than Content-Length
 *  says (what fits is sent); -EALREADY: the response has ended, by prefork_response_end()
 *  or because `handle` has returned; -ECONNRESET and the like: the client is gone. Since 0.1. */
PREFORK_API int prefork_response_write(struct prefork_request *request, const void *bytes, size_t size);

/** The end of a body of pieces, or of a response without a body; `handle`
 *  returning 0 says the same. It waits for the threads that are in prefork_response_write(), and no
 *  piece follows it. -EINVAL: less than Content-Length says, and the
 *  connection will break off. Since 0.1. */
PREFORK_API int prefork_response_end(struct prefork_request *request);

/* The library's own answers, in the callback `error_page` and nowhere else. */

/** The status: 400 to 505. -EINVAL without a page. Since 0.1. */
PREFORK_API int prefork_error_page_status(const struct prefork_error_page *page);

/** Why, as a short text in English that is no secret: "a header field is too long". NULL where there is none to
 *  tell, as for a `handle` that has failed. Since 0.1. */
PREFORK_API const char *prefork_error_page_detail(const struct prefork_error_page *page);

/** The body and its Content-Type, instead of what was there. Both are copied. Not sent in answer to HEAD.
 *  -EINVAL: NULL, or a type with control characters; -E2BIG: more than 1 MiB; -ENOMEM. After an error the
 *  page is what it was before. Since 0.1. */
PREFORK_API int prefork_error_page_body(struct prefork_error_page *page, const char *type, const void *bytes,
                                        size_t size);

/** One more field. Copied. -EINVAL: NULL, the name is no token, the value has control characters; -EPERM: it is the
 *  library's (Date, Content-Length, Content-Type, and those about the connection); -E2BIG: more than 64 KiB of
 *  them; -ENOMEM. Since 0.1. */
PREFORK_API int prefork_error_page_field(struct prefork_error_page *page, const char *name, const char *value);

/** The status that was begun last, 0 before. Since 0.1. */
PREFORK_API int prefork_response_status(const struct prefork_request *request);

/** Whether the head of the final response has left, so that it is too late for
 *  another one. Before that prefork_response_reset() is possible. Since 0.1. */
PREFORK_API bool prefork_response_begun(const struct prefork_request *request);

/** Forget a response that was started but of which nothing has left.
 *  -EALREADY: something has. Since 0.1. */
PREFORK_API int prefork_response_reset(struct prefork_request *request);

#ifdef __cplusplus
}
#endif

#endif

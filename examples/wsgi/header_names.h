/*
 * header_names -- cache of the str objects that every request needs.
 *
 * Keys of the environ, and for each header name received its key ("accept" ->
 * "HTTP_ACCEPT") and its last value. Protected by the GIL; lives as long as the
 * process.
 */
#ifndef WSGI_HEADER_NAMES_H
#define WSGI_HEADER_NAMES_H

#include "python.h"

#include <stdbool.h>
#include <stddef.h>

#define WSGI_KEYS(X)                                                                               \
	X(request_method, "REQUEST_METHOD")                                                        \
	X(script_name, "SCRIPT_NAME")                                                              \
	X(path_info, "PATH_INFO")                                                                  \
	X(query_string, "QUERY_STRING")                                                            \
	X(raw_uri, "RAW_URI")                                                                      \
	X(server_protocol, "SERVER_PROTOCOL")                                                      \
	X(server_software, "SERVER_SOFTWARE")                                                      \
	X(server_name, "SERVER_NAME")                                                              \
	X(server_port, "SERVER_PORT")                                                              \
	X(remote_addr, "REMOTE_ADDR")                                                              \
	X(remote_port, "REMOTE_PORT")                                                              \
	X(proxy_protocol, "PROXY_PROTOCOL")                                                        \
	X(proxy_addr, "PROXY_ADDR")                                                                \
	X(proxy_port, "PROXY_PORT")                                                                \
	X(content_type, "CONTENT_TYPE")                                                            \
	X(content_length, "CONTENT_LENGTH")                                                        \
	X(http_host, "HTTP_HOST")                                                                  \
	X(http_cookie, "HTTP_COOKIE")                                                              \
	X(http_script_name, "HTTP_SCRIPT_NAME")                                                    \
	X(version, "wsgi.version")                                                                 \
	X(url_scheme, "wsgi.url_scheme")                                                           \
	X(input, "wsgi.input")                                                                     \
	X(input_terminated, "wsgi.input_terminated")                                               \
	X(errors, "wsgi.errors")                                                                   \
	X(multithread, "wsgi.multithread")                                                         \
	X(multiprocess, "wsgi.multiprocess")                                                       \
	X(run_once, "wsgi.run_once")                                                               \
	X(file_wrapper, "wsgi.file_wrapper")                                                       \
	X(early_hints, "wsgi.early_hints")                                                         \
	X(close, "close")                                                                          \
	X(fileno, "fileno")                                                                        \
	X(read, "read")                                                                            \
	X(tell, "tell")                                                                            \
	X(raw, "raw")                                                                              \
	X(empty, "")

struct wsgi_keys {
#define X(member, text) PyObject *member;
	WSGI_KEYS(X)
#undef X
};

extern struct wsgi_keys wsgi_keys;

/** Create the keys and insert the common names. Returns 0, or -1 with an exception set. */
int wsgi_header_names_create(void);

/** Returns `size` bytes, decoded as latin-1 (PEP 3333), as a *new* reference. `*last` is
 *  the result of the previous call (NULL at first): returned again if it is equal, else
 *  replaced. NULL with an exception set: no memory. */
PyObject *wsgi_text(PyObject **last, const char *bytes, size_t size);

/* A header name as received; case-sensitive. */
struct wsgi_header_name {
	PyObject *key;  /* in the environ                             */
	PyObject *last; /* for wsgi_text()                           */
};

/** Returns the entry of that name. If it is not cached and the table has no space (the number
 *  of names is bounded, since clients choose them), the result is `spare`, whose references
 *  the caller releases after use. NULL with an exception set: no memory. Names with an
 *  underscore, which may be confused with names with a hyphen, arrive only if header_map
 *  permits them. */
struct wsgi_header_name *wsgi_header_name_find(const char *name, size_t size, struct wsgi_header_name *spare);

#endif

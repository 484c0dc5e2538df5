/*
 * names -- the texts that come again in every request, made once.
 *
 * Keys of the environ, methods, versions, and for each header name seen on the
 * wire its key ("accept" -> "HTTP_ACCEPT") and its last value. All of it is
 * guarded by the GIL and lives as long as the process.
 */
#ifndef WSGI_NAMES_H
#define WSGI_NAMES_H

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
	X(content_type, "CONTENT_TYPE")                                                            \
	X(content_length, "CONTENT_LENGTH")                                                        \
	X(http_host, "HTTP_HOST")                                                                  \
	X(http_cookie, "HTTP_COOKIE")                                                              \
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

/** Make them all. 0, or -1 with an exception set. */
int wsgi_names_create(void);

/** `size` bytes as a *new* str of latin-1, as PEP 3333 wants it. `*last` is the
 *  text made here the last time (NULL at first): given out again if it is the
 *  same, else replaced. NULL with an exception set when memory ran out. */
PyObject *wsgi_text(PyObject **last, const char *bytes, size_t size);

/* A header name as it came over the wire, upper and lower case told apart. */
struct wsgi_field {
	PyObject *key;  /* in the environ                             */
	PyObject *last; /* for wsgi_text()                           */
};

/** The field of that name: remembered if there is room, which is bounded since
 *  names come from clients, else in `*spare`, whose key the caller releases
 *  after use. NULL with an exception set when memory ran out. Names with an
 *  underscore, which could pass for others with a hyphen, come here only if header_map lets them. */
struct wsgi_field *wsgi_field_find(const char *name, size_t size, struct wsgi_field *spare);

#endif

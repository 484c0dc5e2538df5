/*
 * fake_http -- <prefork/http.h> in memory, to test the bridge without sockets. With FAKE_MAY_BLOCK in the
 * environment, its callbacks may block.
 */
#ifndef TESTS_FAKE_HTTP_H
#define TESTS_FAKE_HTTP_H

#include <prefork/http.h>

#include <stddef.h>
#include <stdint.h>

enum { FIELDS_MAX = 16, HEAD_MAX = 4096 };

struct prefork_request {
	const char *method, *target, *query;
	size_t path_size;
	const char *names[FIELDS_MAX], *values[FIELDS_MAX];
	size_t fields;
	const char *peer;   /* NULL: 192.0.2.7, port 50123 */
	const char *scheme; /* NULL: http */
	const char *destination; /* in a PROXY header, port 8443; NULL: there is no header */
	const char *body;
	size_t body_size, body_at;
	int body_error; /* instead of the end of the body */
	int reader, entry; /* if not 0: a read writes to `reader` and waits for a byte on `entry` */
	int error;
	void *user;

	int status;
	char head[HEAD_MAX]; /* the response headers, one per line */
	char interim[HEAD_MAX]; /* the headers of 1xx responses */
	int64_t length;
	bool begun, whole, ended;
	char *sent;
	size_t sent_size;
	size_t sent_max; /* the client closes after so many bytes; 0: never */
	ptrdiff_t (*pull)(struct prefork_request *request, const void **ret_bytes, void *user);
	void *pull_user;
};

/** Pull the body to its end, as the library does. */
void fake_drive(struct prefork_request *request);

#endif

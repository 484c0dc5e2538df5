/*
 * file -- wsgi.file_wrapper: an iterable over a file, sent by sendfile(2) if it is a
 * regular file.
 */
#ifndef WSGI_FILE_H
#define WSGI_FILE_H

#include "python.h"

#include <stdbool.h>
#include <stdint.h>

/** Returns 0, or -1 with an exception set. Call it once. */
int wsgi_file_prepare(void);

/** The type, value of environ["wsgi.file_wrapper"]. Borrowed. */
PyObject *wsgi_file_type(void);

/** Does `object` wrap a regular file whose descriptor yields the bytes that its read() would
 *  return? If so, sets the descriptor, the current offset and the remaining size. Sets no
 *  exception. */
bool wsgi_file_sendable(PyObject *object, int *ret_fd, int64_t *ret_offset, int64_t *ret_size);

#endif

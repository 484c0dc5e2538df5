/*
 * file -- wsgi.file_wrapper: an iterable over a file, which the kernel can send
 * by itself when it is a real one.
 */
#ifndef WSGI_FILE_H
#define WSGI_FILE_H

#include "python.h"

#include <stdbool.h>
#include <stdint.h>

/** 0, or -1 with an exception set. Once. */
int wsgi_file_prepare(void);

/** The type: what is in environ["wsgi.file_wrapper"]. Borrowed. */
PyObject *wsgi_file_type(void);

/** Whether `object` wraps a regular file whose descriptor says what its read()
 *  would: where it stands and how much is left are told. No exception is set. */
bool wsgi_file_sendable(PyObject *object, int *ret_fd, int64_t *ret_offset, int64_t *ret_size);

#endif

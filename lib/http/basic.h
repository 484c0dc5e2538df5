/*
 * basic -- the user name in "Authorization: Basic" (RFC 7617), for the access log. The password is
 * not checked. Pure.
 */
#ifndef HTTP_BASIC_H
#define HTTP_BASIC_H

#include <stddef.h>

/** Writes the user name of the field value to `user`, at most `size` bytes. Returns its length; 0
 *  if there is none: another scheme, or invalid base64. */
size_t pfi_basic_user(const char *value, size_t length, char *user, size_t size);

#endif

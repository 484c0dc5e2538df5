/*
 * basic -- whom a client says it is: the user of "Authorization: Basic"
 * (RFC 7617). For the log: nobody has checked the password.
 */
#ifndef HTTP_BASIC_H
#define HTTP_BASIC_H

#include <stddef.h>

/** Writes the user of the field's value at `user`, at most `size` bytes of it, and
 *  returns how many; 0 when there is none: another scheme, or no base64. */
size_t pfi_basic_user(const char *value, size_t length, char *user, size_t size);

#endif

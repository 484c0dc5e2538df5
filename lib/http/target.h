/*
 * target -- the four forms of a request target, and the syntax of a host.
 */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "http/head.h"

/** Take head->target apart. False when it has none of the forms that its
 *  method allows. */
bool pfi_target_split(struct pfi_head *head, const char *bytes);

/** RFC 9110 7.2: uri-host [ ":" port ], which may be empty. */
bool pfi_host_valid(const char *text, size_t length);

#endif

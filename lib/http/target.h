/*
 * target -- the four forms of a request target (RFC 9112 3.2), and the syntax of a host. Pure.
 */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "http/head.h"

/** Split head->target into authority, path and query. False: its form is not allowed for the method. */
bool pfi_target_split(struct pfi_head *head, const char *bytes);

/** Whether `text` is uri-host [ ":" port ] (RFC 9110 7.2), which may be empty. */
bool pfi_host_valid(const char *text, size_t length);

#endif

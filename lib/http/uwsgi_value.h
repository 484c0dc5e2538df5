/*
 * uwsgi_value -- the variables of a uwsgi packet that this server has a rule for. Pure.
 */
#ifndef HTTP_UWSGI_VALUE_H
#define HTTP_UWSGI_VALUE_H

#include "http/uwsgi_packet.h"

/* The id of the variable `name`; PFI_UWSGI_OTHER: there is no rule for it. */
enum pfi_uwsgi_id pfi_uwsgi_find(const char *name, size_t length);

/* Check the value of a variable. False: it is refused, and `ret_http_error` has status and reason. */
bool pfi_uwsgi_value_check(enum pfi_uwsgi_id id, const char *text, size_t length,
                           const struct pfi_limits *limits, struct pfi_http_error *ret_http_error);

#endif

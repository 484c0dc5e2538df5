/*
 * options -- the settings of HTTP, and the service as tests reach it.
 */
#ifndef HTTP_HTTP_OPTIONS_H
#define HTTP_HTTP_OPTIONS_H

#include "http/request.h"

struct prefork_service;
struct prefork_settings;

/** Read the settings into what is zero, or was read before. -EINVAL when they have no rows of HTTP's,
 *  or wrong ones. */
int pfi_http_configure(struct pfi_http_config *config, const struct prefork_settings *settings);

/** The table of callbacks, whose user pointer is a struct pfi_http. */
const struct prefork_service *pfi_http_table(void);

/** A *new* object with a copy of the table, for the life of the arbiter. NULL when memory ran out. */
struct pfi_http *pfi_http_create(const struct prefork_http_service *service, void *user);
void pfi_http_destroy(struct pfi_http *http);

#endif

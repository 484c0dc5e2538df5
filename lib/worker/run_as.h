/*
 * run_as -- the settings user, group and initgroups: what workers run as.
 */
#ifndef WORKER_RUN_AS_H
#define WORKER_RUN_AS_H

#include "os/credentials.h"

struct prefork_settings;

/* Looks names up, which may block: in the arbiter, at the start. *ret is to be finished by pfi_credentials_finish(). 0,
 * or PREFORK_ECONFIG or -ENOMEM with an error message. */
int pfi_run_as_read(const struct prefork_settings *settings, struct pfi_credentials *ret);

#endif

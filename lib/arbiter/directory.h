/*
 * arbiter/directory.h -- the working directory in which workers start.
 */
#ifndef ARBITER_DIRECTORY_H
#define ARBITER_DIRECTORY_H

#include <sys/stat.h>

struct pfi_generation;
struct prefork_arbiter;

/* Written by directory.c. */
struct pfi_directory {
	char *name; /* of the working directory at the start, through PWD; NULL: not known */
	struct stat status;
};

/* At the start. */
void pfi_directory_record(struct prefork_arbiter *arbiter);

/* At a reload: resolve the name again, and have the generation's workers start there. */
void pfi_directory_resolve(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* Before a fork: if the generation's directory was removed, resolve the name again. */
void pfi_directory_check(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

void pfi_directory_free(struct prefork_arbiter *arbiter);

#endif

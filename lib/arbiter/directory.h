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

/* Record name and identity of the working directory. Called at the start. 0; -ENOMEM with an error message. It is not an
 * error if the directory has no name. */
int pfi_directory_record(struct prefork_arbiter *arbiter);

/* Resolve the name again, so that the workers of `generation` start in the directory that has it now. Called on reload. */
void pfi_directory_resolve(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* If the directory of the generation was removed, resolve the name again. Called before each fork. */
void pfi_directory_check(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

void pfi_directory_free(struct prefork_arbiter *arbiter);

#endif

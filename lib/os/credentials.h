/*
 * credentials -- the user and the groups that a process of the library runs as.
 */
#ifndef OS_CREDENTIALS_H
#define OS_CREDENTIALS_H

#include <stdbool.h>
#include <sys/types.h>

struct pfi_credentials {
	bool is_set; /* false: the process keeps what it has */
	uid_t uid;   /* -1: unchanged                        */
	gid_t gid;
	gid_t *groups; /* the supplementary groups, own */
	int group_count;
};

void pfi_credentials_finish(struct pfi_credentials *credentials);

/* Runs in the child, before anything of the application is loaded: groups, then group, then user, for good. The kernel
 * clears PR_SET_PDEATHSIG and the dumpable flag with that; the flag is set again, since /proc/self and a stack dump
 * depend on it. 0, or a negative errno with an error message. */
int pfi_credentials_take(const struct pfi_credentials *credentials);

#endif

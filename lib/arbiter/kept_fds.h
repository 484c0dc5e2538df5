/*
 * arbiter/kept_fds.h -- descriptors that the application has the arbiter keep for the next binary upgrade, by name.
 *
 * The new arbiter gets them under their numbers, which PREFORK_UPGRADE_KEPT lists; what they hold, such as keys in a
 * memfd, is never in the environment.
 */
#ifndef ARBITER_KEPT_FDS_H
#define ARBITER_KEPT_FDS_H

#include <stdio.h>

struct prefork_arbiter;

enum { PFI_KEPT_FDS_MAX = 8, PFI_KEPT_NAME_MAX = 31 };

/* Written by kept_fds.c. */
struct pfi_kept_fds {
	struct pfi_kept_fd {
		char name[PFI_KEPT_NAME_MAX + 1]; /* "": unused */
		int fd;
	} list[PFI_KEPT_FDS_MAX];
};

/* The value of PREFORK_UPGRADE_KEPT in a new arbiter: NAME=FD,NAME=FD. What is not a descriptor is ignored. */
void pfi_kept_fds_take(struct prefork_arbiter *arbiter, const char *text);

/* For the next upgrade. The descriptors in `fds`, which has space for PFI_KEPT_FDS_MAX. Returns how many there are. */
unsigned pfi_kept_fds_write(const struct prefork_arbiter *arbiter, FILE *out, int *fds);

void pfi_kept_fds_close(struct prefork_arbiter *arbiter);

#endif

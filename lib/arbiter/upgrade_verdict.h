/*
 * arbiter/upgrade_verdict.h -- the verdict of an upgrade, which every request gets exactly once.
 */
#ifndef ARBITER_UPGRADE_VERDICT_H
#define ARBITER_UPGRADE_VERDICT_H

#include <prefork/arbiter.h>

#include <sys/types.h>

struct prefork_arbiter;

/* `pid` of the new arbiter, 0: there is none. */
void pfi_upgrade_verdict(struct prefork_arbiter *arbiter, enum prefork_upgrade_verdict verdict, pid_t pid,
			 const char *why);

/* PREFORK_UPGRADE_FAILED: this arbiter continues. */
void pfi_upgrade_failed(struct prefork_arbiter *arbiter, pid_t pid, const char *why);

#endif

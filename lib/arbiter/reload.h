/*
 * arbiter/reload.h -- a reload from the new settings to its verdict.
 */
#ifndef ARBITER_RELOAD_H
#define ARBITER_RELOAD_H

#include "model/supervisor.h"

#include <stdint.h>

struct prefork_arbiter;

/* Read the settings again. If they are valid, the model tries them; if they have new host names, these are looked up
 * first. */
void pfi_reload(struct prefork_arbiter *arbiter);

/* The same, for a command that waits for the verdict. */
void pfi_reload_requested(struct prefork_arbiter *arbiter);

/* Continue a reload that waits for a lookup. Returns when to call again, 0: none waits. */
uint64_t pfi_reload_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Log the verdict of the model and call the hooks; a failed reload restores the settings that were in force. */
void pfi_reload_decided(struct prefork_arbiter *arbiter, struct pfi_decision decision);

#endif

/*
 * arbiter/generations.h -- create and drop generations.
 */
#ifndef ARBITER_GENERATIONS_H
#define ARBITER_GENERATIONS_H

#include "arbiter/generation_table.h"

/* Add a generation with these settings and check them; opens nothing. Takes `settings`, also on failure. 0,
 * PREFORK_ECONFIG or -ENOMEM with an error message. */
int pfi_generation_create(struct prefork_arbiter *arbiter, struct prefork_settings *settings, uint32_t number);

/* Open its listeners. On failure the generation is dropped. 0, or a negative errno with an error message. */
int pfi_generation_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* Free it; listeners that no other generation uses close. */
void pfi_generation_drop(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* Drop the generations that no worker uses and no reload needs. */
void pfi_generations_sweep(struct prefork_arbiter *arbiter);

#endif

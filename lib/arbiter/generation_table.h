/*
 * arbiter/generation_table.h -- the generations that exist, and look-ups among them.
 *
 * A generation consists of the settings of one start or reload and the listeners that these name. Workers are spawned
 * from it. It exists from the reload that reads it until no worker uses it any more (generations.c).
 */
#ifndef ARBITER_GENERATION_TABLE_H
#define ARBITER_GENERATION_TABLE_H

#include "arbiter/pools.h"
#include "listener/names.h"

struct pfi_listener_entry;

/* The entries are borrowed from the listener table, the list itself is owned. */
struct pfi_listener_list {
	struct pfi_listener_entry **list;
	size_t count;
};

struct pfi_generation {
	uint32_t number; /* from 1; 0: the entry is free */
	struct prefork_settings *settings;
	struct prefork_settings *of_pool[PFI_POOLS_MAX]; /* the settings with the pool's overrides */
	struct pfi_listener_list listeners[PFI_POOLS_MAX];
	struct pfi_names names; /* the host names of bind, and their addresses                           */
	struct pfi_names peers; /* those of rows with PREFORK_OPTION_ADDRESS                             */
	int directory_fd;       /* where its workers start; 0: in the working directory of this process */
	bool logged_removed;    /* a line says that this directory was removed                           */
};

/* NULL if there is no such generation. Borrowed until the next generation is created or dropped. */
struct pfi_generation *pfi_generation_find(const struct prefork_arbiter *arbiter, uint32_t number);

/* The generation that the workers of the pools shall have; NULL before the start and after the stop. */
struct pfi_generation *pfi_generation_desired(const struct prefork_arbiter *arbiter);

bool pfi_listener_list_has(const struct pfi_listener_list *list, const struct pfi_listener_entry *entry);

/* Whether any pool of the generation accepts from the listener. */
bool pfi_generation_uses(const struct pfi_generation *generation, const struct pfi_listener_entry *entry);

#endif

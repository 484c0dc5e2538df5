/*
 * tls_material -- in the arbiter: the files and the contexts for one combination of the settings of TLS.
 *
 * Pools and generations with the same settings share one. A worker is forked with the contexts that are in force then.
 */
#ifndef TLS_TLS_MATERIAL_H
#define TLS_TLS_MATERIAL_H

#include "tls/tls_contexts.h"
#include "tls/tls_records.h"
#include "tls/tls_rows.h"

#include <stdint.h>

struct pfi_tls_material {
	struct pfi_tls_material *next;
	struct pfi_tls_settings values; /* a copy; the texts are owned */
	struct pfi_tls_records records;
	struct pfi_tls_contexts *contexts; /* a reference; NULL: not read yet */
	uint64_t version;                  /* counts the changes of `records` */
	bool is_wanted;                    /* by the settings that were checked last           */
	bool was_wanted;                   /* during a reload: by the settings in force before */
};

/* *New*, without contexts; NULL: no memory. */
struct pfi_tls_material *pfi_tls_material_create(const struct pfi_tls_settings *values);
void pfi_tls_material_destroy(struct pfi_tls_material *material);

/* Whether it is that of these settings. */
bool pfi_tls_material_is_of(const struct pfi_tls_material *material, const struct pfi_tls_settings *values);

/* Read the files again. 1: they have changed, and new contexts are in force; 0: they have not; or an error with its
 * message, and the old contexts stay in force. */
int pfi_tls_material_refresh(struct pfi_tls_material *material, struct pfi_tls_tickets *tickets);

#endif

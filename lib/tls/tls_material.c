/* Reads the files of TLS, and makes contexts of them if they have changed. */
#include "tls/tls_material.h"

#include "tls/tls_files.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS = 6 };

/* The texts among the settings, in a fixed order. */
static void list_texts(struct pfi_tls_settings *values, const char **texts[TEXTS])
{
	texts[0] = &values->certfile;
	texts[1] = &values->keyfile;
	texts[2] = &values->ca_certs;
	texts[3] = &values->ciphers;
	texts[4] = &values->certificates;
	texts[5] = &values->ocsp_file;
}

static bool copy_list(struct prefork_list *list)
{
	const char **const items = calloc(list->count + 1, sizeof *items);

	for (size_t i = 0; items != NULL && i < list->count; i++) {
		items[i] = strdup(list->items[i]);
		if (items[i] == NULL) {
			*list = (struct prefork_list){ items, i };
			return false;
		}
	}
	*list = (struct prefork_list){ items, items != NULL ? list->count : 0 };
	return items != NULL;
}

static void free_text(const char *text)
{
	free((void *)(uintptr_t)text);
}

struct pfi_tls_material *pfi_tls_material_create(const struct pfi_tls_settings *values)
{
	struct pfi_tls_material *const material = calloc(1, sizeof *material);
	const char **texts[TEXTS];
	bool is_complete = true;

	if (material == NULL)
		return NULL;
	material->values = *values;
	list_texts(&material->values, texts);
	for (size_t i = 0; i < TEXTS; i++) {
		if (*texts[i] == NULL)
			continue;
		*texts[i] = strdup(*texts[i]);
		is_complete = is_complete && *texts[i] != NULL;
	}
	if (copy_list(&material->values.alpn_protocols) && is_complete)
		return material;
	pfi_tls_material_destroy(material);
	return NULL;
}

void pfi_tls_material_destroy(struct pfi_tls_material *material)
{
	const char **texts[TEXTS];

	if (material == NULL)
		return;
	pfi_tls_contexts_unref(material->contexts);
	pfi_tls_records_clear(&material->records);
	list_texts(&material->values, texts);
	for (size_t i = 0; i < TEXTS; i++)
		free_text(*texts[i]);
	for (size_t i = 0; i < material->values.alpn_protocols.count; i++)
		free_text(material->values.alpn_protocols.items[i]);
	free((void *)(uintptr_t)material->values.alpn_protocols.items);
	free(material);
}

static bool texts_are_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool lists_are_equal(const struct prefork_list *a, const struct prefork_list *b)
{
	bool equal = a->count == b->count;

	for (size_t i = 0; equal && i < a->count; i++)
		equal = strcmp(a->items[i], b->items[i]) == 0;
	return equal;
}

bool pfi_tls_material_is_of(const struct pfi_tls_material *material, const struct pfi_tls_settings *values)
{
	struct pfi_tls_settings a = material->values, b = *values;
	const char **texts_a[TEXTS], **texts_b[TEXTS];
	bool equal = a.cert_reqs == b.cert_reqs && a.ssl_version == b.ssl_version &&
		     a.suppress_ragged_eofs == b.suppress_ragged_eofs && lists_are_equal(&a.alpn_protocols, &b.alpn_protocols);

	list_texts(&a, texts_a);
	list_texts(&b, texts_b);
	for (size_t i = 0; equal && i < TEXTS; i++)
		equal = texts_are_equal(*texts_a[i], *texts_b[i]);
	return equal;
}

int pfi_tls_material_refresh(struct pfi_tls_material *material, struct pfi_tls_tickets *tickets)
{
	struct pfi_tls_records fresh = { 0 };
	struct pfi_tls_contexts *contexts = NULL;
	int r = pfi_tls_files_read(&material->values, &fresh);

	if (r == 0 && material->contexts != NULL && pfi_tls_records_equal(&fresh, &material->records)) {
		pfi_tls_records_clear(&fresh);
		return 0;
	}
	if (r == 0)
		r = pfi_tls_contexts_create(&material->values, &fresh, tickets, &contexts);
	if (r < 0) {
		pfi_tls_records_clear(&fresh);
		return r;
	}
	pfi_tls_contexts_unref(material->contexts);
	pfi_tls_records_clear(&material->records);
	material->contexts = contexts;
	material->records = fresh;
	material->version++;
	return 1;
}

/* Collects the names of certificates, and finds the certificate for a server name. */
#include "tls/tls_names.h"

#include <openssl/x509v3.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct pfi_tls_name {
	char text[PFI_TLS_NAME_MAX + 1]; /* lower case; a wildcard without its asterisk: ".example.org" */
	size_t index;
};

/* In ASCII, whatever the locale. 0: the name has a NUL, is too long, or empty. */
static size_t lower(const unsigned char *from, size_t size, char to[PFI_TLS_NAME_MAX + 1])
{
	while (size > 0 && from[size - 1] == '.')
		size--;
	if (size > PFI_TLS_NAME_MAX || memchr(from, '\0', size) != NULL)
		return 0;
	for (size_t i = 0; i < size; i++)
		to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + ('a' - 'A') : from[i]);
	to[size] = '\0';
	return size;
}

static int add(struct pfi_tls_names *names, const ASN1_STRING *text, size_t index)
{
	struct pfi_tls_name name = { .index = index };
	const unsigned char *bytes = ASN1_STRING_get0_data(text);
	size_t size = (size_t)ASN1_STRING_length(text);

	if (size > 2 && bytes[0] == '*' && bytes[1] == '.') {
		bytes++;
		size--;
	}
	if (lower(bytes, size, name.text) == 0)
		return 0;
	if (names->count == names->capacity) {
		const size_t capacity = names->capacity > 0 ? 2 * names->capacity : 8;
		struct pfi_tls_name *const more = realloc(names->list, capacity * sizeof *more);

		if (more == NULL)
			return -ENOMEM;
		names->list = more;
		names->capacity = capacity;
	}
	names->list[names->count++] = name;
	return 0;
}

static int add_common_name(struct pfi_tls_names *names, X509 *certificate, size_t index)
{
	X509_NAME *const subject = X509_get_subject_name(certificate);
	const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at >= 0 ? add(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), index) : 0;
}

int pfi_tls_names_add(struct pfi_tls_names *names, X509 *certificate, size_t index)
{
	GENERAL_NAMES *const all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int r = 0, count = 0;

	for (int i = 0; r == 0 && i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *const name = sk_GENERAL_NAME_value(all, i);

		if (name->type != GEN_DNS)
			continue;
		r = add(names, name->d.dNSName, index);
		count++;
	}
	GENERAL_NAMES_free(all);
	return r == 0 && count == 0 ? add_common_name(names, certificate, index) : r;
}

static int order(const struct pfi_tls_name *name, const char *text, size_t index)
{
	const int by_text = strcmp(name->text, text);

	return by_text != 0 ? by_text : name->index < index ? -1 : name->index > index;
}

static int compare(const void *a, const void *b)
{
	const struct pfi_tls_name *const *const one = a, *const *const other = b;

	return order(*one, (*other)->text, (*other)->index);
}

int pfi_tls_names_sort(struct pfi_tls_names *names)
{
	if (names->count == 0)
		return 0;
	names->sorted = malloc(names->count * sizeof(const struct pfi_tls_name *));
	if (names->sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < names->count; i++)
		names->sorted[i] = &names->list[i];
	qsort(names->sorted, names->count, sizeof(const struct pfi_tls_name *), compare);
	return 0;
}

/* The first entry with this text, of certificate `index` or a later one; NULL: none. */
static const struct pfi_tls_name *find(const struct pfi_tls_names *names, const char *text, size_t index)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (order(names->sorted[middle], text, index) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < names->count && strcmp(names->sorted[low]->text, text) == 0 ? names->sorted[low] : NULL;
}

size_t pfi_tls_names_find(const struct pfi_tls_names *names, const char *name, size_t otherwise)
{
	const char *const dot = strchr(name, '.');
	const struct pfi_tls_name *found = find(names, name, 0);

	if (found == NULL && dot != NULL && dot > name)
		found = find(names, dot, 0);
	return found != NULL ? found->index : otherwise;
}

/* The entries of one certificate follow each other in the list: where those of `index` begin. */
static size_t begin(const struct pfi_tls_names *names, size_t index)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (names->list[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether certificate `index` has all names of certificate `of`. */
static bool has_all(const struct pfi_tls_names *names, size_t index, size_t of)
{
	for (size_t i = begin(names, of); i < names->count && names->list[i].index == of; i++) {
		const struct pfi_tls_name *const found = find(names, names->list[i].text, index);

		if (found == NULL || found->index != index)
			return false;
	}
	return true;
}

/* Of the certificates that serve these names, only the last one can have all of them. */
size_t pfi_tls_names_pair(const struct pfi_tls_names *names, size_t index)
{
	const size_t from = begin(names, index);
	size_t last = 0;

	if (from == names->count || names->list[from].index != index)
		return index;
	for (size_t i = from; i < names->count && names->list[i].index == index; i++) {
		const size_t first = find(names, names->list[i].text, 0)->index;

		last = first > last ? first : last;
	}
	return has_all(names, last, index) && has_all(names, index, last) ? last : index;
}

void pfi_tls_names_free(struct pfi_tls_names *names)
{
	free(names->sorted);
	free(names->list);
	*names = (struct pfi_tls_names){ 0 };
}

static size_t number(const unsigned char *bytes)
{
	return (size_t)bytes[0] << 8 | bytes[1];
}

size_t pfi_tls_names_read(const unsigned char *extension, size_t size, char ret[PFI_TLS_NAME_MAX + 1])
{
	enum { LIST = 2, TYPE = 1, LENGTH = 2, HEAD = LIST + TYPE + LENGTH, HOST_NAME = 0 };

	if (size <= HEAD || number(extension) != size - LIST || extension[LIST] != HOST_NAME ||
	    number(extension + LIST + TYPE) != size - HEAD)
		return 0;
	return lower(extension + HEAD, size - HEAD, ret);
}

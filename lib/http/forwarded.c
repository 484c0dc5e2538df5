/* Compares the peer with the trusted networks, and reads the scheme that a trusted proxy reports. */
#include "http/forwarded.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <string.h>

int pfi_forwarded_add_peer(struct pfi_forwarded *forwarded, const char *text)
{
	return pfi_networks_add(&forwarded->peers, "forwarded_allow_ips", text);
}

int pfi_forwarded_add_field(struct pfi_forwarded *forwarded, const char *text)
{
	const char *const equals = strchr(text, '=');

	if (equals == NULL || !pfi_token_valid(text, (size_t)(equals - text)) || equals[1] == '\0')
		return prefork_fail(-EINVAL, "secure_scheme_headers: \"%s\" is not NAME=VALUE", text);
	if (forwarded->field_count == PFI_FORWARDED_FIELDS_MAX)
		return prefork_fail(-EINVAL, "secure_scheme_headers: more than %d headers", PFI_FORWARDED_FIELDS_MAX);

	struct pfi_secure_field *const field = &forwarded->fields[forwarded->field_count++];
	*field = (struct pfi_secure_field){
		.name = text, .name_length = (size_t)(equals - text),
		.value = equals + 1, .value_length = strlen(equals + 1),
		.id = pfi_field_find(text, (size_t)(equals - text)),
	};
	if (field->id == PFI_FIELD_OTHER)
		forwarded->has_others = true;
	else
		forwarded->known |= PFI_FIELD_BIT(field->id);
	return 0;
}

bool pfi_forwarded_is_trusted(const struct pfi_forwarded *forwarded, const char *peer)
{
	return *peer == '\0' || pfi_networks_have_peer(&forwarded->peers, peer);
}

/* Case-insensitive. pfi_text_is() needs one side in lower case; here neither is. */
static bool is_name(const char *a, const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const char x = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] | 0x20) : a[i];
		const char y = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] | 0x20) : b[i];

		if (x != y)
			return false;
	}
	return true;
}

static const struct pfi_secure_field *find(const struct pfi_forwarded *forwarded, const struct pfi_field *field,
                                           const char *bytes)
{
	for (size_t i = 0; i < forwarded->field_count; i++) {
		const struct pfi_secure_field *const one = &forwarded->fields[i];

		if (one->id == field->id && one->name_length == field->name.length &&
		    is_name(one->name, bytes + field->name.at, field->name.length))
			return one;
	}
	return NULL;
}

enum pfi_scheme pfi_forwarded_scheme(const struct pfi_forwarded *forwarded, const struct pfi_head *head, const char *bytes)
{
	enum pfi_scheme scheme = PFI_SCHEME_UNREPORTED;

	for (uint32_t i = 0; i < head->fields_count; i++) {
		const struct pfi_field *const field = &head->fields[i];
		const struct pfi_secure_field *const one = find(forwarded, field, bytes);

		if (one == NULL)
			continue;
		const bool secure = field->value.length == one->value_length &&
		                    memcmp(bytes + field->value.at, one->value, one->value_length) == 0;
		const enum pfi_scheme reported = secure ? PFI_SCHEME_SECURE : PFI_SCHEME_PLAIN;
		if (scheme != PFI_SCHEME_UNREPORTED && reported != scheme)
			return PFI_SCHEME_CONTRADICTORY;
		scheme = reported;
	}
	return scheme;
}

static bool is_listed(const struct pfi_forwarded *forwarded, const char *name, size_t length)
{
	for (size_t i = 0; forwarded->names != NULL && i < forwarded->names->count; i++) {
		const char *const each = forwarded->names->items[i];

		if ((*each == '*' && each[1] == '\0') || (strlen(each) == length && is_name(each, name, length)))
			return true;
	}
	return false;
}

bool pfi_forwarded_settle_underscores(const struct pfi_forwarded *forwarded, struct pfi_head *head, const char *bytes,
                                      enum pfi_underscores mode, bool is_trusted)
{
	for (uint32_t i = 0; i < head->fields_count; i++) {
		struct pfi_field *const field = &head->fields[i];

		if (!field->underscore)
			continue;
		const bool listed = is_listed(forwarded, bytes + field->name.at, field->name.length);

		if (listed ? is_trusted : mode == PFI_UNDERSCORES_KEEP) {
			field->underscore = false;
			head->underscores_count--;
		} else if (mode == PFI_UNDERSCORES_REFUSE) {
			return false;
		}
	}
	if (head->underscores_count > 0)
		pfi_head_drop_underscores(head);
	return true;
}

void pfi_forwarded_clear(struct pfi_forwarded *forwarded)
{
	pfi_networks_clear(&forwarded->peers);
	*forwarded = (struct pfi_forwarded){ 0 };
}

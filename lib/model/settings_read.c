/* Values of settings by name and type. */
#include "model/settings.h"

#include "base/required.h"

#include <prefork/error.h>

#include <errno.h>

/* The value of a row of one of `types`; NULL with an error message. */
static const struct pfi_value *value_of(const struct prefork_settings *settings, const char *name,
					unsigned types)
{
	size_t index;

	if (settings == NULL || name == NULL) {
		(void)prefork_fail(-EINVAL, "there are no settings, or there is no name");
		return NULL;
	}
	index = pfi_settings_find(settings, name);
	if (index == settings->count || !(types >> settings->rows[index].type & 1)) {
		(void)prefork_fail(-EINVAL, index == settings->count ? "unknown option %s"
								     : "option %s is of another type", name);
		return NULL;
	}
	return &settings->values[index];
}

enum {
	TEXT_TYPES = 1 << PREFORK_OPTION_STRING | 1 << PREFORK_OPTION_CHOICE,
	LIST_TYPES = 1 << PREFORK_OPTION_LIST,
	NUMBER_TYPES = 1 << PREFORK_OPTION_BOOL | 1 << PREFORK_OPTION_INT | 1 << PREFORK_OPTION_DURATION |
		       1 << PREFORK_OPTION_SIZE | 1 << PREFORK_OPTION_MODE,
	ALL_TYPES = TEXT_TYPES | LIST_TYPES | NUMBER_TYPES,
};

int64_t prefork_settings_int(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, NUMBER_TYPES);

	return value != NULL ? value->number : -EINVAL;
}

int prefork_settings_get_int(const struct prefork_settings *settings, const char *name, int64_t *ret)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	const struct pfi_value *const value = value_of(settings, name, NUMBER_TYPES);

	if (value == NULL)
		return pfi_settings_find(settings, name) == settings->count ? -ENOENT : -EINVAL;
	*ret = value->number;
	return 0;
}

const char *prefork_settings_text(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, TEXT_TYPES);

	return value != NULL && value->count > 0 ? value->items[0] : NULL;
}

size_t prefork_settings_count(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, LIST_TYPES);

	return value != NULL ? value->count : 0;
}

const char *prefork_settings_item(const struct prefork_settings *settings, const char *name, size_t index)
{
	const struct pfi_value *const value = value_of(settings, name, LIST_TYPES);

	return value != NULL && index < value->count ? value->items[index] : NULL;
}

size_t prefork_settings_argument_count(const struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, 0);
	return settings->arguments.count;
}

const char *prefork_settings_argument(const struct prefork_settings *settings, size_t index)
{
	return index < prefork_settings_argument_count(settings) ? settings->arguments.items[index] : NULL;
}

int prefork_settings_was_set(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, ALL_TYPES);

	return value != NULL && value->origin > PREFORK_FROM_HOST;
}

int prefork_settings_origin(const struct prefork_settings *settings, const char *name,
			    enum prefork_origin *ret_origin, const char **ret_place)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);

	const struct pfi_value *const value = value_of(settings, name, ALL_TYPES);

	if (value == NULL)
		return -ENOENT;
	if (ret_origin != NULL)
		*ret_origin = value->origin;
	if (ret_place != NULL)
		*ret_place = value->place != NULL ? value->place : "default";
	return 0;
}

bool pfi_settings_preloads(const struct prefork_settings *settings)
{
	const size_t index = pfi_settings_find(settings, "preload_app");

	return index < settings->count && settings->rows[index].type == PREFORK_OPTION_BOOL &&
	       settings->values[index].number != 0;
}

const char *pfi_settings_next_address(const struct prefork_settings *settings, size_t *index)
{
	while (*index < settings->count) {
		const size_t row = (*index)++;

		if ((settings->rows[row].traits & PREFORK_OPTION_ADDRESS) && settings->values[row].count > 0)
			return settings->values[row].items[0];
	}
	return NULL;
}

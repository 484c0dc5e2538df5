/* The structs of modules, and the bindings of rows to their members. */
#include "model/settings.h"

#include "base/pattern.h"
#include "base/required.h"
#include "base/text.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Size and range of each type of member. */
static const struct {
	size_t size;
	int64_t min;
	int64_t max;
} members[] = {
	[PREFORK_MEMBER_BOOL] = { sizeof(bool), 0, 1 },
	[PREFORK_MEMBER_INT32] = { sizeof(int32_t), INT32_MIN, INT32_MAX },
	[PREFORK_MEMBER_UINT32] = { sizeof(uint32_t), 0, UINT32_MAX },
	[PREFORK_MEMBER_INT64] = { sizeof(int64_t), INT64_MIN, INT64_MAX },
	[PREFORK_MEMBER_UINT64] = { sizeof(uint64_t), 0, INT64_MAX },
	[PREFORK_MEMBER_TEXT] = { sizeof(const char *), 0, 0 },
	[PREFORK_MEMBER_LIST] = { sizeof(struct prefork_list), 0, 0 },
};

static bool is_integer(enum prefork_member member)
{
	return member >= PREFORK_MEMBER_INT32 && member <= PREFORK_MEMBER_UINT64;
}

/* Whether the member can store every valid number of the row. */
static bool fits_number(const struct prefork_option *row, enum prefork_member member)
{
	const bool is_bounded = row->min != 0 || row->max != 0;
	int64_t min = is_bounded ? row->min : row->type == PREFORK_OPTION_INT ? INT64_MIN : 0;

	if (!is_integer(member))
		return false;
	if (row->traits & PREFORK_OPTION_MAY_BE_AUTO)
		min = min < -1 ? min : -1;
	return min >= members[member].min && (is_bounded ? row->max : INT64_MAX) <= members[member].max;
}

static bool fits(const struct prefork_option *row, enum prefork_member member)
{
	switch (row->type) {
	case PREFORK_OPTION_BOOL:
		return member == PREFORK_MEMBER_BOOL;
	case PREFORK_OPTION_STRING:
		return member == PREFORK_MEMBER_TEXT;
	case PREFORK_OPTION_LIST:
		return member == PREFORK_MEMBER_LIST;
	case PREFORK_OPTION_CHOICE:
		return member == PREFORK_MEMBER_TEXT || is_integer(member);
	default:
		return fits_number(row, member);
	}
}

static int check_member(const struct prefork_settings *settings, size_t index, const struct prefork_option *option)
{
	const struct pfi_module *const last = &settings->modules[settings->module_count - 1];
	const struct prefork_option *const row = &settings->rows[index];

	if (row->type != option->type)
		return prefork_fail(-EINVAL, "module %s: option %s is of another type", last->module->name, row->name);
	if (option->member > PREFORK_MEMBER_LIST || !fits(row, option->member))
		return prefork_fail(-EINVAL, "module %s: the member for option %s cannot hold all of its values",
				    last->module->name, row->name);
	if (option->offset > last->module->values_size ||
	    members[option->member].size > last->module->values_size - option->offset)
		return prefork_fail(-EINVAL, "module %s: the member for option %s lies outside the struct",
				    last->module->name, row->name);
	for (size_t i = 0; is_integer(option->member) && i < settings->choice_count; i++)
		if (settings->choices[i].meaning == NULL && strcmp(settings->choices[i].row, row->name) == 0)
			return prefork_fail(-EINVAL, "module %s: option %s has a choice, %s, that has no index",
					    last->module->name, row->name, settings->choices[i].word);
	for (size_t i = 0; i < settings->binding_count; i++)
		if (settings->bindings[i].module == settings->module_count - 1 &&
		    settings->bindings[i].offset == option->offset)
			return prefork_fail(-EEXIST, "module %s: the member for option %s holds option %s already",
					    last->module->name, row->name,
					    settings->rows[settings->bindings[i].row].name);
	return 0;
}

int pfi_settings_bind(struct prefork_settings *settings, size_t index, const struct prefork_option *option)
{
	const int r = check_member(settings, index, option);
	struct pfi_binding *bindings;

	if (r < 0)
		return r;
	bindings = realloc(settings->bindings, (settings->binding_count + 1) * sizeof *bindings);
	if (bindings == NULL)
		return prefork_fail(-ENOMEM, "out of memory for the settings");
	settings->bindings = bindings;
	bindings[settings->binding_count++] = (struct pfi_binding){
		.row = index, .module = settings->module_count - 1, .offset = option->offset, .member = option->member,
	};
	return 0;
}

bool pfi_settings_stores_index(const struct prefork_settings *settings, size_t index)
{
	for (size_t i = 0; i < settings->binding_count; i++)
		if (settings->bindings[i].row == index && is_integer(settings->bindings[i].member))
			return true;
	return false;
}

/* The index of a CHOICE's word in `choices`. */
static int64_t index_of_word(const char *choices, const char *word)
{
	const size_t length = strlen(word);
	int64_t index = 0;

	for (const char *c = choices; *c != '\0'; index++) {
		const size_t size = strcspn(c, "|");

		if (size == length && memcmp(c, word, size) == 0)
			return index;
		c += size + (c[size] == '|');
	}
	return 0;
}

/* With memcpy(3): the type of the struct is not known here, and the member may be unaligned. */
static void store(const struct prefork_option *row, const struct pfi_value *value, enum prefork_member member, char *to)
{
	const int64_t number = row->type == PREFORK_OPTION_CHOICE && is_integer(member) && value->count > 0
				       ? index_of_word(row->choices, value->items[0])
				       : value->number;
	const char *const text = value->count > 0 ? value->items[0] : NULL;
	const struct prefork_list list = { (const char *const *)value->items, value->count };

	switch (member) {
	case PREFORK_MEMBER_BOOL:
		memcpy(to, &(const bool){ number != 0 }, sizeof(bool));
		break;
	case PREFORK_MEMBER_INT32:
		memcpy(to, &(const int32_t){ (int32_t)number }, sizeof(int32_t));
		break;
	case PREFORK_MEMBER_UINT32:
		memcpy(to, &(const uint32_t){ (uint32_t)number }, sizeof(uint32_t));
		break;
	case PREFORK_MEMBER_INT64:
	case PREFORK_MEMBER_UINT64:
		memcpy(to, &number, sizeof number);
		break;
	case PREFORK_MEMBER_TEXT:
		memcpy(to, &text, sizeof text);
		break;
	case PREFORK_MEMBER_LIST:
		memcpy(to, &list, sizeof list);
		break;
	case PREFORK_MEMBER_NONE:
		break;
	}
}

void pfi_settings_store(const struct prefork_settings *settings, size_t index)
{
	for (size_t i = 0; i < settings->binding_count; i++) {
		const struct pfi_binding *const binding = &settings->bindings[i];

		if (binding->row == index)
			store(&settings->rows[index], &settings->values[index], binding->member,
			      settings->modules[binding->module].values + binding->offset);
	}
}

int pfi_settings_append_module(struct prefork_settings *settings, const struct prefork_module *module)
{
	struct pfi_module *const modules = realloc(settings->modules, (settings->module_count + 1) * sizeof *modules);
	char *values;

	if (modules == NULL)
		return prefork_fail(-ENOMEM, "out of memory for the settings");
	settings->modules = modules;
	values = calloc(1, module->values_size > 0 ? module->values_size : 1);
	if (values == NULL)
		return prefork_fail(-ENOMEM, "out of memory for the settings of module %s", module->name);
	modules[settings->module_count++] = (struct pfi_module){ module, values };
	return 0;
}

const struct pfi_module *pfi_settings_find_module(const struct prefork_settings *settings,
						  const struct prefork_module *module)
{
	for (size_t i = 0; i < settings->module_count; i++)
		if (settings->modules[i].module == module)
			return &settings->modules[i];
	return NULL;
}

int pfi_settings_copy_modules(struct prefork_settings *to, const struct prefork_settings *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->module_count; i++)
		r = pfi_settings_append_module(to, from->modules[i].module);
	if (r < 0 || from->binding_count == 0)
		return r;
	to->bindings = malloc(from->binding_count * sizeof *to->bindings);
	if (to->bindings == NULL)
		return -ENOMEM;
	memcpy(to->bindings, from->bindings, from->binding_count * sizeof *to->bindings);
	to->binding_count = from->binding_count;
	for (size_t i = 0; i < to->count; i++)
		pfi_settings_store(to, i);
	return 0;
}

const void *prefork_settings_values(const struct prefork_settings *settings, const struct prefork_module *module)
{
	PFI_RETURN_IF_NULL(settings, NULL);
	PFI_RETURN_IF_NULL(module, NULL);

	const struct pfi_module *const found = pfi_settings_find_module(settings, module);

	PFI_RETURN_UNLESS(found != NULL, NULL, "the settings of module %s were not added", module->name);
	return found->values;
}

/* The row of a member, or `count`. Compared as integers, because `member` may point into another object. */
static size_t row_of(const struct prefork_settings *settings, const void *member)
{
	for (size_t i = 0; i < settings->binding_count; i++) {
		const struct pfi_binding *const binding = &settings->bindings[i];

		if ((uintptr_t)member == (uintptr_t)settings->modules[binding->module].values + binding->offset)
			return binding->row;
	}
	return settings->count;
}

int prefork_settings_origin_of(const struct prefork_settings *settings, const void *member,
			       enum prefork_origin *ret_origin, const char **ret_place)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(member, -EINVAL);

	const size_t row = row_of(settings, member);

	PFI_RETURN_UNLESS(row < settings->count, -EINVAL, "%s(): member is not in a struct of these settings", __func__);
	if (ret_origin != NULL)
		*ret_origin = settings->values[row].origin;
	if (ret_place != NULL)
		*ret_place = settings->values[row].place != NULL ? settings->values[row].place : "default";
	return 0;
}

const char *pfi_settings_place(const struct prefork_settings *settings, const void *member)
{
	const char *place = "";

	(void)prefork_settings_origin_of(settings, member, NULL, &place);
	return place;
}

int pfi_settings_no_account(const struct prefork_settings *settings, const char *const *member, const char *kind)
{
	const size_t row = row_of(settings, member);
	char bytes[128];
	struct pfi_text quoted;

	pfi_text_init(&quoted, bytes, sizeof bytes);
	pfi_text_add_quoted(&quoted, *member);
	return prefork_fail(PREFORK_ECONFIG, "%s (%s): there is no %s %s on this machine",
			    row < settings->count ? settings->rows[row].name : kind, pfi_settings_place(settings, member), kind,
			    bytes);
}

bool pfi_settings_is_added_choice(const struct prefork_settings *settings, const void *member, const char *word)
{
	const size_t row = row_of(settings, member);

	for (size_t i = 0; row < settings->count && i < settings->choice_count; i++) {
		const struct pfi_choice *const choice = &settings->choices[i];

		if (strcmp(choice->row, settings->rows[row].name) == 0 && choice->meaning == NULL &&
		    pfi_pattern_matches(choice->word, word))
			return true;
	}
	return false;
}

/* Add rows and modules; each row is checked by itself and against the others. */
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/required.h"
#include "base/struct_size.h"
#include "model/assign.h"

/* "--" and the name, with dashes. */
static bool flag_of_name(const char *name, char flag[PFI_FLAG_MAX])
{
	const size_t length = strlen(name);

	if (length + 3 > PFI_FLAG_MAX)
		return false;
	memcpy(flag, "--", 2);
	for (size_t i = 0; i <= length; i++)
		flag[i + 2] = name[i];
	for (char *c = flag; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
	return true;
}

bool pfi_option_flag(const struct prefork_option *row, size_t index, char flag[PFI_FLAG_MAX])
{
	const char *c = row->flags;

	if (c == NULL)
		return index == 0 && flag_of_name(row->name, flag);
	for (;; index--) {
		const size_t length = strcspn(c, ", ");

		if (length == 0)
			return false;
		if (index == 0) {
			if (length >= PFI_FLAG_MAX)
				return false;
			memcpy(flag, c, length);
			flag[length] = '\0';
			return true;
		}
		c += length;
		c += strspn(c, ", ");
	}
}

static bool is_name(const char *name)
{
	const size_t length = name != NULL ? strlen(name) : 0;

	return length > 0 && length <= 48 && name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

/* -x or --xyz. A digit after - would be a negative number. */
static bool is_flag(const char *flag)
{
	const char *const word = flag + 1 + (flag[0] == '-' && flag[1] == '-');

	if (flag[0] != '-' || *word == '\0' || *word == '-' || strpbrk(word, "= ") != NULL)
		return false;
	return flag[1] == '-' || (flag[2] == '\0' && !(flag[1] >= '0' && flag[1] <= '9'));
}

static int refuse_row(const struct prefork_option *row, const char *why)
{
	return prefork_fail(-EINVAL, "option %s %s", row->name != NULL ? row->name : "without a name", why);
}

static int check_row(const struct prefork_option *row)
{
	char flag[PFI_FLAG_MAX];
	size_t flags = 0;

	if (!is_name(row->name))
		return refuse_row(row, "needs a name of a-z, 0-9 and _");
	if (row->type < PREFORK_OPTION_BOOL || row->type > PREFORK_OPTION_MODE)
		return refuse_row(row, "has an unknown type");
	if (row->min > row->max)
		return refuse_row(row, "has a minimum above its maximum");
	if ((row->type == PREFORK_OPTION_CHOICE) != (row->choices != NULL) ||
	    (row->choices != NULL && *row->choices == '\0'))
		return refuse_row(row, "needs choices if it is a CHOICE, and has none otherwise");
	if (row->type == PREFORK_OPTION_CHOICE && row->default_text == NULL)
		return refuse_row(row, "is a CHOICE and needs a default");
	if (row->type != PREFORK_OPTION_CHOICE && (row->traits & PREFORK_OPTION_MAY_BE_BOOL))
		return refuse_row(row, "may be BOOL, but is no CHOICE");
	if (row->doc == NULL || row->section == NULL)
		return refuse_row(row, "needs a section and a doc");
	for (; pfi_option_flag(row, flags, flag); flags++)
		if (!is_flag(flag))
			return refuse_row(row, "has a flag of another form than -x or --word");
	if (flags == 0)
		return refuse_row(row, "has no flag");
	return 0;
}

static bool share_a_flag(const struct prefork_option *a, const struct prefork_option *b)
{
	char flag[PFI_FLAG_MAX], other[PFI_FLAG_MAX];

	for (size_t i = 0; pfi_option_flag(a, i, flag); i++)
		for (size_t k = 0; pfi_option_flag(b, k, other); k++)
			if (strcmp(flag, other) == 0)
				return true;
	return false;
}

static int check_new_row(const struct prefork_settings *settings, const struct prefork_option *row)
{
	static const char *const reserved[] = { "help", "version" };
	char flag[PFI_FLAG_MAX];
	int r = check_row(row);

	for (size_t i = 0; r == 0 && i < sizeof reserved / sizeof reserved[0]; i++)
		if (strcmp(row->name, reserved[i]) == 0)
			r = prefork_fail(-EEXIST, "option %s is defined by the library", row->name);
	for (size_t i = 0; r == 0 && pfi_option_flag(row, i, flag); i++)
		if (strcmp(flag, "-h") == 0 || strcmp(flag, "-v") == 0)
			r = prefork_fail(-EEXIST, "option %s: the flag %s is defined by the library", row->name, flag);
	for (size_t i = 0; r == 0 && i < settings->count; i++)
		if (strcmp(settings->rows[i].name, row->name) == 0 || share_a_flag(&settings->rows[i], row))
			r = prefork_fail(-EEXIST, "option %s: its name or a flag belongs to option %s", row->name,
					 settings->rows[i].name);
	return r;
}

/* Allocate `count` further rows. */
static int grow(struct prefork_settings *settings, size_t count)
{
	struct prefork_option *rows;
	struct pfi_value *values;

	rows = realloc(settings->rows, (settings->count + count) * sizeof *rows);
	if (rows == NULL)
		return -ENOMEM;
	settings->rows = rows;
	values = realloc(settings->values, (settings->count + count) * sizeof *values);
	if (values == NULL)
		return -ENOMEM;
	settings->values = values;
	memset(values + settings->count, 0, count * sizeof *values);
	return 0;
}

static int add_row(struct prefork_settings *settings, const struct prefork_option *row, bool has_struct)
{
	char why[512];
	int r = check_new_row(settings, row);

	if (r == 0 && row->member != PREFORK_MEMBER_NONE && !has_struct)
		r = prefork_fail(-EINVAL, "option %s names a member: only the rows of a module have a struct", row->name);
	if (r < 0)
		return r;
	settings->rows[settings->count] = *row;
	settings->values[settings->count] = (struct pfi_value){ 0 };
	settings->count++;
	if (row->member != PREFORK_MEMBER_NONE && (r = pfi_settings_bind(settings, settings->count - 1, row)) < 0)
		return r;
	settings->rows[settings->count - 1].member = PREFORK_MEMBER_NONE; /* the binding has it */
	r = pfi_settings_assign_default(settings, settings->count - 1);
	if (r < 0) {
		strncpy(why, prefork_error(), sizeof why - 1);
		why[sizeof why - 1] = '\0';
		(void)prefork_fail(r, "option %s: %s", row->name, why);
	}
	return r;
}

static int add_reference(struct prefork_settings *settings, const struct prefork_option *reference)
{
	const size_t index = is_name(reference->name) ? pfi_settings_find(settings, reference->name) : settings->count;
	int r;

	if (index == settings->count)
		return prefork_fail(-ENOENT, "reference to an unknown option, %s",
				    reference->name != NULL ? reference->name : "without a name");
	if ((r = pfi_settings_bind(settings, index, reference)) == 0)
		pfi_settings_store(settings, index);
	return r;
}

void pfi_settings_drop(struct prefork_settings *settings, size_t rows, size_t bindings, size_t modules)
{
	while (settings->count > rows) {
		struct pfi_value *const value = &settings->values[--settings->count];

		pfi_texts_finish(&(struct pfi_texts){ value->items, value->count });
		free(value->place);
	}
	settings->binding_count = bindings;
	while (settings->module_count > modules)
		free(settings->modules[--settings->module_count].values);
}

/* The stride of an array is the struct_size of its first row. */
static int check_size(const struct prefork_option *row, size_t size)
{
	if (row->struct_size != size)
		return prefork_fail(-EINVAL, "the rows have different values of struct_size, %zu and %zu", size,
				    row->struct_size);
	return pfi_struct_check(row, size, PFI_SIZE_WITH(struct prefork_option, doc), sizeof *row,
				"struct prefork_option");
}

int pfi_settings_add_rows(struct prefork_settings *settings, const struct prefork_option *rows, size_t count,
			  const struct prefork_module *module)
{
	const char *from = (const char *)rows;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = check_size((const void *)(from + i * rows->struct_size), rows->struct_size);
	if (r == 0 && grow(settings, count) < 0)
		return prefork_fail(-ENOMEM, "out of memory for %zu options", count);
	for (size_t i = 0; r == 0 && i < count; i++, from += rows->struct_size) {
		struct prefork_option row;

		pfi_struct_copy(&row, sizeof row, from, rows->struct_size);
		row.struct_size = sizeof row;
		r = module != NULL && (row.traits & PREFORK_OPTION_REFERENCE)
			    ? add_reference(settings, &row)
			    : add_row(settings, &row, module != NULL);
	}
	return r;
}

int prefork_settings_add_options(struct prefork_settings *settings, const struct prefork_option *rows,
				 size_t count)
{
	int r;

	if (settings == NULL || (rows == NULL && count > 0))
		return prefork_fail(-EINVAL, "there are no settings, or no rows");
	if (settings->parsed || settings->frozen)
		return prefork_fail(-EBUSY, "options cannot be added any more: the settings were parsed");
	if (count == 0)
		return 0;
	const size_t before = settings->count;

	r = pfi_settings_add_rows(settings, rows, count, NULL);
	if (r < 0)
		pfi_settings_drop(settings, before, settings->binding_count, settings->module_count);
	return r;
}

int prefork_settings_add_module(struct prefork_settings *settings, const struct prefork_module *module)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(module, -EINVAL);

	const size_t rows = settings->count, bindings = settings->binding_count, modules = settings->module_count;
	int r = pfi_struct_check(module, module->struct_size, PFI_SIZE_WITH(struct prefork_module, values_size),
				sizeof *module, "struct prefork_module");

	if (r < 0)
		return r;
	if (module->name == NULL || (module->options == NULL && module->option_count > 0))
		return prefork_fail(-EINVAL, "a module needs a name and options");
	if (settings->parsed || settings->frozen)
		return prefork_fail(-EBUSY, "module %s: the settings were parsed already", module->name);
	if (pfi_settings_find_module(settings, module) != NULL)
		return prefork_fail(-EEXIST, "module %s was added already", module->name);
	r = pfi_settings_append_module(settings, module);
	if (r == 0)
		r = pfi_settings_add_rows(settings, module->options, module->option_count, module);
	if (r < 0)
		pfi_settings_drop(settings, rows, bindings, modules);
	return r;
}

/* What an application adds to the reading of the settings: its file reader, its completion, and the values that they
 * set. */
#include "model/settings.h"

#include "base/required.h"
#include "model/assign.h"

#include <prefork/error.h>

#include <errno.h>

int prefork_settings_set_file_reader(struct prefork_settings *settings,
				     int (*read)(struct prefork_settings *settings, const char *path,
						 const char *place, void *user),
				     void *user)
{
	const int r = pfi_settings_check_changeable(settings);

	if (r < 0)
		return r;
	PFI_RETURN_IF_NULL(read, -EINVAL);
	settings->reader = (struct pfi_file_reader){ read, user };
	return 0;
}

int prefork_settings_set_completion(struct prefork_settings *settings,
				    int (*complete)(struct prefork_settings *settings, void *user), void *user)
{
	const int r = pfi_settings_check_changeable(settings);

	if (r < 0)
		return r;
	PFI_RETURN_IF_NULL(complete, -EINVAL);
	settings->completion = (struct pfi_completion){ complete, user };
	return 0;
}

int pfi_settings_read_file(struct prefork_settings *settings, const char *path, const char *place)
{
	int r;

	if (settings->reader.read == NULL)
		return 1;
	settings->assigns = PREFORK_FROM_FILE;
	r = settings->reader.read(settings, path, place, settings->reader.user);
	settings->assigns = PREFORK_FROM_ROW;
	return r == -EINVAL ? PREFORK_ECONFIG : r;
}

static int reset_completed(struct prefork_settings *settings)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < settings->count; i++)
		if (settings->values[i].origin == PREFORK_FROM_COMPLETION)
			r = pfi_settings_reset(settings, i);
	return r;
}

int pfi_settings_complete(struct prefork_settings *settings)
{
	int r = reset_completed(settings);

	if (r < 0 || settings->completion.complete == NULL)
		return r;
	settings->assigns = PREFORK_FROM_COMPLETION;
	r = settings->completion.complete(settings, settings->completion.user);
	settings->assigns = PREFORK_FROM_ROW;
	return r == -EINVAL ? PREFORK_ECONFIG : r < 0 ? r : 0;
}

/* `put` is pfi_settings_assign() or pfi_settings_append(). */
static int set(struct prefork_settings *settings,
	       int (*put)(struct prefork_settings *, size_t, const char *, enum prefork_origin, const char *),
	       const char *name, const char *text, enum prefork_origin origin, const char *place)
{
	const size_t index = pfi_settings_find(settings, name);
	int r;

	if (index == settings->count)
		return prefork_fail(-ENOENT, "%s: unknown setting '%s'", place, name);
	if (settings->rows[index].traits & PREFORK_OPTION_COMMAND_LINE)
		return prefork_fail(PREFORK_ECONFIG, "%s: only the command line can set '%s'", place, name);
	r = put(settings, index, text, origin, place);
	return r == -EINVAL ? PREFORK_ECONFIG : r;
}

int prefork_settings_assign(struct prefork_settings *settings, const char *name, const char *text, const char *place)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(text, -EINVAL);
	PFI_RETURN_IF_NULL(place, -EINVAL);
	if (settings->assigns == PREFORK_FROM_ROW)
		return prefork_fail(-EBUSY, "%s: only a file reader or a completion assigns values", place);
	return set(settings, pfi_settings_assign, name, text, settings->assigns, place);
}

int prefork_settings_override(struct prefork_settings *settings, const char *name, const char *text, const char *place)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(text, -EINVAL);
	PFI_RETURN_IF_NULL(place, -EINVAL);
	if (settings->frozen)
		return prefork_fail(-EBUSY, "%s: the settings are in use", place);
	return set(settings, pfi_settings_assign, name, text, PREFORK_FROM_OVERRIDE, place);
}

int prefork_settings_override_append(struct prefork_settings *settings, const char *name, const char *text,
				     const char *place)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(text, -EINVAL);
	PFI_RETURN_IF_NULL(place, -EINVAL);
	if (settings->frozen)
		return prefork_fail(-EBUSY, "%s: the settings are in use", place);
	return set(settings, pfi_settings_append, name, text, PREFORK_FROM_OVERRIDE, place);
}

int prefork_settings_set_user(struct prefork_settings *settings, void *user)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);
	if (settings->frozen)
		return prefork_fail(-EBUSY, "the settings are in use");
	settings->user = user;
	return 0;
}

void *prefork_settings_user(const struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, NULL);
	return settings->user;
}

const char *prefork_settings_directory(const struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, NULL);
	return settings->directory;
}

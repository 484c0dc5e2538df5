/* Replaces the settings of an arbiter that has not started by a changed copy: frozen settings never change. */
#include "arbiter/override.h"

#include "arbiter/arbiter.h"
#include "arbiter/error_log.h"
#include "base/required.h"
#include "model/library_options.h"
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>

void pfi_override_name(struct prefork_arbiter *arbiter)
{
	arbiter->program = pfi_library_settings(arbiter->settings)->proc_name;
	if (arbiter->program == NULL || *arbiter->program == '\0')
		arbiter->program = program_invocation_short_name;
}

/* `set` is prefork_settings_override() or its variant. */
static int change(struct prefork_arbiter *arbiter,
		  int (*set)(struct prefork_settings *, const char *, const char *, const char *), const char *name,
		  const char *text, const char *place)
{
	struct prefork_settings *changed = NULL;
	int r;

	if (arbiter->started)
		return prefork_fail(-EBUSY, "settings are overridden before the arbiter starts");
	r = pfi_settings_copy(arbiter->initial, &changed);
	if (r == 0)
		r = set(changed, name, text, place);
	if (r == 0)
		r = pfi_settings_complete(changed);
	if (r == 0)
		r = pfi_error_log_follow(arbiter, arbiter->initial, changed);
	if (r < 0) {
		prefork_settings_destroy(changed);
		return r;
	}
	pfi_settings_freeze(changed);
	prefork_settings_destroy(arbiter->initial);
	arbiter->initial = arbiter->settings = changed;
	pfi_override_name(arbiter);
	return 0;
}

int prefork_arbiter_override(struct prefork_arbiter *arbiter, const char *name, const char *text, const char *place)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(text, -EINVAL);
	PFI_RETURN_IF_NULL(place, -EINVAL);
	return change(arbiter, prefork_settings_override, name, text, place);
}

int prefork_arbiter_override_append(struct prefork_arbiter *arbiter, const char *name, const char *text,
				    const char *place)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(text, -EINVAL);
	PFI_RETURN_IF_NULL(place, -EINVAL);
	return change(arbiter, prefork_settings_override_append, name, text, place);
}

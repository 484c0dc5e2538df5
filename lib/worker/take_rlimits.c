#include "worker/take_rlimits.h"

#include "model/library_options.h"
#include "model/rlimits.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

static int refused(const struct pfi_rlimit_row *row, const char *text, const char *place, int error)
{
	struct rlimit now = { 0 };

	(void)getrlimit(row->resource, &now);
	if (error != EPERM)
		return prefork_fail(PREFORK_ECONFIG, "%s (%s): cannot be set to %s: %s", row->name, place, text,
				    strerror(error));
	return prefork_fail(PREFORK_ECONFIG,
			    "%s (%s): cannot be set to %s: the hard limit is %llu, and to raise it needs CAP_SYS_RESOURCE%s",
			    row->name, place, text, (unsigned long long)now.rlim_max,
			    row->resource == RLIMIT_NOFILE ? " (up to /proc/sys/fs/nr_open)" : "");
}

static int take(const struct prefork_settings *settings, const struct pfi_rlimit_row *row)
{
	const char *place;
	const char *const text = pfi_rlimit_text(settings, pfi_library_settings(settings), row, &place);
	struct rlimit limit;

	/* The text was checked with the settings. */
	if (text == NULL || pfi_rlimit_parse(text, row->is_size, &limit) < 0)
		return 0;
	return setrlimit(row->resource, &limit) == 0 ? 0 : refused(row, text, place, errno);
}

int pfi_rlimits_take(const struct prefork_settings *settings)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < PFI_RLIMIT_COUNT; i++)
		r = take(settings, &pfi_rlimit_rows[i]);
	return r;
}

static int try_to_raise(const struct prefork_settings *settings, const struct pfi_rlimit_row *row)
{
	const pfi_resource resource = row->resource;
	const char *place;
	const char *const text = pfi_rlimit_text(settings, pfi_library_settings(settings), row, &place);
	struct rlimit limit, now;

	if (text == NULL || pfi_rlimit_parse(text, row->is_size, &limit) < 0 || getrlimit(resource, &now) < 0 ||
	    limit.rlim_max <= now.rlim_max)
		return 0;

	const struct rlimit raised = { .rlim_cur = now.rlim_cur, .rlim_max = limit.rlim_max };

	if (setrlimit(resource, &raised) < 0)
		return refused(row, text, place, errno);
	(void)setrlimit(resource, &now);
	return 0;
}

int pfi_rlimits_try(const struct prefork_settings *settings)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < PFI_RLIMIT_COUNT; i++)
		r = try_to_raise(settings, &pfi_rlimit_rows[i]);
	return r;
}

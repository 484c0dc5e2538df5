/* Reads the values of the settings rlimit_*. */
#include "model/rlimits.h"

#include "base/number.h"
#include "base/text.h"
#include "model/library_options.h"
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

#define ROW(limit) "rlimit_" #limit
#define MEMBER(limit) offsetof(struct pfi_library_settings, rlimit_##limit)

const struct pfi_rlimit_row pfi_rlimit_rows[PFI_RLIMIT_COUNT] = {
	{ ROW(nofile), RLIMIT_NOFILE, false, MEMBER(nofile) },
	{ ROW(nproc), RLIMIT_NPROC, false, MEMBER(nproc) },
	{ ROW(core), RLIMIT_CORE, true, MEMBER(core) },
	{ ROW(as), RLIMIT_AS, true, MEMBER(as) },
	{ ROW(fsize), RLIMIT_FSIZE, true, MEMBER(fsize) },
	{ ROW(memlock), RLIMIT_MEMLOCK, true, MEMBER(memlock) },
};

static int parse_one(const char *text, bool is_size, rlim_t *ret)
{
	int64_t number = 0;
	int r;

	if (strcmp(text, "unlimited") == 0) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	r = is_size ? pfi_parse_size(text, &number) : pfi_parse_whole(text, &number);
	if (r == 0 && number < 0)
		r = -EINVAL;
	if (r == 0)
		*ret = (rlim_t)number;
	return r;
}

int pfi_rlimit_parse(const char *text, bool is_size, struct rlimit *ret)
{
	const char *const colon = strchr(text, ':');
	struct rlimit limit;
	char soft[32];
	int r;

	if (colon == NULL) {
		r = parse_one(text, is_size, &limit.rlim_max);
		limit.rlim_cur = limit.rlim_max;
	} else {
		const size_t length = (size_t)(colon - text);

		if (length >= sizeof soft)
			return -EINVAL;
		memcpy(soft, text, length);
		soft[length] = '\0';
		r = parse_one(soft, is_size, &limit.rlim_cur);
		if (r == 0)
			r = parse_one(colon + 1, is_size, &limit.rlim_max);
	}
	if (r == 0 && limit.rlim_cur > limit.rlim_max) /* RLIM_INFINITY is the largest */
		r = -EDOM;
	if (r == 0)
		*ret = limit;
	return r;
}

const char *pfi_rlimit_text(const struct prefork_settings *settings, const struct pfi_library_settings *values,
			    const struct pfi_rlimit_row *row, const char **ret_place)
{
	const char *const member = (const char *)values + row->offset;
	const char *text;

	memcpy(&text, member, sizeof text);
	*ret_place = pfi_settings_place(settings, member);
	return text != NULL && *text != '\0' ? text : NULL;
}

static int check(const struct prefork_settings *settings, const struct pfi_library_settings *values,
		 const struct pfi_rlimit_row *row)
{
	const char *place;
	const char *const value = pfi_rlimit_text(settings, values, row, &place);
	struct rlimit limit;
	const int r = value != NULL ? pfi_rlimit_parse(value, row->is_size, &limit) : 0;
	char bytes[64];
	struct pfi_text quoted;

	if (r == 0)
		return 0;
	pfi_text_init(&quoted, bytes, sizeof bytes);
	pfi_text_add_quoted(&quoted, value);
	if (r == -EDOM)
		return prefork_fail(PREFORK_ECONFIG, "%s (%s): the soft limit is above the hard limit: %s", row->name, place,
				    bytes);
	return prefork_fail(PREFORK_ECONFIG, "%s (%s): expected LIMIT or SOFT:HARD, each %s or unlimited, not %s", row->name,
			    place, row->is_size ? "a size such as 64k, 512m or 2g" : "a whole number", bytes);
}

int pfi_rlimits_check(const struct prefork_settings *settings, const struct pfi_library_settings *values)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < PFI_RLIMIT_COUNT; i++)
		r = check(settings, values, &pfi_rlimit_rows[i]);
	return r;
}

/* Makes rows of the settings that gunicorn has and prefork-wsgi does not have, from gunicorn_table.c. */
#include "gunicorn_rows.h"
#include "gunicorn_table.h"
#include "wsgi_log.h"

#include <prefork/error.h>
#include <prefork/prefork.h>
#include <prefork/settings.h>
#include <prefork/version.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = 256 };

/* What prefork-wsgi implements has a row of its own. */
static bool is_needed(const struct wsgi_gunicorn_row *row)
{
	return row->kind != WSGI_GUNICORN_HOOK &&
	       (row->status == WSGI_GUNICORN_NO_EFFECT || row->status == WSGI_GUNICORN_REFUSED);
}

static struct prefork_option option_of(const struct wsgi_gunicorn_row *row)
{
	struct prefork_option option = {
		.struct_size = sizeof option,
		.name = row->name,
		.flags = row->flags,
		.type = PREFORK_OPTION_STRING,
		.default_text = row->usual && *row->usual ? row->usual : NULL,
		.traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_HIDDEN,
		.section = "gunicorn",
		.doc = row->why,
	};

	if (row->kind == WSGI_GUNICORN_BOOL) {
		option.type = PREFORK_OPTION_BOOL;
	} else if (row->kind == WSGI_GUNICORN_INT) {
		option.type = PREFORK_OPTION_INT;
		option.max = INT32_MAX;
	} else if (row->kind == WSGI_GUNICORN_MODE) {
		option.type = PREFORK_OPTION_MODE;
		option.max = 0777;
	} else {
		option.traits |= PREFORK_OPTION_MAY_BE_EMPTY;
	}
	if (row->kind == WSGI_GUNICORN_LIST || row->kind == WSGI_GUNICORN_COMMAS || row->kind == WSGI_GUNICORN_DICT) {
		option.type = PREFORK_OPTION_LIST;
		option.max = 1024;
	}
	return option;
}

/* The first value as on the command line; "" if there is none. */
static const char *text_of(const struct prefork_settings *settings, const struct wsgi_gunicorn_row *row,
                           char bytes[VALUE_MAX])
{
	const struct prefork_option option = option_of(row);
	const char *text = NULL;

	if (option.type == PREFORK_OPTION_BOOL)
		return prefork_settings_int(settings, row->name) == 1 ? "yes" : "no";
	if (option.type == PREFORK_OPTION_STRING)
		text = prefork_settings_text(settings, row->name);
	else if (option.type == PREFORK_OPTION_LIST)
		text = prefork_settings_item(settings, row->name, 0);
	else
		(void)snprintf(bytes, VALUE_MAX, option.type == PREFORK_OPTION_MODE ? "0%" PRIo64 : "%" PRIu64,
		               (uint64_t)prefork_settings_int(settings, row->name));
	if (option.type == PREFORK_OPTION_INT || option.type == PREFORK_OPTION_MODE)
		return bytes;
	return text ? text : "";
}

/* The row of a setting that was set to a value with a meaning, and where; NULL: index `i` is none. */
static const struct wsgi_gunicorn_row *find(const struct prefork_settings *settings, size_t i,
                                            enum wsgi_gunicorn_status status, const char **ret_place)
{
	const struct wsgi_gunicorn_row *const row = &wsgi_gunicorn_rows[i];
	char bytes[VALUE_MAX];

	if (row->status != status || !is_needed(row) || !prefork_settings_was_set(settings, row->name) ||
	    wsgi_gunicorn_is_harmless(row, text_of(settings, row, bytes)))
		return NULL;
	(void)prefork_settings_origin(settings, row->name, NULL, ret_place);
	return row;
}

static int check(const struct prefork_settings *settings, void *user)
{
	const struct wsgi_gunicorn_row *row;
	const char *place = "";

	(void)user;
	for (size_t i = 0; i < wsgi_gunicorn_row_count; i++) {
		if ((row = find(settings, i, WSGI_GUNICORN_REFUSED, &place)))
			return prefork_fail(PREFORK_ECONFIG, "%s is gunicorn's, and not available in this version of prefork-wsgi (%s): %s",
			                    place, prefork_version(), row->why);
	}
	return 0;
}

int wsgi_gunicorn_rows_add(struct prefork_settings *settings)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < wsgi_gunicorn_row_count; i++) {
		const struct prefork_option option = option_of(&wsgi_gunicorn_rows[i]);

		if (is_needed(&wsgi_gunicorn_rows[i]))
			r = prefork_settings_add_options(settings, &option, 1);
	}
	return r == 0 ? prefork_settings_add_check(settings, check, NULL) : r;
}

void wsgi_gunicorn_rows_log(const struct prefork_settings *settings, struct prefork_arbiter *arbiter)
{
	const struct wsgi_gunicorn_row *row;
	const char *place = "";

	wsgi_log_prepare(prefork_arbiter_log(arbiter), NULL, 0);
	for (size_t i = 0; i < wsgi_gunicorn_row_count; i++) {
		if ((row = find(settings, i, WSGI_GUNICORN_NO_EFFECT, &place)))
			wsgi_log(PREFORK_LOG_INFO, "setting_no_effect", "%s has no effect: %s", place, row->why);
	}
}

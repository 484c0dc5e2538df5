/*
 * gunicorn_rows -- the settings of gunicorn that prefork-wsgi accepts without effect, or refuses: their flags, their
 * checks, and the lines about them in the log.
 */
#ifndef WSGI_GUNICORN_ROWS_H
#define WSGI_GUNICORN_ROWS_H

struct prefork_arbiter;
struct prefork_settings;

/** Add a row for each such setting of gunicorn_table.c, so that its flag is accepted and the place of its value is known; and
 *  the check that refuses values. After all other rows, which have none of these names. Returns as
 *  prefork_settings_add_options(). */
int wsgi_gunicorn_rows_add(struct prefork_settings *settings);

/** Write a line for each setting that was set to something else than its default and has no effect. */
void wsgi_gunicorn_rows_log(const struct prefork_settings *settings, struct prefork_arbiter *arbiter);

#endif

/*
 * rows -- the settings that only prefork-wsgi has, apart from what reads them, so
 * that the manual is printed without a Python.
 */
#ifndef WSGI_ROWS_H
#define WSGI_ROWS_H

struct prefork_settings;

/** The rows of the section Application. Returns as prefork_settings_add_options(). */
int wsgi_rows_add(struct prefork_settings *settings);

/** gunicorn's other names for what a setting takes. */
int wsgi_rows_add_names(struct prefork_settings *settings);

#endif

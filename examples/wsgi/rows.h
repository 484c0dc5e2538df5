/*
 * rows -- the settings that only prefork-wsgi has. Separate from the code that reads
 * them, so that the manual can be printed without Python.
 */
#ifndef WSGI_ROWS_H
#define WSGI_ROWS_H

struct prefork_settings;

/** The rows of the section Application. Returns as prefork_settings_add_options(). */
int wsgi_rows_add(struct prefork_settings *settings);

/** gunicorn's names for values of settings: worker class gthread, log level warn, versions of TLS. After the rows of TLS. */
int wsgi_rows_add_names(struct prefork_settings *settings);

#endif

/*
 * wsgi_options -- the settings of prefork-wsgi: those of the libraries, its own rows,
 * and gunicorn's names.
 */
#ifndef WSGI_OPTIONS_H
#define WSGI_OPTIONS_H

struct prefork_settings;

/** Read the settings from command line, environment and file. Borrows `argv` until the
 *  process exits. Returns as prefork_settings_parse(). */
int wsgi_options_read(int argc, char *const argv[], struct prefork_settings **ret);

/** The name of the application: the argument, or the setting wsgi_app. */
const char *wsgi_options_application(const struct prefork_settings *settings);

#endif

/*
 * options -- the settings of prefork-wsgi: those of the libraries, a few rows
 * of its own, and gunicorn's names for them.
 */
#ifndef WSGI_OPTIONS_H
#define WSGI_OPTIONS_H

struct prefork_settings;

/** All rows, checks and defaults, read from the command line and the
 *  environment. Returns as prefork_settings_parse(). `argv` is borrowed for the
 *  life of the process. */
int wsgi_options_read(int argc, char *const argv[], struct prefork_settings **ret);

/** The application's name: the argument, or wsgi_app of the file. */
const char *wsgi_options_application(const struct prefork_settings *settings);

#endif

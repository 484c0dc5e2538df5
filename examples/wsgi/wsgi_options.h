/*
 * wsgi_options -- the settings of prefork-wsgi: those of the libraries, its own rows,
 * and gunicorn's names.
 */
#ifndef WSGI_OPTIONS_H
#define WSGI_OPTIONS_H

#include <stdbool.h>

struct prefork_settings;

#define WSGI_POOL "web" /* the pool that serves the application; that of --reload is another */

/** Read the settings from command line, environment and file. Borrows `argv` until the
 *  process exits. Returns as prefork_settings_parse(). */
int wsgi_options_read(int argc, char *const argv[], struct prefork_settings **ret);

/** Add the rows of the libraries and those of prefork-wsgi, with all names that their values have. Returns as
 *  prefork_settings_add_options(). */
int wsgi_options_add_rows(struct prefork_settings *settings);

/** Whether a STRING or CHOICE row has a value that is not empty. False also if there is no such row, as those of TLS in a
 *  build without it. */
bool wsgi_options_is_set(const struct prefork_settings *settings, const char *name);

/** The source of a setting, for messages: "GUNICORN_CMD_ARGS: --reload"; "": there is no such row. */
const char *wsgi_options_place(const struct prefork_settings *settings, const char *name);

/** The working directory of the start, which paths on the command line are relative to. *Borrowed* from the settings. */
const char *wsgi_options_directory(const struct prefork_settings *settings);

/** The name of the application: --paste, the argument, or the setting wsgi_app. */
const char *wsgi_options_application(const struct prefork_settings *settings);

#endif

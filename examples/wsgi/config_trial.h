/*
 * config_trial -- a process of its own that reads the settings as a reload would, and so runs the configuration file,
 * before the arbiter does: `prefork-wsgi --try-config DIRECTORY PROGRAM ARGUMENTS` is this program once more. A file that
 * fails, exits, hangs or crashes then has harmed nothing.
 */
#ifndef WSGI_CONFIG_TRIAL_H
#define WSGI_CONFIG_TRIAL_H

#include <stdbool.h>

struct prefork_arbiter;
struct prefork_settings;

/** Is this process such a trial? */
bool wsgi_config_trial_is(int argc, char *const argv[]);

/** Read the settings, report the result on standard output, and return the exit status. */
int wsgi_config_trial_run(int argc, char *const argv[]);

/** Have the reloads of the arbiter begin with a trial if they read a file in Python. Borrows `argv`, that of main().
 *  Returns as prefork_arbiter_set_reload_trial(). */
int wsgi_config_trial_add(struct prefork_arbiter *arbiter, const struct prefork_settings *settings, char *const argv[]);

#endif

/*
 * cli/cli.h -- the sources of settings (command line, environment, file), and the printed forms of settings.
 *
 * Each source passes row, text and place ("--workers", "prefork.ini:3: workers") to pfi_settings_assign(), which
 * checks type and bounds and applies the precedence: the order in which the sources are read does not matter. Errors:
 * -ENOMEM, PREFORK_EUSAGE or PREFORK_ECONFIG, always with an error message. In the arbiter only: at the start and on
 * reload.
 */
#ifndef PFI_CLI_CLI_H
#define PFI_CLI_CLI_H

#include <stdio.h>

#include "model/settings.h"

/* What the program does: run, or print and exit. */
enum pfi_cli_action { PFI_CLI_RUN, PFI_CLI_HELP, PFI_CLI_VERSION };

/* Read flags and arguments from `words`. `variable` is the environment variable that contains them; NULL: the command
 * line. Reading ends at --help and --version: the words that follow are not checked. */
int pfi_read_arguments(struct prefork_settings *settings, char *const words[], size_t count,
		       const char *variable, enum pfi_cli_action *ret_action);

/* Read PREFORK_NAME for each row; `variables` has the form of environ(7). */
int pfi_read_environment(struct prefork_settings *settings, char *const variables[]);

/* Read the INI file `path`. `place` is where the path was set, for error messages: "--config". In
 * lib/cli/file_inih.c; in file_none.c if the library is built without libinih. */
int pfi_read_file(struct prefork_settings *settings, const char *path, const char *place);

/* The same for an open stream; error messages call it `name`. */
int pfi_read_ini(struct prefork_settings *settings, FILE *file, const char *name);

/* Print to `out`. The caller checks ferror(3). */
void pfi_print_help(const struct prefork_settings *settings, FILE *out);
void pfi_print_config(const struct prefork_settings *settings, FILE *out);
void pfi_print_markdown(const struct prefork_settings *settings, FILE *out);
void pfi_print_scdoc(const struct prefork_settings *settings, FILE *out);

/* The row whose name or long flag is most similar to the unknown `word`; dashes and capitals do not count. Rows with a
 * trait in `without` are left out. settings->count: none is similar. */
size_t pfi_hint(const struct prefork_settings *settings, const char *word, unsigned without);

/* The flag of the row that is most similar to `word`. */
void pfi_hint_flag(const struct prefork_option *row, const char *word, char flag[PFI_FLAG_MAX]);

/* Placeholder for a value of the row: "N", "TIME", "ADDRESS". */
const char *pfi_option_metavar(const struct prefork_option *row);

/* Environment variable of the row: PREFORK_WORKERS for workers. False: too long. */
enum { PFI_VARIABLE_MAX = 64 };
bool pfi_option_variable(const struct prefork_option *row, char variable[PFI_VARIABLE_MAX]);

/* --send-reload, --send-upgrade: send the request ("reload", "upgrade") to the server with this pid file. 0,
 * PREFORK_EUSAGE (there is no such server), or a negative errno (it has failed, or was refused), with an error message.
 * Blocks until the verdict. */
int pfi_cli_send_request(const char *path, const char *request);

#endif

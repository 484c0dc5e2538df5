/*
 * cli/cli.h -- from the places where an operator speaks to settings.
 *
 * Each source turns what it reads into (row, text, place) and hands that to
 * pfi_settings_assign(), which knows about types, bounds and precedence; so the
 * order in which sources are read does not matter. Errors: -ENOMEM,
 * PREFORK_EUSAGE or PREFORK_ECONFIG, always with an error message.
 */
#ifndef PFI_CLI_CLI_H
#define PFI_CLI_CLI_H

#include <stdio.h>

#include "model/settings.h"

/* What was asked instead of running. */
enum pfi_cli_action { PFI_CLI_RUN, PFI_CLI_HELP, PFI_CLI_VERSION };

/* Reads flags, and arguments, from `words`. `variable` is the name of the
 * environment variable they come from, NULL for the command line. --help and
 * --version end the reading at once: nothing behind them is looked at. */
int pfi_read_arguments(struct prefork_settings *settings, char *const words[], size_t count,
		       const char *variable, enum pfi_cli_action *ret_action);

/* Reads PREFORK_NAME for each row; `variables` is an environ. */
int pfi_read_environment(struct prefork_settings *settings, char *const variables[]);

/* Reads the INI file `path`, which `place` has named: "--config". lib/cli/file_inih.c, or file_none.c
 * without libinih. */
int pfi_read_file(struct prefork_settings *settings, const char *path, const char *place);

/* As above from an open stream that is called `name` in error messages. */
int pfi_read_ini(struct prefork_settings *settings, FILE *file, const char *name);

/* What they write, they write to `out`; the caller looks at ferror(). */
void pfi_print_help(const struct prefork_settings *settings, FILE *out);
void pfi_print_config(const struct prefork_settings *settings, FILE *out);
void pfi_print_markdown(const struct prefork_settings *settings, FILE *out);
void pfi_print_scdoc(const struct prefork_settings *settings, FILE *out);

/* The row that was meant by a word that names none: the nearest of the names and the long
 * flags of all rows that have no trait of `without`; dashes and capitals do not count.
 * settings->count: none is near. */
size_t pfi_hint(const struct prefork_settings *settings, const char *word, unsigned without);

/* The row's flag that is nearest to `word`. */
void pfi_hint_flag(const struct prefork_option *row, const char *word, char flag[PFI_FLAG_MAX]);

/* "N", "TIME", "ADDRESS": what a value of the row is called. */
const char *pfi_option_metavar(const struct prefork_option *row);

/* PREFORK_WORKERS for workers; false if it does not fit. */
enum { PFI_VARIABLE_MAX = 64 };
bool pfi_option_variable(const struct prefork_option *row, char variable[PFI_VARIABLE_MAX]);

#endif

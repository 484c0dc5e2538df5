/*
 * print-settings -- print the settings of both libraries and of prefork-wsgi.
 *
 *     md          docs/settings.md
 *     check FILE  compare FILE with the output of md
 *     scdoc       the manual page prefork-settings(7)
 *     page FILE   the manual page FILE, in which the settings replace the line @OPTIONS@
 */
#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/settings.h>

#include "cli/cli.h"
#include "tls/tls_rows.h"

#include "../examples/wsgi/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check(const struct prefork_settings *settings, const char *path)
{
	char *wanted = NULL;
	size_t size = 0;
	FILE *const made = open_memstream(&wanted, &size), *const file = fopen(path, "r");
	int same = made != NULL && file != NULL;

	if (same) {
		pfi_print_markdown(settings, made);
		(void)fflush(made);
		for (size_t i = 0; same && i < size; i++)
			same = fgetc(file) == (unsigned char)wanted[i];
		same = same && fgetc(file) == EOF;
	}
	if (made != NULL)
		(void)fclose(made);
	if (file != NULL)
		(void)fclose(file);
	free(wanted);
	if (!same)
		(void)fprintf(stderr, "%s differs from the tables of settings: run print-settings md to write it again\n", path);
	return same ? 0 : 1;
}

static void print_page(const struct prefork_settings *settings)
{
	(void)printf("prefork-settings(7) \"libprefork\" \"libprefork manual\"\n\n# NAME\n\n"
	             "prefork-settings - settings of a libprefork server\n\n# DESCRIPTION\n\n"
	             "Each setting is a flag, an environment variable (PREFORK\\_WORKERS=4), and a key of the file that "
	             "*--config* names. The command line takes precedence over the environment, and the environment over "
	             "the file. Settings under HTTP exist in programs that serve HTTP, those under TLS in programs "
	             "that link libprefork-tls, settings under Application in "
	             "*prefork-wsgi*(1).\n\n# SETTINGS\n");
	pfi_print_scdoc(settings, stdout);
	(void)printf("\n# SEE ALSO\n\n*prefork*(7), *prefork-wsgi*(1), *prefork\\_settings*(3)\n");
}

static int fill_page(struct prefork_settings *settings, const char *path)
{
	FILE *const file = fopen(path, "r");
	char line[1024];

	if (file == NULL || wsgi_rows_add_names(settings) < 0)
		return 1;
	while (fgets(line, sizeof line, file) != NULL) {
		if (strcmp(line, "@OPTIONS@\n") == 0)
			pfi_print_scdoc(settings, stdout);
		else
			(void)fputs(line, stdout);
	}
	(void)fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	int status = 0;

	if (argc < 2 || prefork_settings_create(&settings) < 0 || prefork_http_add_options(settings) < 0 || pfi_tls_rows_add(settings) < 0 ||
	    wsgi_rows_add(settings) < 0)
		return 2;
	if (strcmp(argv[1], "md") == 0)
		pfi_print_markdown(settings, stdout);
	else if (strcmp(argv[1], "scdoc") == 0)
		print_page(settings);
	else if (strcmp(argv[1], "page") == 0 && argc == 3)
		status = fill_page(settings, argv[2]);
	else if (strcmp(argv[1], "check") == 0 && argc == 3)
		status = check(settings, argv[2]);
	else
		status = 2;
	prefork_settings_destroy(settings);
	return fflush(stdout) == 0 ? status : 1;
}

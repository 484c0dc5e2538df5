/*
 * print-settings md|scdoc -- the library's settings as docs/settings.md, or as
 * the options of a man page. print-settings check FILE: is it what md prints?
 */
#include <prefork/error.h>
#include <prefork/settings.h>

#include "cli/cli.h"

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
		(void)fprintf(stderr, "%s is not what the table says: write it anew with print-settings md\n", path);
	return same ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	int status = 0;

	if (argc < 2 || prefork_settings_create(&settings) < 0)
		return 2;
	if (strcmp(argv[1], "md") == 0)
		pfi_print_markdown(settings, stdout);
	else if (strcmp(argv[1], "scdoc") == 0)
		pfi_print_scdoc(settings, stdout);
	else if (strcmp(argv[1], "check") == 0 && argc == 3)
		status = check(settings, argv[2]);
	else
		status = 2;
	prefork_settings_destroy(settings);
	return fflush(stdout) == 0 ? status : 1;
}

/*
 * Input: a byte that selects the source, and its bytes: a command line (words ended by NUL), a variable with
 * arguments like GUNICORN_CMD_ARGS, an environment variable, or a file. Accepted settings are printed as a file
 * that is read back to the same values.
 */
#include <prefork/settings.h>

#include "base/shell_words.h"
#include "cli/cli.h"
#include "model/assign.h"
#include "model/settings.h"

#include "fuzz.h"

#include <stdio.h>

static const struct prefork_option rows[] = {
	{ .struct_size = sizeof(struct prefork_option), .name = "text", .type = PREFORK_OPTION_STRING,
	  .traits = PREFORK_OPTION_MAY_BE_EMPTY, .section = "Ours", .doc = "A text." },
	{ .struct_size = sizeof(struct prefork_option), .name = "list", .type = PREFORK_OPTION_LIST,
	  .section = "Ours", .doc = "A list." },
};

static struct prefork_settings *new_settings(void)
{
	struct prefork_settings *settings = NULL;

	if (prefork_settings_create(&settings) < 0 || prefork_settings_add_options(settings, rows, 2) < 0)
		abort();
	return settings;
}

static int read_file(struct prefork_settings *settings, char *bytes, size_t size)
{
	FILE *const file = fmemopen(bytes, size, "r");
	int r;

	if (file == NULL)
		return -1;
	r = pfi_read_ini(settings, file, "fuzz.ini");
	(void)fclose(file);
	return r;
}

static int read_words(struct prefork_settings *settings, const char *bytes, size_t size)
{
	char *words[64];
	size_t count = 0;
	enum pfi_cli_action question;

	for (size_t at = 0; at < size && count < 64; at += strlen(bytes + at) + 1)
		words[count++] = (char *)(uintptr_t)(bytes + at);
	return pfi_read_arguments(settings, words, count, NULL, &question);
}

static int read_line(struct prefork_settings *settings, const char *bytes)
{
	enum pfi_cli_action question;
	char **words;
	size_t count;
	int r = pfi_split_words(bytes, &words, &count);

	if (r < 0)
		return r;
	r = pfi_read_arguments(settings, words, count, "OUR_ARGS", &question);
	free(words);
	return r;
}

static int read_from(struct prefork_settings *settings, unsigned source, char *bytes, size_t size)
{
	char *variables[] = { bytes, NULL };

	switch (source % 4) {
	case 0:
		return read_words(settings, bytes, size);
	case 1:
		return read_line(settings, bytes);
	case 2:
		return pfi_read_environment(settings, variables);
	default:
		return size > 0 ? read_file(settings, bytes, size) : 0;
	}
}

static void round_trip(const struct prefork_settings *settings)
{
	struct prefork_settings *const again = new_settings();
	char *bytes = NULL;
	size_t size = 0;
	FILE *const out = open_memstream(&bytes, &size);

	pfi_print_config(settings, out);
	(void)fclose(out);
	if (read_file(again, bytes, size) < 0)
		abort();
	for (size_t i = 0; i < settings->count; i++)
		if (!(settings->rows[i].traits & PREFORK_OPTION_COMMAND_LINE) &&
		    pfi_settings_differ(settings, again, i))
			abort();
	free(bytes);
	prefork_settings_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prefork_settings *settings;
	char *bytes;

	if (size == 0 || (bytes = malloc(size)) == NULL)
		return 0;
	memcpy(bytes, data + 1, size - 1);
	bytes[size - 1] = '\0';
	settings = new_settings();
	if (read_from(settings, data[0], bytes, size - 1) == 0)
		round_trip(settings);
	prefork_settings_destroy(settings);
	free(bytes);
	return 0;
}

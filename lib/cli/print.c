/* Prints --print-config: a file from which --config reads the same settings. */
#include "cli/cli.h"

#include <string.h>

#include "base/text.h"
#include "model/assign.h"

enum { PIECE = 100, VALUE_MAX = 1 << 16 };

/* Whether pfi_read_ini() would read the plain text as another value. */
static bool needs_quotes(const char *value)
{
	const size_t length = strlen(value);

	if (length == 0 || length > PIECE || value[0] == '"' || strchr(" \t", value[0]) != NULL ||
	    strchr(" \t", value[length - 1]) != NULL)
		return true;
	for (const char *c = value; *c != '\0'; c++)
		if (*c == ';' || (unsigned char)*c < ' ' || *c == 0x7f)
			return true;
	return false;
}

static void print_quoted_byte(FILE *out, char c)
{
	if (c == '"' || c == '\\')
		(void)fprintf(out, "\\%c", c);
	else if ((unsigned char)c < ' ' || c == 0x7f || c == ';')
		(void)fprintf(out, "\\x%02x", (unsigned)(unsigned char)c);
	else
		(void)fputc(c, out);
}

/* Long texts are printed in pieces on indented lines, since inih limits the length of a line. */
static void print_value(FILE *out, const char *value)
{
	size_t width = 0;

	if (!needs_quotes(value)) {
		(void)fputs(value, out);
		return;
	}
	(void)fputc('"', out);
	for (const char *c = value; *c != '\0'; c++) {
		if (width >= PIECE) {
			(void)fputs("\" \\\n\t\"", out);
			width = 0;
		}
		print_quoted_byte(out, *c);
		width += *c == ';' || *c == 0x7f || (unsigned char)*c < ' ' ? 4 : *c == '"' || *c == '\\' ? 2 : 1;
	}
	(void)fputc('"', out);
}

static bool is_number(enum prefork_option_type type)
{
	return type != PREFORK_OPTION_STRING && type != PREFORK_OPTION_LIST && type != PREFORK_OPTION_CHOICE;
}

static void print_row(const struct prefork_settings *settings, size_t index, FILE *out)
{
	const struct prefork_option *const row = &settings->rows[index];
	const struct pfi_value *const value = &settings->values[index];
	char bytes[150]; /* truncates a place, so that the line is below inih's limit */
	struct pfi_text text;

	if (value->origin != PREFORK_FROM_ROW) {
		pfi_text_init(&text, bytes, sizeof bytes);
		pfi_text_add_line(&text, value->place, strlen(value->place));
		(void)fprintf(out, "# from %s\n", bytes);
	}
	if (is_number(row->type)) {
		pfi_text_init(&text, bytes, sizeof bytes);
		pfi_text_add_value(&text, settings, index, 0);
		(void)fprintf(out, "%s = %s\n", row->name, bytes);
		return;
	}
	for (size_t i = 0; i < value->count; i++) {
		(void)fprintf(out, "%s = ", row->name);
		print_value(out, value->items[i]);
		(void)fputc('\n', out);
	}
	if (value->count == 0)
		(void)fprintf(out, "%s%s =\n", row->traits & PREFORK_OPTION_MAY_BE_EMPTY ? "" : "# ", row->name);
}

static bool is_hidden(const struct prefork_settings *settings, size_t index)
{
	return (settings->rows[index].traits & PREFORK_OPTION_HIDDEN) != 0 &&
	       settings->values[index].origin <= PREFORK_FROM_HOST;
}

void pfi_print_config(const struct prefork_settings *settings, FILE *out)
{
	(void)fprintf(out, "[prefork]\n");
	for (size_t i = 0; i < settings->count; i++)
		if (!(settings->rows[i].traits & PREFORK_OPTION_COMMAND_LINE) && !is_hidden(settings, i))
			print_row(settings, i, out);
}

/* Prints docs/settings.md, and the section OPTIONS of a man page, from the rows of the settings. */
#include "cli/cli.h"

#include <string.h>

#include "base/text.h"
#include "model/assign.h"

/* Whether the row is the first of its section. Sections are printed in the order of their first rows. */
static bool begins_section(const struct prefork_settings *settings, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(settings->rows[i].section, settings->rows[index].section) == 0)
			return false;
	return true;
}

static void for_each(const struct prefork_settings *settings, FILE *out, const char *heading,
		     void (*print)(const struct prefork_settings *settings, size_t index, FILE *out))
{
	for (size_t i = 0; i < settings->count; i++) {
		if (!begins_section(settings, i))
			continue;
		(void)fprintf(out, "\n%s %s\n", heading, settings->rows[i].section);
		for (size_t k = i; k < settings->count; k++)
			if (strcmp(settings->rows[k].section, settings->rows[i].section) == 0)
				print(settings, k, out);
	}
}

static void add_default(struct pfi_text *text, const struct prefork_settings *settings, size_t index)
{
	const size_t count = settings->values[index].count;

	pfi_text_add_value(text, settings, index, 0);
	for (size_t i = 1; i < count; i++) {
		pfi_text_add(text, ", ");
		pfi_text_add_value(text, settings, index, i);
	}
	if (text->length == 0)
		pfi_text_add(text, "none");
}

static void print_markdown_row(const struct prefork_settings *settings, size_t index, FILE *out)
{
	const struct prefork_option *const row = &settings->rows[index];
	char flag[PFI_FLAG_MAX], variable[PFI_VARIABLE_MAX], bytes[400], value[300];
	const char *const metavar = pfi_option_metavar(row);
	struct pfi_text expected, text;

	(void)fprintf(out, "\n### `%s`\n\n%s\n\n- flags:", row->name, row->doc);
	for (size_t i = 0; pfi_option_flag(row, i, flag); i++)
		(void)fprintf(out, "%s `%s%s%s`", i > 0 ? "," : "", flag, *metavar != '\0' ? " " : "", metavar);
	if (pfi_option_variable(row, variable))
		(void)fprintf(out, "\n- variable: `%s`", variable);
	pfi_text_init(&expected, bytes, sizeof bytes);
	pfi_text_add_expected(&expected, settings, index);
	pfi_text_init(&text, value, sizeof value);
	add_default(&text, settings, index);
	(void)fprintf(out, "\n- takes: %s\n- default: `%s`\n", bytes, value);
	if (row->traits & PREFORK_OPTION_COMMAND_LINE)
		(void)fputs("- not in a file\n", out);
	else
		(void)fprintf(out, "- a reload can change it: %s\n- one pool may have its own: %s\n",
			      row->traits & PREFORK_OPTION_RELOADABLE ? "yes" : "no",
			      row->traits & PREFORK_OPTION_SERVER ? "no" : "yes");
}

void pfi_print_markdown(const struct prefork_settings *settings, FILE *out)
{
	(void)fputs("<!-- Made from the tables in lib/model/library_options.c, lib/http/http_options.c and examples/wsgi/rows.c by docs/print-settings. -->\n# Settings\n\n"
		    "Each setting is a flag, an environment variable and a key in the section `[prefork]` of the INI\n"
		    "file that `--config` names. If several sources set a value, the command line wins over the\n"
		    "environment, the environment over the file, the file over the default of the program, and that\n"
		    "over the default of the library. `--no-` before the name of a flag that takes no value switches\n"
		    "the setting off. The settings under *HTTP* exist in programs that serve HTTP, those under\n"
		    "*Application* in `prefork-wsgi`, which accepts `gthread` as another name of the strategy threads.\n\n"
		    "The words of a choice are not case-sensitive: `--log-level INFO`.\n\n"
		    "A time is in seconds unless it has a unit: `30`, `1.5s`, `500ms`, `2m`, `1h`, `7d`.\n\n"
		    "In a file, a value in double quotes may contain `\\n`, `\\t`, `\\\"`, `\\\\` and `\\xHH`; a `;` after a\n"
		    "blank begins a comment. A line has at most 196 bytes. To continue a list, indent the lines that\n"
		    "follow; to continue a quoted text, write a `\\` after the closing quote and begin the next line with\n"
		    "a blank and a quote.\n", out);
	for_each(settings, out, "##", print_markdown_row);
}

/* Escape the characters that have a meaning in scdoc. */
static void print_scdoc_text(FILE *out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		(void)fprintf(out, "%s%c", strchr("*_\\", *c) != NULL ? "\\" : "", *c);
}

static void print_scdoc_row(const struct prefork_settings *settings, size_t index, FILE *out)
{
	const struct prefork_option *const row = &settings->rows[index];
	const char *const metavar = pfi_option_metavar(row);
	char flag[PFI_FLAG_MAX], value[300];
	struct pfi_text text;

	(void)fputc('\n', out);
	for (size_t i = 0; pfi_option_flag(row, i, flag); i++) {
		(void)fprintf(out, "%s*%s*", i > 0 ? ", " : "", flag);
		if (*metavar != '\0')
			(void)fprintf(out, " _%s_", metavar);
	}
	(void)fputs("\n\t", out);
	print_scdoc_text(out, row->doc);
	pfi_text_init(&text, value, sizeof value);
	add_default(&text, settings, index);
	(void)fputs(" Default: ", out);
	print_scdoc_text(out, value);
	(void)fputs(".\n", out);
}

void pfi_print_scdoc(const struct prefork_settings *settings, FILE *out)
{
	for_each(settings, out, "##", print_scdoc_row);
}

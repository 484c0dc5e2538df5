/* Prints --help, in 80 columns. */
#include "cli/cli.h"

#include <string.h>

#include "base/text.h"
#include "model/assign.h"

enum { COLUMNS = 79, DOC_COLUMN = 30 };

const char *pfi_option_metavar(const struct prefork_option *row)
{
	static const char *const by_type[] = {
		[PREFORK_OPTION_BOOL] = "", [PREFORK_OPTION_INT] = "N", [PREFORK_OPTION_DURATION] = "TIME",
		[PREFORK_OPTION_SIZE] = "SIZE", [PREFORK_OPTION_STRING] = "TEXT", [PREFORK_OPTION_LIST] = "TEXT",
		[PREFORK_OPTION_CHOICE] = "WORD", [PREFORK_OPTION_MODE] = "MODE",
	};

	return row->unit != NULL ? row->unit : by_type[row->type];
}

/* Print the words of `text` from column `*column` on; further lines begin at column `indent`. */
static void wrap(FILE *out, const char *text, int indent, int *column)
{
	for (const char *word = text + strspn(text, " "); *word != '\0';) {
		const int length = (int)strcspn(word, " ");

		if (*column > indent && *column + 1 + length > COLUMNS) {
			(void)fprintf(out, "\n%*s", indent, "");
			*column = indent;
		} else if (*column > indent) {
			(void)fputc(' ', out);
			++*column;
		}
		(void)fprintf(out, "%.*s", length, word);
		*column += length;
		word += length;
		word += strspn(word, " ");
	}
}

/* Add the key in a file, unless a flag of the row has the same name. */
static void add_key(struct pfi_text *text, const struct prefork_option *row)
{
	char own[PFI_FLAG_MAX], flag[PFI_FLAG_MAX];
	const struct prefork_option plain = { .name = row->name };

	if ((row->traits & PREFORK_OPTION_COMMAND_LINE) || !pfi_option_flag(&plain, 0, own))
		return;
	for (size_t k = 0; pfi_option_flag(row, k, flag); k++)
		if (strcmp(flag, own) == 0)
			return;
	pfi_text_format(text, " In a file: %s.", row->name);
}

/* Add what follows the row's own text: the words of a choice, the key in a file, and the default, as "[30s]". */
static void add_details(struct pfi_text *text, const struct prefork_settings *settings, size_t index)
{
	const struct prefork_option *const row = &settings->rows[index];
	char bytes[200];
	struct pfi_text value;

	if (row->type == PREFORK_OPTION_CHOICE) {
		pfi_text_add_char(text, ' ');
		pfi_text_add_expected(text, settings, index);
		text->bytes[1] = 'O'; /* "one of" comes first here */
		pfi_text_add_char(text, '.');
	}
	add_key(text, row);
	pfi_text_init(&value, bytes, sizeof bytes);
	pfi_text_add_value(&value, settings, index, 0);
	if (row->type == PREFORK_OPTION_BOOL ? settings->values[index].number != 0 : value.length > 0)
		pfi_text_format(text, " [%s]", bytes);
}

static void print_row(const struct prefork_settings *settings, size_t index, FILE *out)
{
	const struct prefork_option *const row = &settings->rows[index];
	const char *const metavar = pfi_option_metavar(row);
	char flag[PFI_FLAG_MAX], head[300], bytes[400];
	struct pfi_text text, details;
	int column;

	pfi_text_init(&text, head, sizeof head);
	pfi_text_add(&text, "  ");
	for (size_t i = 0; pfi_option_flag(row, i, flag); i++)
		pfi_text_format(&text, "%s%s", i > 0 ? ", " : flag[1] == '-' ? "    " : "", flag);
	if (*metavar != '\0')
		pfi_text_format(&text, " %s", metavar);
	(void)fputs(head, out);
	if (text.length + 2 > DOC_COLUMN)
		(void)fprintf(out, "\n%*s", DOC_COLUMN, "");
	else
		(void)fprintf(out, "%*s", DOC_COLUMN - (int)text.length, "");
	column = DOC_COLUMN;
	wrap(out, row->doc, DOC_COLUMN, &column);
	pfi_text_init(&details, bytes, sizeof bytes);
	add_details(&details, settings, index);
	wrap(out, bytes, DOC_COLUMN, &column);
	(void)fputc('\n', out);
}

/* Whether row `index` is printed in this section. */
static bool is_shown(const struct prefork_settings *settings, size_t index, const char *section)
{
	const struct prefork_option *const row = &settings->rows[index];

	return !(row->traits & PREFORK_OPTION_HIDDEN) && strcmp(row->section, section) == 0;
}

static bool is_first_of_section(const struct prefork_settings *settings, size_t index)
{
	const char *const section = settings->rows[index].section;

	for (size_t i = 0; i < index; i++)
		if (is_shown(settings, i, section))
			return false;
	return is_shown(settings, index, section);
}

static void print_section(const struct prefork_settings *settings, size_t first, FILE *out)
{
	const char *const section = settings->rows[first].section;

	(void)fprintf(out, "\n%s:\n", section);
	for (size_t i = first; i < settings->count; i++)
		if (is_shown(settings, i, section))
			print_row(settings, i, out);
}

void pfi_print_help(const struct prefork_settings *settings, FILE *out)
{
	const char *const arguments = settings->arguments_usage;
	int column = 0;

	const bool optional = arguments != NULL && settings->arguments_min == 0;

	(void)fprintf(out, "Usage: %s [OPTIONS]%s%s%s%s\n", settings->program, arguments != NULL ? " " : "",
		      optional ? "[" : "", arguments != NULL ? arguments : "", optional ? "]" : "");
	if (settings->summary != NULL) {
		(void)fputc('\n', out);
		wrap(out, settings->summary, 0, &column);
		(void)fputc('\n', out);
	}
	for (size_t i = 0; i < settings->count; i++)
		if (is_first_of_section(settings, i))
			print_section(settings, i, out);
	(void)fprintf(out, "  -h, --help%*sPrint this.\n", DOC_COLUMN - 12, "");
	(void)fprintf(out, "  -v, --version%*sPrint the version.\n", DOC_COLUMN - 15, "");
	(void)fprintf(out, "\n");
	column = 0;
	wrap(out, "TIME is in seconds unless it has a unit: 30, 1.5s, 500ms, 2m, 1h, 7d. --no-flag switches off what "
		  "--flag switches on. Every setting is also an environment variable "
		  "(PREFORK_WORKERS=4) and a key in the file (workers = 4); the command line wins over the "
		  "environment, and the environment over the file.", 0, &column);
	(void)fputc('\n', out);
}

/* --help, in 80 columns. */
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

/* Words of `text` from column `*column` on, in lines that start at `indent`. */
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

/* The key in a file, where no flag of the row says it. */
static void add_key(struct pfi_text *activity, const struct prefork_option *row)
{
	char own[PFI_FLAG_MAX], flag[PFI_FLAG_MAX];
	const struct prefork_option plain = { .name = row->name };

	if ((row->traits & PREFORK_OPTION_COMMAND_LINE) || !pfi_option_flag(&plain, 0, own))
		return;
	for (size_t k = 0; pfi_option_flag(row, k, flag); k++)
		if (strcmp(flag, own) == 0)
			return;
	pfi_text_format(activity, " In a file: %s.", row->name);
}

/* "[30s]", or what the words may be and "[sync]". */
static void add_note(struct pfi_text *activity, const struct prefork_settings *settings, size_t index)
{
	const struct prefork_option *const row = &settings->rows[index];
	char bytes[200];
	struct pfi_text value;

	if (row->type == PREFORK_OPTION_CHOICE) {
		pfi_text_add_char(activity, ' ');
		pfi_text_add_expected(activity, settings, index);
		activity->bytes[1] = 'O';
		pfi_text_add_char(activity, '.');
	}
	add_key(activity, row);
	pfi_text_init(&value, bytes, sizeof bytes);
	pfi_text_add_value(&value, settings, index, 0);
	if (row->type == PREFORK_OPTION_BOOL ? settings->values[index].number != 0 : value.length > 0)
		pfi_text_format(activity, " [%s]", bytes);
}

static void print_row(const struct prefork_settings *settings, size_t index, FILE *out)
{
	const struct prefork_option *const row = &settings->rows[index];
	const char *const metavar = pfi_option_metavar(row);
	char flag[PFI_FLAG_MAX], head[300], activity[400];
	struct pfi_text text, more;
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
	pfi_text_init(&more, activity, sizeof activity);
	add_note(&more, settings, index);
	wrap(out, activity, DOC_COLUMN, &column);
	(void)fputc('\n', out);
}

static bool is_first_of_section(const struct prefork_settings *settings, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(settings->rows[i].section, settings->rows[index].section) == 0)
			return false;
	return true;
}

static void print_section(const struct prefork_settings *settings, size_t first, FILE *out)
{
	(void)fprintf(out, "\n%s:\n", settings->rows[first].section);
	for (size_t i = first; i < settings->count; i++)
		if (strcmp(settings->rows[i].section, settings->rows[first].section) == 0)
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
	wrap(out, "TIME: 30 and 30s are seconds; 500ms, 1.5, 2m, 1h and 7d are understood, too. What --flag "
		  "switches on, --no-flag switches off. Every setting is also an environment variable "
		  "(PREFORK_WORKERS=4) and a key in the file (workers = 4); the command line wins over the "
		  "environment, and the environment over the file.", 0, &column);
	(void)fputc('\n', out);
}

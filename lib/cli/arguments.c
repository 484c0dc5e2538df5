/* Reads flags with the syntax of getopt_long(3) and Python's argparse; abbreviations are refused. */
#include "cli/cli.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "model/assign.h"

struct argument_reader {
	struct prefork_settings *settings;
	char *const *words;
	size_t count, next;
	const char *variable; /* NULL: the command line */
};

/* One flag, split into its parts. */
struct flag {
	char text[PFI_FLAG_MAX]; /* "--workers", "-w"                            */
	const char *value;       /* after the = or the letter; NULL: none        */
	size_t index;            /* of the row; settings->count: unknown flag    */
	bool off;                /* BOOL: the flag switches the setting off      */
};

static int error_of(const struct argument_reader *reader)
{
	return reader->variable != NULL ? PREFORK_ECONFIG : PREFORK_EUSAGE;
}

/* "--workers"; from a variable: "GUNICORN_CMD_ARGS: --workers". */
static void add_place(struct pfi_text *text, const struct argument_reader *reader, const char *flag)
{
	if (reader->variable != NULL)
		pfi_text_format(text, "%s: ", reader->variable);
	pfi_text_add(text, flag);
}

static int refuse_flag(const struct argument_reader *reader, const char *flag, const char *about)
{
	char place[256];
	struct pfi_text text;

	pfi_text_init(&text, place, sizeof place);
	add_place(&text, reader, flag);
	return prefork_fail(error_of(reader), "%s%s", place, about);
}

/* --no-sendfile for --sendfile, and --sendfile for --no-sendfile. False: a short flag, or too long. */
static bool opposite(const char *flag, char other[PFI_FLAG_MAX])
{
	struct pfi_text text;

	if (strncmp(flag, "--", 2) != 0)
		return false;
	pfi_text_init(&text, other, PFI_FLAG_MAX);
	if (strncmp(flag, "--no-", 5) == 0)
		pfi_text_format(&text, "--%s", flag + 5);
	else
		pfi_text_format(&text, "--no-%s", flag + 2);
	return !text.cut;
}

/* Whether the flag of a BOOL row switches it off. In a row whose name begins with no_, --no-... switches it on. */
static bool means_no(const struct prefork_option *row, const char *flag)
{
	return strncmp(flag, "--no-", 5) == 0 && strncmp(row->name, "no_", 3) != 0;
}

static void find_row(const struct prefork_settings *settings, struct flag *flag)
{
	char own[PFI_FLAG_MAX], other[PFI_FLAG_MAX];

	for (flag->index = 0; flag->index < settings->count; flag->index++) {
		const struct prefork_option *const row = &settings->rows[flag->index];
		const bool is_bool = row->type == PREFORK_OPTION_BOOL;

		for (size_t k = 0; pfi_option_flag(row, k, own); k++) {
			flag->off = is_bool && means_no(row, own);
			if (strcmp(own, flag->text) == 0)
				return;
			flag->off = !flag->off;
			if (is_bool && opposite(own, other) && strcmp(other, flag->text) == 0)
				return;
		}
	}
}

static int unknown(const struct argument_reader *reader, const char *text)
{
	const struct prefork_settings *const settings = reader->settings;
	const size_t near = strlen(text) > 2 ? pfi_hint(settings, text, 0) : settings->count;
	char flag[PFI_FLAG_MAX], bytes[512];
	struct pfi_text about;

	pfi_text_init(&about, bytes, sizeof bytes);
	if (reader->variable != NULL)
		pfi_text_format(&about, "%s: ", reader->variable);
	pfi_text_add(&about, "unknown option ");
	pfi_text_add_quoted(&about, text);
	if (near < settings->count) {
		pfi_hint_flag(&settings->rows[near], text, flag);
		pfi_text_format(&about, "; did you mean %s?", flag);
	} else {
		pfi_text_add(&about, "; --help lists all options");
	}
	return prefork_fail(error_of(reader), "%s", bytes);
}

/* Split --flag, --flag=value, -f, -fvalue or -f=value. */
static int split(const struct argument_reader *reader, const char *word, struct flag *flag)
{
	const bool is_long = word[1] == '-';
	const size_t length = is_long ? strcspn(word, "=") : 2;

	*flag = (struct flag){ .index = reader->settings->count };
	if (length >= sizeof flag->text)
		return unknown(reader, word);
	memcpy(flag->text, word, length);
	if (word[length] != '\0')
		flag->value = word + length + (word[length] == '=');
	find_row(reader->settings, flag);
	return 0;
}

/* The value of a flag may be the next word, unless that word begins like a flag: then the value was
 * probably forgotten. "-" and negative numbers are values. */
static bool is_value(const char *word)
{
	return word[0] != '-' || word[1] == '\0' || (word[1] >= '0' && word[1] <= '9');
}

/* The value of a CHOICE that may be BOOL: the next word only if it is one of its words, since "--flag APPLICATION" was
 * written for a flag that takes no value. */
static int take_choice(struct argument_reader *reader, struct flag *flag)
{
	const bool follows = reader->next < reader->count &&
			     pfi_settings_is_choice(reader->settings, flag->index, reader->words[reader->next]);

	flag->value = follows ? reader->words[reader->next++] : "yes";
	return 0;
}

static int take_value(struct argument_reader *reader, struct flag *flag)
{
	char about[160];
	struct pfi_text text;

	if (flag->value != NULL)
		return 0;
	if (reader->settings->rows[flag->index].traits & PREFORK_OPTION_MAY_BE_BOOL)
		return take_choice(reader, flag);
	if (reader->next < reader->count && is_value(reader->words[reader->next])) {
		flag->value = reader->words[reader->next++];
		return 0;
	}
	pfi_text_init(&text, about, sizeof about);
	pfi_text_add(&text, ": a value is missing");
	if (reader->next < reader->count && flag->text[1] == '-') {
		pfi_text_format(&text, "; if the next word is the value, write %s=", flag->text);
		pfi_text_add_escaped(&text, reader->words[reader->next],
				     strnlen(reader->words[reader->next], 40));
	}
	return refuse_flag(reader, flag->text, about);
}

/* The value comes from the flag itself (--flag, --no-flag) or from its value (--flag=no). */
static int assign_bool(const struct argument_reader *reader, const struct flag *flag, const char *place,
		       enum prefork_origin origin)
{
	if (flag->value == NULL)
		return pfi_settings_assign(reader->settings, flag->index, flag->off ? "no" : "yes", origin, place);
	if (flag->off || flag->text[1] != '-')
		return refuse_flag(reader, flag->text, ": takes no value");
	return pfi_settings_assign(reader->settings, flag->index, flag->value, origin, place);
}

static int read_flag(struct argument_reader *reader, const char *word, enum pfi_cli_action *ret_action)
{
	const enum prefork_origin origin =
		reader->variable != NULL ? PREFORK_FROM_VARIABLE : PREFORK_FROM_COMMAND_LINE;
	struct prefork_settings *const settings = reader->settings;
	char place[256];
	struct pfi_text text;
	struct flag flag;
	int r;

	if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
		*ret_action = PFI_CLI_HELP;
		return 0;
	}
	if (strcmp(word, "-v") == 0 || strcmp(word, "--version") == 0) {
		*ret_action = PFI_CLI_VERSION;
		return 0;
	}
	r = split(reader, word, &flag);
	if (r < 0)
		return r;
	if (flag.index == settings->count)
		return unknown(reader, flag.text);
	pfi_text_init(&text, place, sizeof place);
	add_place(&text, reader, flag.text);
	if (settings->rows[flag.index].type == PREFORK_OPTION_BOOL) {
		r = assign_bool(reader, &flag, place, origin);
	} else {
		r = take_value(reader, &flag);
		if (r == 0)
			r = pfi_settings_assign(settings, flag.index, flag.value, origin, place);
	}
	return r == -EINVAL ? error_of(reader) : r;
}

static int read_argument(const struct argument_reader *reader, const char *word)
{
	struct prefork_settings *const settings = reader->settings;
	char bytes[300];
	struct pfi_text about;

	if (reader->variable == NULL && settings->arguments.count < settings->arguments_max)
		return pfi_texts_add(&settings->arguments, word) < 0 ?
			       prefork_fail(-ENOMEM, "out of memory for the command line") : 0;
	pfi_text_init(&about, bytes, sizeof bytes);
	if (reader->variable != NULL)
		pfi_text_format(&about, "%s: ", reader->variable);
	pfi_text_add(&about, "unexpected argument ");
	pfi_text_add_quoted(&about, word);
	if (settings->arguments_max == 0 || reader->variable != NULL)
		pfi_text_add(&about, "; only options are accepted");
	return prefork_fail(error_of(reader), "%s", bytes);
}

int pfi_read_arguments(struct prefork_settings *settings, char *const words[], size_t count,
		       const char *variable, enum pfi_cli_action *ret_action)
{
	struct argument_reader reader = { .settings = settings, .words = words, .count = count, .variable = variable };
	bool flags = true; /* until "--" */
	int r = 0;

	*ret_action = PFI_CLI_RUN;
	while (r == 0 && reader.next < reader.count && *ret_action == PFI_CLI_RUN) {
		const char *const word = reader.words[reader.next++];

		if (flags && strcmp(word, "--") == 0)
			flags = false;
		else if (flags && word[0] == '-' && word[1] != '\0')
			r = read_flag(&reader, word, ret_action);
		else
			r = read_argument(&reader, word);
	}
	return r;
}

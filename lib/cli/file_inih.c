/*
 * Reads settings from an INI file with libinih. inih gets the file line by line: then the number of each line is
 * known, and lines that inih would skip or truncate silently (NUL bytes, long lines, text after the name of a
 * section) are refused first.
 */
#include "cli/cli.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "model/assign.h"

enum { FILE_MAX = 1 << 20, PLACE_MAX = 4096 + 128, NONE = -1 };

struct file_reader {
	struct prefork_settings *settings;
	FILE *file;
	const char *name;
	char *line; /* buffer of getline(3) */
	size_t size;
	int number;    /* of the line, from 1                     */
	bool indented; /* the line begins with a blank            */
	int error;     /* the first error; then reading ends      */
	int error_line;
	int *first;    /* per row: line that sets it first; 0: none */

	/* A value that is not assigned yet, since the next line may continue it. */
	ptrdiff_t pending; /* its row, or NONE */
	bool open;         /* a backslash follows the closing quote: the next line must continue the value */
	char *value;
	char place[PLACE_MAX];
};

static int refuse(struct file_reader *reader, const char *about)
{
	if (reader->error == 0) {
		reader->error = prefork_fail(PREFORK_ECONFIG, "%s:%d: %s", reader->name, reader->number, about);
		reader->error_line = reader->number;
	}
	return 0;
}

static int refuse_word(struct file_reader *reader, const char *before, const char *word, const char *near)
{
	char bytes[256];
	struct pfi_text text;

	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_add(&text, before);
	pfi_text_add_quoted(&text, word);
	if (near != NULL)
		pfi_text_format(&text, "; did you mean '%s'?", near);
	return refuse(reader, bytes);
}

/* Keep an error of pfi_settings_assign(), whose error message contains the place, or a lack of memory. */
static void keep_error(struct file_reader *reader, int r)
{
	if (r < 0 && reader->error == 0) {
		reader->error = r == -EINVAL ? PREFORK_ECONFIG : r;
		reader->error_line = reader->number;
	}
}

static void set_place(struct file_reader *reader, const char *key)
{
	struct pfi_text text;

	pfi_text_init(&text, reader->place, sizeof reader->place);
	pfi_text_format(&text, "%s:%d: %s", reader->name, reader->number, key);
}

static void finish_pending(struct file_reader *reader)
{
	if (reader->open)
		(void)refuse(reader, "the quoted text above ends in \\, but this line does not continue it");
	reader->open = false;
	if (reader->pending != NONE && reader->error == 0)
		keep_error(reader, pfi_settings_assign(reader->settings, (size_t)reader->pending, reader->value,
						       PREFORK_FROM_FILE, reader->place));
	free(reader->value);
	reader->value = NULL;
	reader->pending = NONE;
}

/* Refuse what inih would ignore: text after the first ']'. */
static void check_section_line(struct file_reader *reader, const char *line)
{
	const char *const end = strchr(line, ']');
	const char *const rest = end != NULL ? end + 1 + strspn(end + 1, " \t\r\n") : NULL;

	finish_pending(reader);
	if (end == NULL)
		(void)refuse(reader, "a ']' is missing");
	else if (*rest != '\0' && *rest != ';' && *rest != '#')
		(void)refuse(reader, "nothing may follow the ']'");
	else if (end - line != (ptrdiff_t)strlen("[prefork") || strncmp(line, "[prefork", 8) != 0) {
		*(char *)end = '\0'; /* reading ends here: the line is not used again */
		(void)refuse_word(reader, "unknown section ", line + 1, "prefork");
	}
}

/* An ini_reader. Like fgets(3), but a line that does not fit into `buffer` is an error. */
static char *read_line(char *buffer, int size, void *user)
{
	struct file_reader *const reader = user;
	ssize_t length;
	char *start;

	if (reader->error != 0 || (length = getline(&reader->line, &reader->size, reader->file)) < 0)
		return NULL;
	reader->number++;
	if (strlen(reader->line) != (size_t)length)
		(void)refuse(reader, "the line contains a NUL byte");
	else if (length >= size - 1)
		(void)refuse(reader, "the line is longer than 196 bytes; continue a list in indented lines, and "
				     "quoted text, after a \\, in the next line");
	start = reader->line;
	if (reader->number == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	reader->indented = *start == ' ' || *start == '\t';
	start += strspn(start, " \t");
	if (reader->error == 0 && *start == '[' && (!reader->indented || reader->pending == NONE))
		check_section_line(reader, start);
	if (reader->error != 0)
		return NULL;
	memcpy(buffer, reader->line, (size_t)length + 1);
	return buffer;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *const at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Decode the escape sequence after a backslash and advance `*in`. 0: invalid. */
static char unescape(const char **in)
{
	static const char from[] = "nrt\"\\", to[] = "\n\r\t\"\\";
	const char *const at = **in != '\0' ? strchr(from, **in) : NULL;

	if (at != NULL) {
		++*in;
		return to[at - from];
	}
	if (**in == 'x' && hex_digit((*in)[1]) >= 0 && hex_digit((*in)[2]) >= 0) {
		const int value = hex_digit((*in)[1]) * 16 + hex_digit((*in)[2]);

		*in += 3;
		return (char)value;
	}
	return '\0';
}

/* Append the quoted part of `text` to the pending value. An ini_handler's result: 0 after an error, else 1. */
static int add_quoted(struct file_reader *reader, const char *text)
{
	const size_t before = reader->value != NULL ? strlen(reader->value) : 0;
	char *const value = realloc(reader->value, before + strlen(text) + 1);
	char *out;
	const char *in = text + 1;

	if (value == NULL) {
		keep_error(reader, prefork_fail(-ENOMEM, "%s: out of memory", reader->name));
		return 0;
	}
	reader->value = value;
	out = value + before;
	*out = '\0';
	while (*in != '\0' && *in != '"') {
		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		in++;
		if ((*out++ = unescape(&in)) == '\0') {
			return refuse(reader, "after a \\ expected n, r, t, \", \\ or xHH (not x00)");
		}
	}
	*out = '\0';
	if (*in != '"')
		return refuse(reader, "a quote is not closed (a ';' after a blank begins a comment: write \\x3b)");
	in += 1 + strspn(in + 1, " \t");
	reader->open = strcmp(in, "\\") == 0;
	return reader->open || *in == '\0' ? 1 : refuse(reader, "only a \\ may follow the closing quote");
}

static int set_value(struct file_reader *reader, const char *text)
{
	if (text[0] == '"')
		return add_quoted(reader, text);
	reader->value = strdup(text);
	if (reader->value == NULL)
		keep_error(reader, prefork_fail(-ENOMEM, "%s: out of memory", reader->name));
	return reader->value != NULL;
}

/* An indented line that follows a line with this key. */
static int continue_value(struct file_reader *reader, size_t index, const char *key, const char *text)
{
	if (reader->open)
		return text[0] == '"' ? add_quoted(reader, text) : refuse(reader, "expected a quote: the line above ends in \\");
	if (reader->settings->rows[index].type == PREFORK_OPTION_LIST) {
		finish_pending(reader);
		set_place(reader, key);
		reader->pending = (ptrdiff_t)index;
		return set_value(reader, text);
	}
	return refuse(reader, "an indented line continues the value above; only a list, or quoted text that "
			      "ends in \\, can be continued");
}

static int unknown_key(struct file_reader *reader, const char *key)
{
	const struct prefork_settings *const settings = reader->settings;
	const size_t near = pfi_hint(settings, key, PREFORK_OPTION_COMMAND_LINE);

	return refuse_word(reader, "unknown setting ", key,
			   near < settings->count ? settings->rows[near].name : NULL);
}

static int set_twice(struct file_reader *reader, const char *key, int first)
{
	char about[200];
	struct pfi_text text;

	pfi_text_init(&text, about, sizeof about);
	pfi_text_format(&text, "%s is set twice, first in line %d", key, first);
	return refuse(reader, about);
}

/* An ini_handler. */
static int take_pair(void *user, const char *section, const char *key, const char *text)
{
	struct file_reader *const reader = user;
	struct prefork_settings *const settings = reader->settings;
	const size_t index = pfi_settings_find(settings, key);

	if (reader->error != 0)
		return 0;
	if (reader->indented && reader->pending != NONE && (size_t)reader->pending == index)
		return continue_value(reader, index, key, text);
	finish_pending(reader);
	if (reader->error != 0)
		return 0;
	if (strcmp(section, "prefork") != 0)
		return refuse(reader, "settings must follow the line [prefork]");
	if (index == settings->count)
		return unknown_key(reader, key);
	if (settings->rows[index].traits & PREFORK_OPTION_COMMAND_LINE)
		return refuse_word(reader, "only the command line can set ", key, NULL);
	if (reader->first[index] != 0 && settings->rows[index].type != PREFORK_OPTION_LIST)
		return set_twice(reader, key, reader->first[index]);
	reader->first[index] = reader->number;
	reader->pending = (ptrdiff_t)index;
	set_place(reader, key);
	return set_value(reader, text);
}

int pfi_read_ini(struct prefork_settings *settings, FILE *file, const char *name)
{
	struct file_reader reader = { .settings = settings, .file = file, .name = name, .pending = NONE };
	int line;

	reader.first = calloc(settings->count + 1, sizeof *reader.first);
	if (reader.first == NULL)
		return prefork_fail(-ENOMEM, "%s: out of memory", name);
	line = ini_parse_stream(read_line, &reader, take_pair, &reader);
	if (line > 0 && (reader.error == 0 || line < reader.error_line))
		reader.error = prefork_fail(PREFORK_ECONFIG, "%s:%d: expected NAME = VALUE, or [prefork]", name, line);
	else if (reader.error == 0 && line < 0)
		reader.error = prefork_fail(-ENOMEM, "%s: out of memory", name);
	else if (reader.error == 0 && ferror(file))
		reader.error = prefork_fail(PREFORK_ECONFIG, "%s: %s", name, strerror(errno));
	finish_pending(&reader);
	free(reader.first);
	free(reader.line);
	return reader.error;
}

/* A reload reads the file again, and must not block: only a regular file has both. */
static int open_regular(const char *path, const char *place)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s: %s", place, path, strerror(errno));
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_MAX)
		return fd;
	(void)close(fd);
	return prefork_fail(PREFORK_ECONFIG, "%s: %s: expected a regular file of at most 1 MiB", place, path);
}

int pfi_read_file(struct prefork_settings *settings, const char *path, const char *place)
{
	const int fd = open_regular(path, place);
	FILE *file;
	int r;

	if (fd < 0)
		return fd;
	file = fdopen(fd, "r");
	if (file == NULL) {
		(void)close(fd);
		return prefork_fail(-ENOMEM, "%s: out of memory", path);
	}
	r = pfi_read_ini(settings, file, path);
	(void)fclose(file);
	return r;
}

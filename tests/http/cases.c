#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *bytes;
	size_t length;
};

static void fail(const char *what, const char *line)
{
	fprintf(stderr, "cases: %s: %s\n", what, line);
	abort();
}

static void add(struct text *text, const char *bytes, size_t length)
{
	text->bytes = realloc(text->bytes, text->length + length + 1);
	if (text->bytes == NULL)
		abort();
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

static const char *unescape(struct text *text, const char *from, char until);

/* \{N:text}: the text N times. It may have escapes, and one more repetition, inside. */
static const char *repeat(struct text *text, const char *from)
{
	char *inner = NULL;
	struct text piece = { NULL, 0 };
	const long times = strtol(from, &inner, 10);

	if (times <= 0 || *inner != ':')
		fail("bad repetition", from);
	add(&piece, "", 0);
	from = unescape(&piece, inner + 1, '}');
	for (long i = 0; i < times; i++)
		add(text, piece.bytes, piece.length);
	free(piece.bytes);
	return from + 1;
}

static const char *unescape(struct text *text, const char *from, char until)
{
	static const char names[] = "rnt0\\";
	static const char values[] = "\r\n\t\0\\";

	while (*from != until) {
		if (*from == '\0')
			fail("no end", text->bytes);
		if (*from != '\\') {
			add(text, from++, 1);
			continue;
		}
		from++;
		const char *const found = *from != '\0' ? strchr(names, *from) : NULL;
		if (found != NULL) {
			add(text, &values[found - names], 1);
			from++;
		} else if (*from == 'x') {
			const char digits[] = { from[1], from[2], '\0' };
			const char value = (char)strtol(digits, NULL, 16);
			add(text, &value, 1);
			from += 3;
		} else if (*from == '{') {
			from = repeat(text, from + 1);
		} else {
			fail("bad escape", from);
		}
	}
	return from;
}

static char *next_part(char **line)
{
	char *const part = *line;
	char *const bar = strstr(part, " | ");

	if (bar == NULL)
		fail("too few parts", part);
	*bar = '\0';
	*line = bar + 3;
	return part;
}

static struct one_case parse(char *line)
{
	struct one_case one = { 0, NULL, NULL, NULL, 0 };
	struct text text = { NULL, 0 };

	one.number = atoi(next_part(&line));
	one.reference = strdup(next_part(&line));
	one.name = strdup(next_part(&line));
	add(&text, "", 0);
	(void)unescape(&text, line, '\0');
	one.bytes = text.bytes;
	one.length = text.length;
	return one;
}

struct cases read_cases(const char *path)
{
	struct cases cases = { NULL, 0 };
	FILE *const file = fopen(path, "r");
	char line[4096];

	if (file == NULL)
		fail("cannot open", path);
	while (fgets(line, sizeof line, file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		cases.all = realloc(cases.all, (size_t)(cases.count + 1) * sizeof *cases.all);
		if (cases.all == NULL)
			abort();
		cases.all[cases.count++] = parse(line);
	}
	fclose(file);
	return cases;
}

void free_cases(struct cases *cases)
{
	for (int i = 0; i < cases->count; i++) {
		free(cases->all[i].reference);
		free(cases->all[i].name);
		free(cases->all[i].bytes);
	}
	free(cases->all);
	*cases = (struct cases){ NULL, 0 };
}

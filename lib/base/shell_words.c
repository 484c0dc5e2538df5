#include "base/shell_words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copy one word and advance both pointers. Within double quotes a backslash escapes only ", \, $ and ` (POSIX shell,
 * 2.2.3). */
static int copy_word(const char **from, char **to)
{
	const char *in = *from;
	char *out = *to;
	char quote = '\0';

	for (; *in != '\0' && (quote != '\0' || !is_blank(*in)); in++) {
		if (quote == '\0' && (*in == '\'' || *in == '"')) {
			quote = *in;
		} else if (*in == quote) {
			quote = '\0';
		} else if (*in == '\\' && quote != '\'') {
			if (in[1] == '\0')
				return -EINVAL;
			if (quote == '"' && strchr("\"\\$`", in[1]) == NULL)
				*out++ = *in;
			*out++ = *++in;
		} else {
			*out++ = *in;
		}
	}
	if (quote != '\0')
		return -EINVAL;
	*out++ = '\0';
	*from = in;
	*to = out;
	return 0;
}

int pfi_split_words(const char *line, char ***ret, size_t *ret_count)
{
	/* Each word but the last is followed by a blank, so a line has at most this many. */
	const size_t length = strlen(line), words_max = length / 2 + 1;
	char **const words = malloc((words_max + 1) * sizeof *words + length + 1);
	char *to;
	size_t count = 0;

	if (words == NULL)
		return -ENOMEM;
	to = (char *)(words + words_max + 1);
	for (;;) {
		while (is_blank(*line))
			line++;
		if (*line == '\0')
			break;
		words[count++] = to;
		if (copy_word(&line, &to) < 0) {
			free(words);
			return -EINVAL;
		}
	}
	words[count] = NULL;
	*ret = words;
	*ret_count = count;
	return 0;
}

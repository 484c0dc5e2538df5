/* Replaces {slot} and {pid} in values of the setting raw_env. */
#include "raw_env.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum meaning { SLOT, PID, ESCAPED };

/* The first one that matches counts. */
static const struct token {
	const char *text;
	enum meaning meaning;
} tokens[] = {
	{ "{slot}", SLOT }, { "{pid}", PID }, { "{{slot}}", ESCAPED }, { "{{pid}}", ESCAPED },
};

static const struct token *token_at(const char *text)
{
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		if (strncmp(text, tokens[i].text, strlen(tokens[i].text)) == 0)
			return &tokens[i];
	}
	return NULL;
}

static void write_token(FILE *out, const struct token *token, const struct wsgi_raw_env_worker *worker)
{
	if (token->meaning == SLOT)
		(void)fprintf(out, "%u", worker->slot);
	else if (token->meaning == PID)
		(void)fprintf(out, "%d", worker->pid);
	else /* without the outer braces */
		(void)fwrite(token->text + 1, 1, strlen(token->text) - 2, out);
}

bool wsgi_raw_env_needs_worker(const char *value)
{
	while (*value != '\0') {
		const struct token *const token = token_at(value);

		if (token && token->meaning != ESCAPED)
			return true;
		value += token ? strlen(token->text) : 1;
	}
	return false;
}

char *wsgi_raw_env_expand(const char *value, const struct wsgi_raw_env_worker *worker)
{
	char *bytes = NULL;
	size_t size;
	FILE *const out = open_memstream(&bytes, &size);

	if (out == NULL)
		return NULL;
	while (*value != '\0') {
		const struct token *const token = token_at(value);

		if (token)
			write_token(out, token, worker);
		else
			(void)fputc(*value, out);
		value += token ? strlen(token->text) : 1;
	}
	if (fclose(out) != 0) {
		free(bytes);
		return NULL;
	}
	return bytes;
}

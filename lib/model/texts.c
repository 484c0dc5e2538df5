/* A list of strings that grows. */
#include "model/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pfi_texts_add(struct pfi_texts *texts, const char *text)
{
	char **const items = realloc(texts->items, (texts->count + 2) * sizeof *items);

	if (items == NULL)
		return -ENOMEM;
	texts->items = items;
	if ((items[texts->count] = strdup(text)) == NULL)
		return -ENOMEM;
	items[++texts->count] = NULL;
	return 0;
}

void pfi_texts_finish(struct pfi_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
	*texts = (struct pfi_texts){ 0 };
}

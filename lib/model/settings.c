/* Creates, references, freezes and destroys settings. */
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pfi_settings_create_empty(struct prefork_settings **ret)
{
	struct prefork_settings *const settings = calloc(1, sizeof *settings);

	if (settings == NULL)
		return prefork_fail(-ENOMEM, "out of memory for the settings");
	atomic_init(&settings->references, 1);
	*ret = settings;
	return 0;
}

static void finish_values(struct prefork_settings *settings)
{
	for (size_t i = 0; i < settings->count; i++) {
		pfi_texts_finish(&(struct pfi_texts){ settings->values[i].items, settings->values[i].count });
		free(settings->values[i].place);
	}
	free(settings->values);
}

void prefork_settings_destroy(struct prefork_settings *settings)
{
	if (settings == NULL || atomic_fetch_sub(&settings->references, 1) > 1)
		return;
	free(settings->directory);
	pfi_texts_finish(&settings->argv);
	pfi_texts_finish(&settings->arguments);
	finish_values(settings);
	free(settings->argument_variable);
	free(settings->arguments_usage);
	free(settings->summary);
	free(settings->version);
	free(settings->program);
	pfi_texts_finish(&settings->claimed);
	free(settings->checks);
	for (size_t i = 0; i < settings->default_count; i++) {
		free(settings->defaults[i].name);
		free(settings->defaults[i].text);
	}
	free(settings->defaults);
	free(settings->choices);
	free(settings->bindings);
	for (size_t i = 0; i < settings->module_count; i++)
		free(settings->modules[i].values);
	free(settings->modules);
	free(settings->rows);
	free(settings);
}

struct prefork_settings *pfi_settings_ref(struct prefork_settings *settings)
{
	atomic_fetch_add(&settings->references, 1);
	return settings;
}

void pfi_settings_freeze(struct prefork_settings *settings)
{
	settings->frozen = true;
}

size_t pfi_settings_find(const struct prefork_settings *settings, const char *name)
{
	size_t i = 0;

	while (i < settings->count && strcmp(settings->rows[i].name, name) != 0)
		i++;
	return i;
}

/*
 * model/settings.h -- the settings object from the inside.
 *
 * lib/cli fills it; everybody else reads it through <prefork/settings.h>. The
 * values are written only while the settings are parsed. pfi_settings_freeze()
 * makes that a rule, and from then on any thread may read and hold them.
 */
#ifndef PFI_MODEL_SETTINGS_H
#define PFI_MODEL_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <prefork/settings.h>

struct pfi_value {
	int64_t number;
	char **items; /* a STRING's and a CHOICE's one text is items[0]; own, each item too */
	size_t count;
	enum prefork_origin origin;
	char *place; /* own */
};

struct pfi_choice {
	const char *row, *word, *meaning;
};

struct pfi_default {
	char *name, *text;
};

struct pfi_check {
	int (*check)(const struct prefork_settings *settings, void *user);
	void *user;
};

/* A module, and its struct: own, values_size bytes. */
struct pfi_module {
	const struct prefork_module *module;
	char *values;
};

/* The value of row `row` is also stored at `offset` of the struct of module `module`. */
struct pfi_binding {
	size_t row, module, offset;
	enum prefork_member member;
};

/* Texts that are ours to free. */
struct pfi_texts {
	char **items;
	size_t count;
};

struct prefork_settings {
	atomic_uint holders;
	bool frozen, parsed;

	/* What the host said before parsing. */
	struct prefork_option *rows; /* whole rows, whatever struct_size the host had */
	size_t count;                /* of rows and of values */
	struct pfi_module *modules;
	size_t module_count;
	struct pfi_binding *bindings;
	size_t binding_count;
	struct pfi_choice *choices;
	size_t choice_count;
	struct pfi_default *defaults;
	size_t default_count;
	struct pfi_check *checks;
	size_t check_count;
	struct pfi_texts claimed;
	char *program, *version, *summary;
	char *arguments_usage, *argument_variable;
	size_t arguments_min, arguments_max;

	/* What parsing found. */
	struct pfi_value *values;   /* one per row */
	struct pfi_texts arguments; /* besides flags */
	struct pfi_texts argv;      /* all, for reading again */
	char *directory;               /* where a relative --config is looked for */

	/* Set by parsing: lib/cli lies above the arbiter's floors. */
	int (*reread)(const struct prefork_settings *old, struct prefork_settings **ret);
};

/* A *new* object without rows. -ENOMEM. */
int pfi_settings_create_empty(struct prefork_settings **ret);

/* One more holder; everyone lets go by prefork_settings_destroy(). */
struct prefork_settings *pfi_settings_ref(struct prefork_settings *settings);

/* From now on every change answers -EBUSY. */
void pfi_settings_freeze(struct prefork_settings *settings);

/* A *new* object with the same values, unfrozen. -ENOMEM. */
int pfi_settings_copy(const struct prefork_settings *old, struct prefork_settings **ret);

/* Gives a row a value above every other place, for prefork_pool_set(); again: the
 * last one wins, and of a LIST replaces the items. The place of the value is then
 * "pool POOL: NAME". -ENOENT: no such row; PREFORK_ECONFIG: the row does not take it,
 * or is one of the whole server; -EBUSY: frozen; -ENOMEM. */
int pfi_settings_override(struct prefork_settings *settings, const char *name, const char *text,
			  const char *pool);

/* Reads file and environment again under the same command line, and checks all
 * of it: a *new*, unfrozen object, or what prefork_settings_parse() fails with.
 * Settings that were never parsed have nothing to read again: a copy. */
int pfi_settings_reread(const struct prefork_settings *old, struct prefork_settings **ret);

/* Names the first row that differs and may not change by a reload: 0, or
 * PREFORK_ECONFIG with an error message that says what it was and would be. Both come
 * from the same rows. */
int pfi_settings_diff_unreloadable(const struct prefork_settings *old, const struct prefork_settings *new);

/* Whether the value of row `index` differs. Both have the same rows. */
bool pfi_settings_differ(const struct prefork_settings *a, const struct prefork_settings *b, size_t index);

/* "--workers", "app.ini:12: workers", "default": where the value that `member` holds was given, as
 * prefork_settings_origin_of(). */
const char *pfi_settings_place(const struct prefork_settings *settings, const void *member);

/* Whether `word` is a choice that the application added to the row of `member`, with no meaning but itself. */
bool pfi_settings_is_added_choice(const struct prefork_settings *settings, const void *member, const char *word);

/* Whether the application has a BOOL row preload_app, and it is on: see prefork_settings_add_options(). */
bool pfi_settings_preloads(const struct prefork_settings *settings);

/* --- for the files of settings --- */

/* Appends rows; `module` NULL: without members. On failure the caller removes rows, bindings and module by
 * pfi_settings_drop(). */
int pfi_settings_add_rows(struct prefork_settings *settings, const struct prefork_option *rows, size_t count,
			  const struct prefork_module *module);
/* Removes what was added behind these numbers of rows, bindings and modules. */
void pfi_settings_drop(struct prefork_settings *settings, size_t rows, size_t bindings, size_t modules);

/* Binds row `index` to the member that `option` names, in the module added last. -EINVAL, -EEXIST, -ENOMEM. */
int pfi_settings_bind(struct prefork_settings *settings, size_t index, const struct prefork_option *option);

/* Writes the value of row `index` into every member that is bound to it. */
void pfi_settings_store(const struct prefork_settings *settings, size_t index);

/* Appends a module without rows, its struct all zero. -ENOMEM. */
int pfi_settings_append_module(struct prefork_settings *settings, const struct prefork_module *module);

/* The module as the settings have it, or NULL. */
const struct pfi_module *pfi_settings_find_module(const struct prefork_settings *settings,
						  const struct prefork_module *module);

/* Gives `to`, which has the rows of `from` and no modules, the same modules and bindings. -ENOMEM. */
int pfi_settings_copy_modules(struct prefork_settings *to, const struct prefork_settings *from);

/* Whether a member holds the index of the word in `choices`, so that no words can be added. */
bool pfi_settings_stores_index(const struct prefork_settings *settings, size_t index);

/* --- for lib/cli --- */

/* A *new* object that knows what the host said, and nothing that was parsed. */
int pfi_settings_copy_unparsed(const struct prefork_settings *old, struct prefork_settings **ret);

/* The index of a row, or `count`. */
size_t pfi_settings_find(const struct prefork_settings *settings, const char *name);

/* Keeps a copy of `text` at the end of `texts`; -ENOMEM. */
int pfi_texts_add(struct pfi_texts *texts, const char *text);
void pfi_texts_finish(struct pfi_texts *texts);

/* One flag out of a row's `flags`, by number: copied into `flag`, false when
 * there is none (any more) or it does not fit. */
enum { PFI_FLAG_MAX = 64 };
bool pfi_option_flag(const struct prefork_option *row, size_t index, char flag[PFI_FLAG_MAX]);

#endif

/*
 * model/settings.h -- the settings object, for the library itself.
 *
 * lib/cli stores the values; other modules read them through <prefork/settings.h>. Values change only until
 * pfi_settings_freeze(); after it any thread may read them.
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
	char **items; /* owned, like each item; a STRING or a CHOICE has one */
	size_t count;
	enum prefork_origin origin;
	char *place; /* owned */
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

/* prefork_settings_set_file_reader(), prefork_settings_set_completion(). */
struct pfi_file_reader {
	int (*read)(struct prefork_settings *settings, const char *path, const char *place, void *user);
	void *user;
};

struct pfi_completion {
	int (*complete)(struct prefork_settings *settings, void *user);
	void *user;
};

/* A module, and its struct of values_size bytes, which is owned. */
struct pfi_module {
	const struct prefork_module *module;
	char *values;
};

/* The value of row `row` is also stored at `offset` in the struct of module `module`. */
struct pfi_binding {
	size_t row, module, offset;
	enum prefork_member member;
};

/* A list of owned texts. */
struct pfi_texts {
	char **items;
	size_t count;
};

struct prefork_settings {
	atomic_uint references;
	bool frozen, parsed;
	enum prefork_origin assigns; /* of prefork_settings_assign(), while the file reader or the completion is called */
	void *user;                  /* prefork_settings_set_user() */

	/* Set by the application, before parsing. */
	struct prefork_option *rows; /* in the size of this version */
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
	struct pfi_file_reader reader;
	struct pfi_completion completion;
	char *program, *version, *summary;
	char *arguments_usage, *argument_variable;
	size_t arguments_min, arguments_max;

	/* Set by parsing. */
	struct pfi_value *values;   /* one per row */
	struct pfi_texts arguments; /* without flags */
	struct pfi_texts argv;      /* complete, to parse it again */
	char *directory;            /* to which a relative --config refers */

	/* Set by parsing, because the arbiter may not call lib/cli. */
	int (*reread)(const struct prefork_settings *old, struct prefork_settings **ret);
};

/* Returns a *new* object without rows. -ENOMEM. */
int pfi_settings_create_empty(struct prefork_settings **ret);

/* Add a reference, which prefork_settings_destroy() removes. */
struct prefork_settings *pfi_settings_ref(struct prefork_settings *settings);

/* From now on every change returns -EBUSY. */
void pfi_settings_freeze(struct prefork_settings *settings);

/* Returns a *new* object with the same values, not frozen. -ENOMEM. */
int pfi_settings_copy(const struct prefork_settings *old, struct prefork_settings **ret);

/* Call the file reader: 0, 1 (there is none, or it is not its format), or its error. */
int pfi_settings_read_file(struct prefork_settings *settings, const char *path, const char *place);

/* Call the completion, if there is one. Values that it has assigned before, as in the original of a copy, are reset. */
int pfi_settings_complete(struct prefork_settings *settings);

/* Set a value of the highest origin, for prefork_pool_set(). A further call replaces it, also the items of a LIST. Its
 * place is "pool POOL: NAME". -ENOENT: no such row; PREFORK_ECONFIG: the value is not valid, or the row applies to the
 * whole server; -EBUSY: frozen; -ENOMEM. */
int pfi_settings_set_for_pool(struct prefork_settings *settings, const char *name, const char *text, const char *pool);

/* Copy to `settings` the overrides of `old` that a reload cannot change. -ENOMEM. */
int pfi_settings_keep_overrides(struct prefork_settings *settings, const struct prefork_settings *old);

/* Read file and environment again, with the same command line, and check everything. Returns a *new* object, not
 * frozen; a copy if the settings were never parsed. The errors of prefork_settings_parse(). */
int pfi_settings_reread(const struct prefork_settings *old, struct prefork_settings **ret);

/* 0; PREFORK_ECONFIG if a value differs that a reload cannot change, with an error message that has both values of the
 * first one. Both objects have the same rows. */
int pfi_settings_diff_unreloadable(const struct prefork_settings *old, const struct prefork_settings *new);

/* Whether the values of row `index` differ. Both objects have the same rows. */
bool pfi_settings_differ(const struct prefork_settings *a, const struct prefork_settings *b, size_t index);

/* The place where the value of `member` was set: "--workers", "app.ini:12: workers", "default". See
 * prefork_settings_origin_of(). */
const char *pfi_settings_place(const struct prefork_settings *settings, const void *member);

/* This machine has no user or group (`kind`) as the text `member` names it. Returns PREFORK_ECONFIG, with an error message. */
int pfi_settings_no_account(const struct prefork_settings *settings, const char *const *member, const char *kind);

/* Whether `word` is a choice that the application has added to the row of `member`, without a `meaning`. */
bool pfi_settings_is_added_choice(const struct prefork_settings *settings, const void *member, const char *word);

/* Whether the application has a BOOL row preload_app with the value yes: see prefork_settings_add_options(). */
bool pfi_settings_preloads(const struct prefork_settings *settings);

/* The value of the next STRING row with PREFORK_OPTION_ADDRESS, from row `*index` on, which is moved behind it; NULL:
 * there is none. */
const char *pfi_settings_next_address(const struct prefork_settings *settings, size_t *index);

/* --- for the files of settings --- */

/* 0; -EBUSY, with an error message, if the settings can no longer be changed, -EINVAL if they are NULL. */
int pfi_settings_check_changeable(const struct prefork_settings *settings);

/* Append rows; `module` NULL: their members are ignored. On failure the caller removes rows, bindings and module with
 * pfi_settings_drop(). */
int pfi_settings_add_rows(struct prefork_settings *settings, const struct prefork_option *rows, size_t count,
			  const struct prefork_module *module);
/* Reduce rows, bindings and modules to these numbers. */
void pfi_settings_drop(struct prefork_settings *settings, size_t rows, size_t bindings, size_t modules);

/* Bind row `index` to the member that `option` names, in the module added last. -EINVAL, -EEXIST, -ENOMEM. */
int pfi_settings_bind(struct prefork_settings *settings, size_t index, const struct prefork_option *option);

/* Reset the row to the default of the application, else to its own. -ENOMEM. */
int pfi_settings_reset(struct prefork_settings *settings, size_t index);

/* Store the value of row `index` into every member that is bound to it. */
void pfi_settings_store(const struct prefork_settings *settings, size_t index);

/* Append a module without rows, its struct all zero. -ENOMEM. */
int pfi_settings_append_module(struct prefork_settings *settings, const struct prefork_module *module);

/* The entry of a module, or NULL. */
const struct pfi_module *pfi_settings_find_module(const struct prefork_settings *settings,
						  const struct prefork_module *module);

/* Copy modules and bindings to `to`, which has the rows of `from` and no modules. -ENOMEM. */
int pfi_settings_copy_modules(struct prefork_settings *to, const struct prefork_settings *from);

/* Whether a member stores the index of a word in `choices`, so that no words can be added. */
bool pfi_settings_stores_index(const struct prefork_settings *settings, size_t index);

/* --- for lib/cli --- */

/* Returns a *new* object with what the application has set, and nothing that was parsed. */
int pfi_settings_copy_unparsed(const struct prefork_settings *old, struct prefork_settings **ret);

/* The index of a row, `count` if there is none. */
size_t pfi_settings_find(const struct prefork_settings *settings, const char *name);

/* Append a copy of `text`; -ENOMEM. */
int pfi_texts_add(struct pfi_texts *texts, const char *text);
void pfi_texts_finish(struct pfi_texts *texts);

/* Copy flag `index` of a row; a row without `flags` has that of its name. False beyond the last, or if it is too long.
 * */
enum { PFI_FLAG_MAX = 64 };
bool pfi_option_flag(const struct prefork_option *row, size_t index, char flag[PFI_FLAG_MAX]);

#endif

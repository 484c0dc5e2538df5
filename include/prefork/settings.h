/*
 * prefork/settings.h -- the settings of a server: one table, many places.
 *
 * Every setting is one row of a table: struct prefork_option. Flags, environment
 * variables, file keys, --help, the manual and the checks are made from the row.
 * A value comes from the highest of these places, lowest first: the row's
 * default, the host's default, the file named by --config, the environment
 * (PREFORK_WORKERS=4), the host's argument variable, the command line.
 *
 * Owner: whoever created the settings destroys them; an arbiter holds on to what
 * it needs by itself. Threads: build them in one thread; once an arbiter was
 * created from them they never change again, and any thread may read them.
 * Fork: the child has the same values.
 */
#ifndef PREFORK_SETTINGS_H
#define PREFORK_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include <prefork/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_settings;

/* What a value is made of. The number is what prefork_settings_int() answers. */
enum prefork_option_type {
	PREFORK_OPTION_BOOL = 1, /* a flag without a value; yes, no, on, off, true, false, 1, 0   */
	PREFORK_OPTION_INT,      /* a whole number                                                */
	PREFORK_OPTION_DURATION, /* milliseconds; "30" is 30 seconds; 1.5, 500ms, 30s, 2m, 1h, 7d */
	PREFORK_OPTION_SIZE,     /* bytes; "64k" is 65536; k, m and g                             */
	PREFORK_OPTION_STRING,   /* any text                                                      */
	PREFORK_OPTION_LIST,     /* texts; the flag may be given again                            */
	PREFORK_OPTION_CHOICE,   /* one word of `choices`; capitals are the same as small letters  */
	PREFORK_OPTION_MODE      /* the mode of a file, octal: 0660                               */
};

enum prefork_option_trait {
	PREFORK_OPTION_RELOADABLE = 1 << 0,   /* a reload may change it                                      */
	PREFORK_OPTION_COMMAND_LINE = 1 << 1, /* not in a file: it is about this one start                   */
	PREFORK_OPTION_COMMAS = 1 << 2,       /* LIST: a comma separates items, too                          */
	PREFORK_OPTION_MAY_BE_EMPTY = 1 << 3, /* STRING, LIST: an empty value is understood: back to nothing */
	PREFORK_OPTION_MAY_BE_AUTO = 1 << 4,  /* INT, DURATION, SIZE: "auto" is understood, and is -1        */
	PREFORK_OPTION_SERVER = 1 << 5,       /* about the whole server: prefork_pool_set() refuses it       */
	PREFORK_OPTION_REFERENCE = 1 << 6     /* no row of its own: the struct gets the value of the row of  *
	                                       * that name, which another module has added. Nothing but      *
	                                       * `name`, `type`, `member` and `offset` is read               */
};

/* The values of a LIST row: `items` holds `count` strings and a NULL after them. */
struct prefork_list {
	const char *const *items;
	size_t count;
};

/* The C type of the struct member that holds the value of a row. PREFORK_OPTION_IN() chooses it. */
enum prefork_member {
	PREFORK_MEMBER_NONE,   /* the value is read by name only                                    */
	PREFORK_MEMBER_BOOL,   /* _Bool                                                             */
	PREFORK_MEMBER_INT32,  /* signed and unsigned integers of 32 and 64 bits. A CHOICE stores   */
	PREFORK_MEMBER_UINT32, /* the index of its word in `choices`, so an enum in the same order  */
	PREFORK_MEMBER_INT64,  /* fits it. "auto" is -1 and needs a signed member                   */
	PREFORK_MEMBER_UINT64,
	PREFORK_MEMBER_TEXT,   /* const char *: STRING, CHOICE; NULL: no value                      */
	PREFORK_MEMBER_LIST    /* struct prefork_list                                               */
};

/** One setting. Zero in any member after `type` means that there is none. */
struct prefork_option {
	size_t struct_size;       /* sizeof(struct prefork_option)                                            */
	const char *name;         /* "worker_class": lower case, digits, underscores; the key in a file       */
	const char *flags;        /* "-k, --worker-class"; NULL: made from the name. A BOOL row with a flag   *
	                           * "--no-NAME" is switched off by it                                        */
	enum prefork_option_type type;
	int64_t min, max;         /* INT; DURATION in ms; SIZE in bytes; MODE; STRING: bytes; LIST: items.    *
	                           * Both 0: no bounds but the type's own                                     */
	const char *default_text; /* as it would be typed; a LIST's items with commas; NULL: 0, off, nothing  */
	const char *choices;      /* CHOICE: "sync|threads|libev"                                             */
	const char *unit;         /* what one value is called in --help: "ADDRESS"; NULL: by type             */
	unsigned traits;          /* of enum prefork_option_trait                                             */
	const char *section;      /* the heading it stands under in --help                                    */
	const char *doc;          /* one or two sentences                                                     */
	enum prefork_member member; /* both by PREFORK_OPTION_IN(); only in the rows of a struct               *
	                           * prefork_module                                                           */
	size_t offset;
};

#define PREFORK_MEMBER_INTEGERS_                                                            \
	int: PREFORK_MEMBER_INT32, unsigned: PREFORK_MEMBER_UINT32,                         \
	long: sizeof(long) == 4 ? PREFORK_MEMBER_INT32 : PREFORK_MEMBER_INT64,              \
	unsigned long: sizeof(long) == 4 ? PREFORK_MEMBER_UINT32 : PREFORK_MEMBER_UINT64,   \
	long long: PREFORK_MEMBER_INT64, unsigned long long: PREFORK_MEMBER_UINT64
#define PREFORK_MEMBER_BOOL_(member) _Generic((member), _Bool: PREFORK_MEMBER_BOOL)
#define PREFORK_MEMBER_INT_(member) _Generic((member), PREFORK_MEMBER_INTEGERS_)
#define PREFORK_MEMBER_DURATION_(member) _Generic((member), PREFORK_MEMBER_INTEGERS_)
#define PREFORK_MEMBER_SIZE_(member) _Generic((member), PREFORK_MEMBER_INTEGERS_)
#define PREFORK_MEMBER_MODE_(member) _Generic((member), PREFORK_MEMBER_INTEGERS_)
#define PREFORK_MEMBER_STRING_(member) _Generic((member), const char *: PREFORK_MEMBER_TEXT)
#define PREFORK_MEMBER_LIST_(member) _Generic((member), struct prefork_list: PREFORK_MEMBER_LIST)
#define PREFORK_MEMBER_CHOICE_(member) \
	_Generic((member), const char *: PREFORK_MEMBER_TEXT, PREFORK_MEMBER_INTEGERS_)

/** In the initializer of a row: its type (BOOL, INT, ... as in enum prefork_option_type), and the member of
 *  `struct_type` that holds its value. A member that does not exist, or whose C type does not fit, does not compile.
 *
 *      { .struct_size = sizeof(struct prefork_option), .name = "queue_timeout",
 *        PREFORK_OPTION_IN(DURATION, struct queue_settings, timeout_ms), .section = "Queue", .doc = "..." }
 *
 *  C11 only: in C++ set `type`, `member` and `offset`. */
#define PREFORK_OPTION_IN(row_type, struct_type, struct_member)                           \
	.type = PREFORK_OPTION_##row_type,                                                \
	.member = PREFORK_MEMBER_##row_type##_(((struct_type *)0)->struct_member),        \
	.offset = offsetof(struct_type, struct_member)

/** The settings of one part of a program: its rows, and the struct that holds their values. Must stay valid, and
 *  unchanged, until the settings and every arbiter made from them are destroyed: best `static const`. */
struct prefork_module {
	size_t struct_size;  /* sizeof(struct prefork_module)                                  */
	const char *name;    /* for error messages: "queue"                                    */
	const struct prefork_option *options;
	size_t option_count;
	size_t values_size;  /* sizeof the struct that the rows name; 0: none                  */
};

/* Where a value came from, lowest first. */
enum prefork_origin {
	PREFORK_FROM_ROW,          /* the row's default                  */
	PREFORK_FROM_HOST,         /* prefork_settings_set_default()     */
	PREFORK_FROM_FILE,         /* --config                           */
	PREFORK_FROM_ENVIRONMENT,  /* PREFORK_NAME                       */
	PREFORK_FROM_VARIABLE,     /* prefork_settings_set_argument_variable() */
	PREFORK_FROM_COMMAND_LINE,
	PREFORK_FROM_POOL          /* prefork_pool_set(): what the host gave one pool */
};

/** The short way: the library's own rows, no arguments besides flags. Returns 0
 *  and a *new* object in `ret`, the caller destroys it; 1 when --help,
 *  --version, --check-config or --print-config was asked for and answered on
 *  stdout (then `ret` is set to NULL: there is nothing left to do); or what
 *  prefork_settings_parse() fails with, and `ret` as it was. Borrows `argv` for
 *  the call. Since 0.1. */
PREFORK_API int prefork_settings_load(int argc, char *const argv[], struct prefork_settings **ret);

/** Settings with the library's rows, all at their defaults: a *new* object, for
 *  hosts with rows of their own, or without a command line. -ENOMEM. Since 0.1. */
PREFORK_API int prefork_settings_create(struct prefork_settings **ret);

/** Let go of the settings. An arbiter that still runs keeps what it needs. NULL
 *  is fine. Since 0.1. */
PREFORK_API void prefork_settings_destroy(struct prefork_settings *settings);

/** What --help and --version say. `name` NULL: the last part of argv[0];
 *  `version` NULL: --version tells that of this library; `summary`: one or two error messages.
 *  Copies its arguments. -ENOMEM; -EBUSY after an arbiter took the settings.
 *  Since 0.1. */
PREFORK_API int prefork_settings_set_program(struct prefork_settings *settings, const char *name,
					     const char *version, const char *summary);

/** Add `count` rows, to be read like the library's own. The rows are copied; the
 *  texts in them are *borrowed* until the settings and every arbiter made from
 *  them are gone (so rows are best `static const`). -EINVAL: a row that
 *  contradicts itself; -EEXIST: its name or a flag is taken; -ENOMEM; -EBUSY
 *  after parsing. No row is added on failure. A BOOL row "preload_app" is known by its
 *  name: where it is on, a reload warns that it cannot change the code. Since 0.1. */
PREFORK_API int prefork_settings_add_options(struct prefork_settings *settings,
					     const struct prefork_option *rows, size_t count);

/** Add the rows of a module, as prefork_settings_add_options() adds rows, and make its struct, which
 *  prefork_settings_values() returns. Borrows `module`. Errors as of prefork_settings_add_options(); -EEXIST also: the
 *  module has been added; -EINVAL also: a member does not fit its row (an unsigned one that may be "auto", one of 32
 *  bits for a larger maximum), or lies outside the struct; -ENOENT: a PREFORK_OPTION_REFERENCE to a row that does not
 *  exist. Since 0.1. */
PREFORK_API int prefork_settings_add_module(struct prefork_settings *settings, const struct prefork_module *module);

/** The struct of a module, with the values of these settings: each pool of each generation has its own. Members hold
 *  what was parsed, or the defaults before that. NULL, with an error message: the module was not added.
 *  Belongs to the settings; never changes after an arbiter was created from them, so that any thread may read it.
 *  The members that no row names are zero. Since 0.1. */
PREFORK_API const void *prefork_settings_values(const struct prefork_settings *settings,
						const struct prefork_module *module);

/** As prefork_settings_origin(), of the row whose value `member` holds: the address of a member of a struct that
 *  prefork_settings_values() returned for these settings. -EINVAL, with an error message: it is none. Since 0.1. */
PREFORK_API int prefork_settings_origin_of(const struct prefork_settings *settings, const void *member,
					   enum prefork_origin *ret_origin, const char **ret_place);

/** Let a CHOICE row take one more word. `meaning` is the word that
 *  prefork_settings_text() then answers; NULL: the word itself. Both *borrowed*
 *  as in prefork_settings_add_options(). -ENOENT: no such row; -EINVAL: it is no
 *  CHOICE, or `meaning` is none of its words; -EEXIST; -ENOMEM; -EBUSY after
 *  parsing. Since 0.1. */
PREFORK_API int prefork_settings_add_choice(struct prefork_settings *settings, const char *name,
					    const char *word, const char *meaning);

/** Replace a row's default: what the host prefers, under everything that the
 *  operator says. `text` as it would be typed. -ENOENT: no such row; -EINVAL: the
 *  row does not take that text; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_default(struct prefork_settings *settings, const char *name,
					     const char *text);

/** Take between `min` and `max` arguments besides flags, and call them `usage`
 *  ("MODULE:APP") in --help. Without this call there are none. `usage` is copied.
 *  -EINVAL: min above max; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_accept_arguments(struct prefork_settings *settings, size_t min,
						  size_t max, const char *usage);

/** Read flags also from the environment variable `name` (as "GUNICORN_CMD_ARGS"),
 *  split as a shell would, above the other variables and below the command line.
 *  Copies `name`. -EINVAL, -ENOMEM, -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_argument_variable(struct prefork_settings *settings,
						       const char *name);

/** A variable PREFORK_SOMETHING that is no setting is an error, since it is likely
 *  a typing mistake; this one the host uses for itself. Copies `name`. -EINVAL:
 *  not such a name; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_claim_variable(struct prefork_settings *settings, const char *name);

/** Have `check` called whenever values were read, at the start and on a reload,
 *  before anything uses them: 0, or negative with an error message by prefork_fail(),
 *  which refuses them (-EINVAL is taken for PREFORK_ECONFIG). Every check must be happy. It also runs for --check-config
 *  (prefork_settings_int(settings, "check_config") is 1 then), so that a host can
 *  look at more than words. `user` is *borrowed* like rows. -ENOMEM, -EBUSY after
 *  parsing. Since 0.1. */
PREFORK_API int prefork_settings_add_check(struct prefork_settings *settings,
					   int (*check)(const struct prefork_settings *settings, void *user),
					   void *user);

/** Read the command line, the environment and the file, and check all of it.
 *  Borrows `argv` for the call. 0; 1 when a question was answered on stdout (see
 *  prefork_settings_load()); PREFORK_EUSAGE: the command line is wrong;
 *  PREFORK_ECONFIG: the environment or the file is, or settings contradict each other (for
 *  both prefork_exit_status() is 2); prefork_error() says where and what was expected.
 *  What --check-config finds wrong with an address: what the start would fail with. -EALREADY: parsed before; -EINVAL; -ENOMEM; -EIO: stdout
 *  took no answer. Since 0.1. */
PREFORK_API int prefork_settings_parse(struct prefork_settings *settings, int argc, char *const argv[]);

/** The value of a BOOL (0, 1), INT, DURATION (ms), SIZE (bytes) or MODE row; -1
 *  for "auto". -EINVAL, with an error message, for a name that is no such row: a mistake
 *  in the program, as names are constants. Where a name is not one, or the number may be as
 *  small as that, ask prefork_settings_get_int(): kept as an unsigned number -EINVAL would be a
 *  huge one. Since 0.1. */
PREFORK_API int64_t prefork_settings_int(const struct prefork_settings *settings, const char *name);

/** The same in `*ret`, which stays as it was on failure. 0; -ENOENT: no such row; -EINVAL: its
 *  value is no number. Since 0.1. */
PREFORK_API int prefork_settings_get_int(const struct prefork_settings *settings, const char *name,
					 int64_t *ret);

/** The value of a STRING or CHOICE row, NULL when it has none (or there is no such
 *  row: prefork_error() says so). Belongs to the settings. Since 0.1. */
PREFORK_API const char *prefork_settings_text(const struct prefork_settings *settings, const char *name);

/** How many items a LIST row has; 0 also if there is no such row. Since 0.1. */
PREFORK_API size_t prefork_settings_count(const struct prefork_settings *settings, const char *name);

/** Item `index` of a LIST row, NULL behind the last. Belongs to the settings.
 *  Since 0.1. */
PREFORK_API const char *prefork_settings_item(const struct prefork_settings *settings, const char *name,
					      size_t index);

/** How many arguments besides flags there were. Since 0.1. */
PREFORK_API size_t prefork_settings_argument_count(const struct prefork_settings *settings);

/** Argument `index`, NULL behind the last. Belongs to the settings. Since 0.1. */
PREFORK_API const char *prefork_settings_argument(const struct prefork_settings *settings, size_t index);

/** Has the operator said it (file, environment, command line)? 1 or 0; 0 also if
 *  there is no such row. Since 0.1. */
PREFORK_API int prefork_settings_was_set(const struct prefork_settings *settings, const char *name);

/** Where the value of a row came from. `ret_place`, unless NULL, gets a text for
 *  messages that belongs to the settings: "--workers", "PREFORK_WORKERS",
 *  "/etc/app.ini:12", "default". -ENOENT: no such row; -EINVAL. Since 0.1. */
PREFORK_API int prefork_settings_origin(const struct prefork_settings *settings, const char *name,
					enum prefork_origin *ret_origin, const char **ret_place);

#ifdef __cplusplus
}
#endif

#endif

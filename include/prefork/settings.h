/*
 * prefork/settings.h -- the settings of a server: one table of rows, many sources of values.
 *
 * Every setting is one row: struct prefork_option. Flags, environment variables, file keys, --help, the manual pages
 * and the checks are made from the row. A value comes from the highest of these sources, lowest first: the default of
 * the row, the application's default, the application's completion, the file named by --config, the environment
 * (PREFORK_WORKERS=4), the argument variable of the application, the command line. The file is an INI file, or has a
 * format of the application (prefork_settings_set_file_reader()).
 *
 * A program reads a value by name (prefork_settings_int() and others), or as a member of a struct
 * (prefork_settings_values()): the struct costs no lookup, and a misspelt member does not compile.
 *
 * Ownership: the creator destroys the settings; an arbiter keeps its own reference. Threads: fill in the settings in
 * one thread; after an arbiter was created from them they never change, and any thread may read them. Fork: the
 * child has the same values.
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

/* The type of a value. Numbers are returned by prefork_settings_int(). */
enum prefork_option_type {
	PREFORK_OPTION_BOOL = 1, /* a flag without a value; yes, no, on, off, true, false, 1, 0   */
	PREFORK_OPTION_INT,      /* a whole number                                                */
	PREFORK_OPTION_DURATION, /* milliseconds; "30" is 30 seconds; 1.5, 500ms, 30s, 2m, 1h, 7d */
	PREFORK_OPTION_SIZE,     /* bytes; "64k" is 65536; k, m and g                             */
	PREFORK_OPTION_STRING,   /* any string                                                    */
	PREFORK_OPTION_LIST,     /* strings; the flag may be repeated                             */
	PREFORK_OPTION_CHOICE,   /* one word of `choices`, in upper or lower case                  */
	PREFORK_OPTION_MODE      /* the mode of a file, octal: 0660                               */
};

enum prefork_option_trait {
	PREFORK_OPTION_RELOADABLE = 1 << 0,   /* a reload can change it                                      */
	PREFORK_OPTION_COMMAND_LINE = 1 << 1, /* not in a file: it applies to this start only                */
	PREFORK_OPTION_COMMAS = 1 << 2,       /* LIST: a comma also separates items                          */
	PREFORK_OPTION_MAY_BE_EMPTY = 1 << 3, /* STRING, LIST: an empty value is valid and unsets it         */
	PREFORK_OPTION_MAY_BE_AUTO = 1 << 4,  /* INT, DURATION, SIZE, MODE: "auto" is valid, and is -1       */
	PREFORK_OPTION_SERVER = 1 << 5,       /* applies to the whole server: prefork_pool_set() refuses it  */
	PREFORK_OPTION_REFERENCE = 1 << 6,    /* no row of its own: the struct gets the value of the row of  *
	                                       * that name, which another module has added. Nothing but      *
	                                       * `name`, `type`, `member` and `offset` is read               */
	PREFORK_OPTION_MAY_BE_BOOL = 1 << 7,  /* CHOICE: "no" is its first word, "yes" its last, as is its   *
	                                       * flag without a value                                        */
	PREFORK_OPTION_HIDDEN = 1 << 8,       /* not in --help; in --print-config only if it was set: for    *
	                                       * flags that are accepted for the sake of old command lines   */
	PREFORK_OPTION_ADDRESS = 1 << 9       /* STRING: HOST:PORT, [IPV6]:PORT, unix:PATH or unix:@NAME of  *
	                                       * another program; other values are refused. See              *
	                                       * prefork_process_peer()                                      */
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

/** One setting. Zero in a member after `type`: none. */
struct prefork_option {
	size_t struct_size;       /* sizeof(struct prefork_option)                                            */
	const char *name;         /* "worker_class": lower case, digits, underscores; the key in a file       */
	const char *flags;        /* "-k, --worker-class"; NULL: made from the name. A BOOL row with a flag   *
	                           * "--no-NAME" is switched off by it                                        */
	enum prefork_option_type type;
	int64_t min, max;         /* INT; DURATION in ms; SIZE in bytes; MODE; STRING: bytes; LIST: items.    *
	                           * Both 0: no bounds but the type's own                                     */
	const char *default_text; /* as on the command line; a LIST's items with commas; NULL: 0, off, none   */
	const char *choices;      /* CHOICE: "sync|threads|libev"                                             */
	const char *unit;         /* the name of a value in --help: "ADDRESS"; NULL: by type                  */
	unsigned traits;          /* of enum prefork_option_trait                                             */
	const char *section;      /* its heading in --help                                                    */
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
 *      { .struct_size = sizeof(struct prefork_option),
 *        .name = "queue_timeout",
 *        PREFORK_OPTION_IN(DURATION, struct queue_settings,
 *                          timeout_ms),
 *        .section = "Queue", .doc = "..." }
 *
 *  C11 only: in C++ set `type`, `member` and `offset`. */
#define PREFORK_OPTION_IN(row_type, struct_type, struct_member)                           \
	.type = PREFORK_OPTION_##row_type,                                                \
	.member = PREFORK_MEMBER_##row_type##_(((struct_type *)0)->struct_member),        \
	.offset = offsetof(struct_type, struct_member)

/** A settings module: the rows of one part of a program, and the struct that holds their values. Must stay valid, and
 *  unchanged, until the settings and every arbiter made from them are destroyed: best `static const`. */
struct prefork_module {
	size_t struct_size;  /* sizeof(struct prefork_module)                                  */
	const char *name;    /* for error messages: "queue"                                    */
	const struct prefork_option *options;
	size_t option_count;
	size_t values_size;  /* sizeof the struct that the rows name; 0: none                  */
};

/* The source of a value, lowest first. */
enum prefork_origin {
	PREFORK_FROM_ROW,          /* the row's default                  */
	PREFORK_FROM_HOST,         /* prefork_settings_set_default()     */
	PREFORK_FROM_COMPLETION,   /* prefork_settings_assign() in a completion: a further file, for example */
	PREFORK_FROM_FILE,         /* --config                           */
	PREFORK_FROM_ENVIRONMENT,  /* PREFORK_NAME                       */
	PREFORK_FROM_VARIABLE,     /* prefork_settings_set_argument_variable() */
	PREFORK_FROM_COMMAND_LINE,
	PREFORK_FROM_OVERRIDE,     /* prefork_settings_override(), prefork_arbiter_override(), and *_append() */
	PREFORK_FROM_POOL          /* prefork_pool_set(): the application gave it to one pool */
};

/** Create settings with the library's rows and parse the command line, without arguments besides flags. Returns 0 and a
 *  *new* object in `ret`, which the caller destroys; 1 if --help, --version, --check-config or --print-config was
 *  given and has been printed to stdout (then `ret` is NULL, and the program exits); or the error of
 *  prefork_settings_parse(), and `ret` is unchanged. Borrows `argv` for the call. Since 0.1. */
PREFORK_API int prefork_settings_load(int argc, char *const argv[], struct prefork_settings **ret);

/** Create settings with the library's rows, all at their defaults: a *new* object, for applications with rows of their
 *  own, or without a command line. -ENOMEM. Since 0.1. */
PREFORK_API int prefork_settings_create(struct prefork_settings **ret);

/** Release the settings. An arbiter created from them keeps its own reference. NULL is allowed. Since 0.1. */
PREFORK_API void prefork_settings_destroy(struct prefork_settings *settings);

/** Set the texts of --help and --version. `name` NULL: the last part of argv[0]; `version` NULL: --version prints the
 *  version of this library; `summary`: one or two sentences. Copies its arguments. -ENOMEM; -EBUSY after
 *  parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_program(struct prefork_settings *settings, const char *name,
					     const char *version, const char *summary);

/** Add `count` rows without members. The rows are copied; the strings in them are *borrowed* until the settings and
 *  every arbiter created from them are destroyed (`static const` rows are best). -EINVAL: a row contradicts
 *  itself; -EEXIST: its name or a flag is taken; -ENOMEM; -EBUSY after parsing. No row is added on failure. If a BOOL
 *  row "preload_app" is on, a reload logs a warning that it cannot change the code. Since 0.1. */
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

/** Add a word to a CHOICE row. prefork_settings_text() returns `meaning` for it; NULL: the word itself. A word with an
 *  asterisk is a pattern (fnmatch(3)), and the word itself then what was given. Both are
 *  *borrowed* as in prefork_settings_add_options(). -ENOENT: no such row; -EINVAL: the row is not a CHOICE, `meaning`
 *  is neither one of its words nor one that was added before, or `meaning` is NULL and a member holds the index of the word; -EEXIST: the row has the
 *  word; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_add_choice(struct prefork_settings *settings, const char *name,
					    const char *word, const char *meaning);

/** Replace the default of a row by `text`, as on the command line. Every value that the operator sets is higher.
 *  -ENOENT: no such row; -EINVAL: not a valid value; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_default(struct prefork_settings *settings, const char *name,
					     const char *text);

/** Accept `min` to `max` arguments besides flags; `usage` ("MODULE:APP") names them in --help and is copied. Without
 *  this call the command line has none. -EINVAL: min above max; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_accept_arguments(struct prefork_settings *settings, size_t min,
						  size_t max, const char *usage);

/** Also read flags from the environment variable `name` (such as "GUNICORN_CMD_ARGS"), split into words as in a shell.
 *  They are higher than other variables and lower than the command line. Copies `name`. -EINVAL: not a variable's
 *  name; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_argument_variable(struct prefork_settings *settings,
						       const char *name);

/** Allow the environment variable `name`, which the application reads itself. Any other variable PREFORK_SOMETHING that
 *  is not a setting is an error. Copies `name`. -EINVAL: `name` does not begin with PREFORK_; -ENOMEM; -EBUSY
 *  after parsing. Since 0.1. */
PREFORK_API int prefork_settings_claim_variable(struct prefork_settings *settings, const char *name);

/** Call `check` after values were read, at the start and on each reload, before anything uses them. It returns 0, or a
 *  negative number and an error message by prefork_fail(), which refuses the values (-EINVAL becomes PREFORK_ECONFIG).
 *  It also runs for --check-config (prefork_settings_int(settings, "check_config") is 1 then). `user` is *borrowed*
 *  as rows are. -EINVAL: `check` is NULL; -ENOMEM; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_add_check(struct prefork_settings *settings,
					   int (*check)(const struct prefork_settings *settings, void *user),
					   void *user);

/** Have `read` read the file that --config names: for a format of the application. It is called at the start and on each
 *  reload, after the other sources were read and before the checks. `path` is the value of --config as it was set; NULL:
 *  it was not set. `place` names its source, for messages. The reader reads the values that are known so far, and calls
 *  prefork_settings_assign() for those of the file. It returns 0; 1: this is not its format, so an INI file is read if
 *  `path` is not NULL; or a negative number with an error message, which refuses the values (-EINVAL becomes
 *  PREFORK_ECONFIG). `user` is *borrowed* as rows are. -EINVAL: `read` is NULL; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_file_reader(struct prefork_settings *settings,
						 int (*read)(struct prefork_settings *settings, const char *path,
							     const char *place, void *user),
						 void *user);

/** In a file reader: set a value with the origin PREFORK_FROM_FILE; in a completion: with PREFORK_FROM_COMPLETION. Higher
 *  sources keep theirs, and the items of a LIST are collected. `place` is for messages: "gunicorn.conf.py: workers".
 *  Copies its arguments. -ENOENT: no such row; PREFORK_ECONFIG: not a valid value, or only the command line can set it;
 *  -EBUSY outside of both; -EINVAL; -ENOMEM. Since 0.1. */
PREFORK_API int prefork_settings_assign(struct prefork_settings *settings, const char *name, const char *text,
					const char *place);

/** Call `complete` after all sources were read and before the checks, at the start, on each reload and after
 *  prefork_arbiter_override(): for values that follow from others, which it sets by prefork_settings_override(), and for
 *  those of a further source that others name, which it sets by prefork_settings_assign(): what it has set so is
 *  forgotten before the next call. It returns 0, or a negative number with an error
 *  message, as a check. `user` is *borrowed* as rows are. -EINVAL: `complete` is NULL; -EBUSY after parsing. Since 0.1. */
PREFORK_API int prefork_settings_set_completion(struct prefork_settings *settings,
						int (*complete)(struct prefork_settings *settings, void *user),
						void *user);

/** Replace a value, whatever its source, by one with the origin PREFORK_FROM_OVERRIDE. A further call replaces it, also
 *  the items of a LIST. `place` as above. -ENOENT; PREFORK_ECONFIG: not a valid value; -EBUSY: an arbiter uses the
 *  settings (see prefork_arbiter_override()); -EINVAL; -ENOMEM. Since 0.1. */
PREFORK_API int prefork_settings_override(struct prefork_settings *settings, const char *name, const char *text,
					  const char *place);

/** The same for the second and every further item of a LIST row: after prefork_settings_override(), which sets the first
 *  one, add `text` to its value. Errors as above; PREFORK_ECONFIG also: the row is not a LIST. Since 0.1. */
PREFORK_API int prefork_settings_override_append(struct prefork_settings *settings, const char *name, const char *text,
						 const char *place);

/** What the application wants to find again with these settings, such as what a file reader has read besides values.
 *  The settings of the pools of an arbiter have the same; new settings of a reload begin with NULL. The library does not
 *  use it. -EBUSY: an arbiter uses the settings; -EINVAL. Since 0.1. */
PREFORK_API int prefork_settings_set_user(struct prefork_settings *settings, void *user);
PREFORK_API void *prefork_settings_user(const struct prefork_settings *settings);

/** The directory to which a relative --config refers: that in which the program was started, by the name in PWD if it is
 *  the same one. NULL before parsing, or if it has no name. Belongs to the settings. Since 0.1. */
PREFORK_API const char *prefork_settings_directory(const struct prefork_settings *settings);

/** Have this process run as the settings user, group and initgroups say, for good, as the workers do: for a check that
 *  loads code of the application with --check-config. Checks run in the order in which they were added; those of the
 *  library come first. No effect if user and group are not set. PREFORK_ECONFIG: there is no such user or group; -EPERM:
 *  only root can change them; -EINVAL; -ENOMEM; or another negative errno, after which the process may have changed in
 *  part, and has to exit. Since 0.1. */
PREFORK_API int prefork_settings_run_as(const struct prefork_settings *settings);

/** Read the command line, the environment and the file, and check all values. Borrows `argv` for the call. Returns 0; 1
 *  if --help or the like was printed (see prefork_settings_load()); PREFORK_EUSAGE: an error in the command line;
 *  PREFORK_ECONFIG: an error in the environment or the file, or settings that contradict each other (for both
 *  prefork_exit_status() is 2, and prefork_error() names the source and what was expected); with --check-config the
 *  error that the start would have; -EALREADY: parsed before; -EINVAL; -ENOMEM; -EIO: writing to stdout failed.
 *  Since 0.1. */
PREFORK_API int prefork_settings_parse(struct prefork_settings *settings, int argc, char *const argv[]);

/** The value of a BOOL (0, 1), INT, DURATION (ms), SIZE (bytes) or MODE row; -1 for "auto". -EINVAL, with an error
 *  message: no row of that name and type, an error of the program. If `name` is not a constant, or values may be that
 *  small, use prefork_settings_get_int(); stored in an unsigned variable -EINVAL is a huge number. Since 0.1. */
PREFORK_API int64_t prefork_settings_int(const struct prefork_settings *settings, const char *name);

/** The same in `*ret`, which is unchanged on failure. 0; -ENOENT: no such row; -EINVAL: the value is not a number.
 *  Since 0.1. */
PREFORK_API int prefork_settings_get_int(const struct prefork_settings *settings, const char *name,
					 int64_t *ret);

/** The value of a STRING or CHOICE row; NULL: it has none, or there is no such row (then with an error message).
 *  Belongs to the settings. Since 0.1. */
PREFORK_API const char *prefork_settings_text(const struct prefork_settings *settings, const char *name);

/** The number of items of a LIST row; 0 also if there is no such row. Since 0.1. */
PREFORK_API size_t prefork_settings_count(const struct prefork_settings *settings, const char *name);

/** Item `index` of a LIST row; NULL after the last. Belongs to the settings. Since 0.1. */
PREFORK_API const char *prefork_settings_item(const struct prefork_settings *settings, const char *name,
					      size_t index);

/** The number of arguments besides flags. Since 0.1. */
PREFORK_API size_t prefork_settings_argument_count(const struct prefork_settings *settings);

/** Argument `index`; NULL after the last. Belongs to the settings. Since 0.1. */
PREFORK_API const char *prefork_settings_argument(const struct prefork_settings *settings, size_t index);

/** 1: the value was set by the operator (file, environment, command line), or for a pool by prefork_pool_set(); 0: it
 *  is a default, or there is no such row. Since 0.1. */
PREFORK_API int prefork_settings_was_set(const struct prefork_settings *settings, const char *name);

/** The source of the value of a row. `ret_place`, unless NULL, gets a string for messages: "--workers",
 *  "PREFORK_WORKERS", "/etc/app.ini:12", "default". It belongs to the settings. -ENOENT: no such row; -EINVAL: an
 *  argument is NULL. Since 0.1. */
PREFORK_API int prefork_settings_origin(const struct prefork_settings *settings, const char *name,
					enum prefork_origin *ret_origin, const char **ret_place);

#ifdef __cplusplus
}
#endif

#endif

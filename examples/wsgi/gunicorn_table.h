/*
 * gunicorn_table -- every name of gunicorn's configuration, and what it is in prefork-wsgi.
 *
 * One row for each setting and hook of gunicorn 26.1, and of older versions that configuration files still name. The
 * flags that prefork-wsgi accepts without effect or refuses, the module prefork_wsgi.table, --convert-config and
 * docs/from-gunicorn.md are made from it. What prefork-wsgi implements has a row in the settings as well: there is its
 * meaning.
 */
#ifndef WSGI_GUNICORN_TABLE_H
#define WSGI_GUNICORN_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum wsgi_gunicorn_status {
	WSGI_GUNICORN_SAME,      /* as in gunicorn                                                      */
	WSGI_GUNICORN_BETTER,    /* as in gunicorn, but for what `why` says                             */
	WSGI_GUNICORN_NO_EFFECT, /* accepted; a line in the log says why nothing follows from it        */
	WSGI_GUNICORN_REFUSED    /* an error, unless the value is gunicorn's default or in `harmless`    */
};

/* The type of the value in a configuration file in Python. */
enum wsgi_gunicorn_kind {
	WSGI_GUNICORN_BOOL,   /* bool                                                        */
	WSGI_GUNICORN_INT,    /* int, not negative                                           */
	WSGI_GUNICORN_MODE,   /* int; in a string octal with a leading 0                     */
	WSGI_GUNICORN_WORD,   /* str, bool or int                                            */
	WSGI_GUNICORN_STR,    /* str                                                         */
	WSGI_GUNICORN_LIST,   /* list of str; the flag may be repeated                       */
	WSGI_GUNICORN_COMMAS, /* the same, or one str with commas                            */
	WSGI_GUNICORN_DICT,   /* dict                                                        */
	WSGI_GUNICORN_USER,   /* name, or int: a user                                        */
	WSGI_GUNICORN_GROUP,  /* name, or int: a group                                       */
	WSGI_GUNICORN_CLASS,  /* dotted name, or a class                                     */
	WSGI_GUNICORN_HOOK    /* callable with `arguments`, or its dotted name               */
};

struct wsgi_gunicorn_row {
	const char *name;
	const char *section;   /* gunicorn's heading                                                    */
	const char *flags;     /* gunicorn's: "-w, --workers"; NULL: only in a file                     */
	enum wsgi_gunicorn_kind kind;
	const char *usual;     /* gunicorn's default, as on the command line; NULL: None                */
	const char *ours;      /* the default here, if it differs                                       */
	enum wsgi_gunicorn_status status;
	const char *harmless;  /* REFUSED, NO_EFFECT: values that ask for nothing else, fnmatch(3) with | between them */
	const char *arguments; /* of a hook: "server, worker"                                           */
	const char *why;       /* in short: the difference, why there is no effect, or what to use instead; NULL: none */
};

extern const struct wsgi_gunicorn_row wsgi_gunicorn_rows[];
extern const size_t wsgi_gunicorn_row_count;

/** The row of `name`; NULL: gunicorn has no such setting. */
const struct wsgi_gunicorn_row *wsgi_gunicorn_row(const char *name);

/** Whether `text`, as on the command line, asks for nothing that prefork-wsgi does not do: it is gunicorn's default, or
 *  harmless. Upper and lower case are the same. */
bool wsgi_gunicorn_is_harmless(const struct wsgi_gunicorn_row *row, const char *text);

/** "same", "better", "no effect" or "refused"; "bool", "int" and so on. */
const char *wsgi_gunicorn_status_name(enum wsgi_gunicorn_status status);
const char *wsgi_gunicorn_kind_name(enum wsgi_gunicorn_kind kind);

#endif

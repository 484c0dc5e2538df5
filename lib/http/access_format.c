/* Compiles the setting access_log_format into an array of steps, and reports the first mistake in it. */
#include "http/access_format.h"

#include "http/access_steps.h"
#include "http/access_text.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Variables of a request, by their names in CGI and WSGI. */
static const struct {
	const char *name;
	enum pfi_atom atom;
} variables[] = {
	{ "REMOTE_ADDR", PFI_ATOM_PEER },               { "REMOTE_USER", PFI_ATOM_USER },
	{ "REQUEST_METHOD", PFI_ATOM_METHOD },          { "PATH_INFO", PFI_ATOM_PATH },
	{ "QUERY_STRING", PFI_ATOM_QUERY },             { "RAW_URI", PFI_ATOM_TARGET },
	{ "REQUEST_URI", PFI_ATOM_TARGET },             { "SERVER_PROTOCOL", PFI_ATOM_PROTOCOL },
	{ "HTTP_REFERER", PFI_ATOM_REFERER },           { "HTTP_USER_AGENT", PFI_ATOM_AGENT },
	{ "REMOTE_PORT", PFI_ATOM_PEER_PORT },          { "SERVER_NAME", PFI_ATOM_SERVER_NAME },
	{ "SERVER_PORT", PFI_ATOM_SERVER_PORT },        { "REQUEST_SCHEME", PFI_ATOM_SCHEME },
	{ "wsgi.url_scheme", PFI_ATOM_SCHEME },
};

/* Variables that are the same for every request, with their values in an application's environ. */
static const struct {
	const char *name, *value;
} constants[] = {
	{ "wsgi.version", "(1, 0)" }, { "wsgi.run_once", "False" }, { "wsgi.input_terminated", "True" },
};

static int add_step(struct pfi_access_format *format, enum pfi_atom atom, const char *text, size_t length)
{
	char *const copy = strndup(text, length);

	if (copy == NULL)
		return prefork_fail(-ENOMEM, "no memory for access_log_format");
	format->steps[format->count++] = (struct pfi_step){ atom, copy, length };
	return 0;
}

static int add_literal(struct pfi_access_format *format, const char *text, size_t length)
{
	return length > 0 ? add_step(format, PFI_ATOM_LITERAL, text, length) : 0;
}

static int add_letter(struct pfi_access_format *format, char letter)
{
	switch (letter) {
#define PFI_ATOM_CASE(a_letter, name) \
	case a_letter:            \
		return add_step(format, PFI_ATOM_##name, "", 0);
		PFI_ATOMS(PFI_ATOM_CASE)
#undef PFI_ATOM_CASE
	default:
		return -ENOENT;
	}
}

static int add_field(struct pfi_access_format *format, enum pfi_atom atom, const char *name, size_t length)
{
	const int r = add_step(format, atom, name, length);

	if (r < 0)
		return r;
	for (char *c = format->steps[format->count - 1].text; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return 0;
}

/* A header field by its CGI name: "X_ID" after "HTTP_" is X-ID. */
static int add_field_of_variable(struct pfi_access_format *format, const char *name, size_t length)
{
	const int r = add_field(format, PFI_ATOM_REQUEST_FIELD, name, length);

	if (r < 0)
		return r;
	for (char *c = format->steps[format->count - 1].text; *c != '\0'; c++) {
		if (*c == '_')
			*c = '-';
	}
	return 0;
}

/* Case-insensitive, as in gunicorn. */
static bool is_name(const char *name, size_t length, const char *known)
{
	return strlen(known) == length && strncasecmp(name, known, length) == 0;
}

/* A variable of the process has the value that it had when the worker started. */
static int add_variable(struct pfi_access_format *format, const char *name, size_t length,
                        char *(*variable)(const char *name))
{
	char buffer[1024];
	struct pfi_text value;

	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
		if (is_name(name, length, variables[i].name))
			return add_step(format, variables[i].atom, "", 0);
	}
	for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
		if (is_name(name, length, constants[i].name))
			return add_literal(format, constants[i].value, strlen(constants[i].value));
	}
	if (length > 5 && strncasecmp(name, "HTTP_", 5) == 0)
		return add_field_of_variable(format, name + 5, length - 5);
	if (is_name(name, length, "CONTENT_TYPE") || is_name(name, length, "CONTENT_LENGTH"))
		return add_field_of_variable(format, name, length);

	pfi_text_init(&value, buffer, sizeof buffer);
	pfi_text_add_bytes(&value, name, length);
	const char *const set = value.cut ? NULL : variable(buffer);
	pfi_text_init(&value, buffer, sizeof buffer);
	pfi_access_add_plain(&value, set != NULL ? set : "-", set != NULL ? strlen(set) : 1);
	return add_literal(format, buffer, value.length);
}

/* "{Name}i": the name between the braces, and the letter that says where it is looked up. */
static int add_named(struct pfi_access_format *format, const char *atom, size_t length, size_t column,
                     char *(*variable)(const char *name))
{
	const char *const name = atom + 1;
	const size_t name_length = length - 3;

	if (!pfi_token_valid(name, name_length))
		return prefork_fail(-EINVAL, "access_log_format: \"%.*s\" at column %zu: a name between { and } is of "
		                    "letters, digits and hyphens", (int)length, atom, column);
	switch (atom[length - 1]) {
	case 'i':
		return add_field(format, PFI_ATOM_REQUEST_FIELD, name, name_length);
	case 'o':
		return add_field(format, PFI_ATOM_RESPONSE_FIELD, name, name_length);
	case 'e':
		return add_variable(format, name, name_length, variable);
	default:
		return -ENOENT;
	}
}

/* `atom` is the text between "%(" and ")s". */
static int add_atom(struct pfi_access_format *format, const char *atom, size_t length, size_t column,
                    char *(*variable)(const char *name))
{
	int r = -ENOENT;

	if (length == 1)
		r = add_letter(format, *atom);
	else if (length >= 3 && atom[0] == '{' && atom[length - 2] == '}')
		r = add_named(format, atom, length, column, variable);
	if (r == -ENOENT)
		return prefork_fail(-EINVAL, "access_log_format: there is no %%(%.*s)s (column %zu); there are h l u t r m U "
		                    "q H s B b f a T D M L p {Header}i {Header}o {Variable}e", (int)length, atom, column);
	return r;
}

/* The atom that begins with the '%' at `at`. Sets `*ret_end` to the byte after it. */
static int add_percent(struct pfi_access_format *format, const char *text, const char *at, const char **ret_end,
                       char *(*variable)(const char *name))
{
	const size_t column = (size_t)(at - text) + 1;
	const char *const close = at[1] == '(' ? strchr(at, ')') : NULL;

	*ret_end = at + 2;
	if (at[1] == '%')
		return add_literal(format, "%", 1);
	if (at[1] != '(')
		return prefork_fail(-EINVAL, "access_log_format: the %% at column %zu must be followed by ( or "
		                    "another %%", column);
	if (close == NULL)
		return prefork_fail(-EINVAL, "access_log_format: the %%( at column %zu lacks its )s", column);
	if (close[1] != 's')
		return prefork_fail(-EINVAL, "access_log_format: %.*s (column %zu) must end with )s",
		                    (int)(close + 1 - at), at, column);
	*ret_end = close + 2;
	return add_atom(format, at + 2, (size_t)(close - at) - 2, column, variable);
}

int pfi_access_compile(const char *text, char *(*variable)(const char *name), struct pfi_access_format **ret)
{
	size_t percents = 0;
	int r = 0;

	for (const char *c = text; *c != '\0'; c++) {
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return prefork_fail(-EINVAL, "access_log_format: a control character at column %zu",
			                    (size_t)(c - text) + 1);
		percents += *c == '%';
	}
	struct pfi_access_format *const format = calloc(1, sizeof *format + (2 * percents + 1) * sizeof format->steps[0]);
	if (format == NULL)
		return prefork_fail(-ENOMEM, "no memory for access_log_format");

	format->is_json = strcmp(text, "json") == 0;
	for (const char *c = text; r == 0 && *c != '\0';) {
		const size_t plain = strcspn(c, "%");

		r = add_literal(format, c, plain);
		c += plain;
		if (r == 0 && *c == '%')
			r = add_percent(format, text, c, &c, variable);
	}
	if (r < 0) {
		pfi_access_format_destroy(format);
		return r;
	}
	*ret = format;
	return 0;
}

void pfi_access_format_destroy(struct pfi_access_format *format)
{
	if (format == NULL)
		return;
	for (size_t i = 0; i < format->count; i++)
		free(format->steps[i].text);
	free(format);
}

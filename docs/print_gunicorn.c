/*
 * print-gunicorn -- write docs/from-gunicorn.md from its template and from the table of gunicorn's names.
 *
 *     TEMPLATE         print the page; the tables replace the lines @SETTINGS@ and @HOOKS@
 *     TEMPLATE FILE    compare FILE with that
 */
#include "../examples/wsgi/gunicorn_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A vertical bar would end the cell. */
static void print_text(FILE *out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		(void)fprintf(out, "%s%c", *c == '|' ? "\\" : "", *c);
}

static void print_code(FILE *out, const char *text)
{
	(void)fputc('`', out);
	print_text(out, text);
	(void)fputc('`', out);
}

static void print_flags(FILE *out, const char *flags)
{
	for (size_t length; *flags != '\0'; flags += length + strspn(flags + length, ", ")) {
		length = strcspn(flags, ", ");
		(void)fprintf(out, " `%.*s`", (int)length, flags);
	}
}

static void print_default(FILE *out, const struct wsgi_gunicorn_row *row)
{
	if (row->usual == NULL)
		(void)fputs("none", out);
	else
		print_code(out, *row->usual != '\0' ? row->usual : " ");
	if (row->ours != NULL) {
		(void)fputs(", here ", out);
		print_code(out, row->ours);
	}
}

static void print_row(FILE *out, const struct wsgi_gunicorn_row *row)
{
	(void)fprintf(out, "| `%s`", row->name);
	if (row->flags != NULL)
		print_flags(out, row->flags);
	(void)fputs(" | ", out);
	if (row->kind == WSGI_GUNICORN_HOOK)
		(void)fprintf(out, "`%s`", row->arguments);
	else
		print_default(out, row);
	(void)fprintf(out, " | %s | ", wsgi_gunicorn_status_name(row->status));
	print_text(out, row->why != NULL ? row->why : "");
	(void)fputs(" |\n", out);
}

static void print_rows(FILE *out, bool hooks)
{
	const char *section = "";

	for (size_t i = 0; i < wsgi_gunicorn_row_count; i++) {
		const struct wsgi_gunicorn_row *const row = &wsgi_gunicorn_rows[i];

		if ((row->kind == WSGI_GUNICORN_HOOK) != hooks)
			continue;
		if (strcmp(row->section, section) != 0)
			(void)fprintf(out, "%s### %s\n\n| %s | here | remark |\n|---|---|---|---|\n", *section != '\0' ? "\n" : "",
			              row->section, hooks ? "hook | arguments" : "setting and flags | default");
		section = row->section;
		print_row(out, row);
	}
}

static int print_page(FILE *out, const char *path)
{
	FILE *const template = fopen(path, "r");
	char line[1024];

	if (template == NULL)
		return -1;
	while (fgets(line, sizeof line, template) != NULL) {
		if (strcmp(line, "@SETTINGS@\n") == 0)
			print_rows(out, false);
		else if (strcmp(line, "@HOOKS@\n") == 0)
			print_rows(out, true);
		else
			(void)fputs(line, out);
	}
	return fclose(template) == 0 ? 0 : -1;
}

static int compare(const char *template, const char *path)
{
	char *wanted = NULL;
	size_t size = 0;
	FILE *const made = open_memstream(&wanted, &size), *const file = fopen(path, "r");
	int r = made != NULL && file != NULL ? print_page(made, template) : -1;

	if (made != NULL)
		(void)fclose(made);
	for (size_t i = 0; r == 0 && i < size; i++)
		r = fgetc(file) == (unsigned char)wanted[i] ? 0 : -1;
	if (r == 0 && fgetc(file) != EOF)
		r = -1;
	if (file != NULL)
		(void)fclose(file);
	free(wanted);
	if (r < 0)
		(void)fprintf(stderr, "%s differs from the table of gunicorn's names: run print-gunicorn %s to write it again\n",
		              path, template);
	return r;
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return compare(argv[1], argv[2]) < 0;
	return argc != 2 || print_page(stdout, argv[1]) < 0 || fflush(stdout) != 0;
}

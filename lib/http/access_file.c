#include "http/access_file.h"

#include <prefork/log.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct prefork_log *pfi_access_file_find(const struct pfi_access_file *file, const char *path)
{
	return file->log != NULL && path != NULL && strcmp(file->path, path) == 0 ? file->log : NULL;
}

void pfi_access_file_follow(struct pfi_access_file *file, const char *path)
{
	if (path != NULL && pfi_access_file_find(file, path) != NULL)
		return;
	pfi_access_file_close(file);
	if (path == NULL || strcmp(path, "-") == 0)
		return;
	file->path = strdup(path);
	if (file->path == NULL || prefork_log_create(path, -1, &file->log) < 0)
		pfi_access_file_close(file);
}

void pfi_access_file_reopen(struct pfi_access_file *file)
{
	if (file->log != NULL)
		(void)prefork_log_reopen(file->log);
}

void pfi_access_file_close(struct pfi_access_file *file)
{
	prefork_log_destroy(file->log);
	free(file->path);
	*file = (struct pfi_access_file){ 0 };
}

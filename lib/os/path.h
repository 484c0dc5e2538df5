/*
 * path -- explain why a file cannot be opened or created. Threads: any.
 */
#ifndef OS_PATH_H
#define OS_PATH_H

#include <stddef.h>

enum { PFI_PATH_WHY_MAX = 160 };

/* Write to `why` what `error`, a negative errno of open(2) or bind(2), means for a path. Returns `why`. */
const char *pfi_path_why(int error, char why[PFI_PATH_WHY_MAX]);

/* Whether this process could create a file `path` that does not exist: 0 or a negative errno. */
int pfi_path_may_make(const char *path);

/* The working directory by the name of the environment variable PWD, if that is an absolute path of it, else by
 * getcwd(3). Returns *new*; NULL and errno. */
char *pfi_path_working_directory(void);

#endif

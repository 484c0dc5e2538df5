/*
 * path -- why a file cannot be opened or made, for whoever named its path.
 */
#ifndef OS_PATH_H
#define OS_PATH_H

#include <stddef.h>

enum { PFI_PATH_WHY_MAX = 160 };

/* Says in `why` what `error`, a negative errno of open(2) or bind(2), means for the path.
 * Answers `why`. Any thread. */
const char *pfi_path_why(int error, char why[PFI_PATH_WHY_MAX]);

/* Whether this process could make a file of that path, of which there is none yet: 0 or a negative errno. */
int pfi_path_may_make(const char *path);

/* The working directory by the name that the starter used: PWD, where that is an absolute path of it,
 * else getcwd(3). Returns new; NULL: errno. */
char *pfi_path_working_directory(void);

#endif

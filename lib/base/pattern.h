/* Names that may be patterns (fnmatch(3)): if they contain an asterisk. */
#ifndef PFI_BASE_PATTERN_H
#define PFI_BASE_PATTERN_H

#include <fnmatch.h>
#include <stdbool.h>
#include <string.h>

static inline bool pfi_is_pattern(const char *name)
{
	return strchr(name, '*') != NULL;
}

/* Whether `name` is `word`, or a pattern that matches it. */
static inline bool pfi_pattern_matches(const char *name, const char *word)
{
	return strcmp(name, word) == 0 || (pfi_is_pattern(name) && fnmatch(name, word, 0) == 0);
}

#endif

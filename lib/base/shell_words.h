/*
 * base/shell_words.h -- split a line into words as a shell does. Threads: any.
 */
#ifndef PFI_BASE_SHELL_WORDS_H
#define PFI_BASE_SHELL_WORDS_H

#include <stddef.h>

/* Split `line` at blanks. Single quotes, double quotes and backslashes have their meaning of the shell; variables,
 * globs and commands do not. Stores a *new* array of words that ends with NULL, in one allocation: free(*ret). -EINVAL:
 * a quote is not closed, or the line ends with a backslash; -ENOMEM. */
int pfi_split_words(const char *line, char ***ret, size_t *ret_count);

#endif

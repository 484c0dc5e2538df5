/*
 * base/words.h -- a line, split into words as a shell would. For any thread.
 */
#ifndef PFI_BASE_WORDS_H
#define PFI_BASE_WORDS_H

#include <stddef.h>

/* Splits `line` at blanks, with 'single' and "double" quotes and backslashes as
 * in a shell, but without variables, globs or commands. Answers a *new* array of
 * words, ended by NULL, in one allocation: free(*ret). -EINVAL: a quote is not
 * closed, or the line ends in a backslash; -ENOMEM. */
int pfi_split_words(const char *line, char ***ret, size_t *ret_count);

#endif

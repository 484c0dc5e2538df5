/*
 * required -- the first lines of public functions: what must not be NULL.
 *
 * A NULL is a mistake of the program that calls. It is answered, by -EINVAL and an error message
 * that names function and argument, and nothing else happens: a server does not crash because
 * of a mistake on a path that is seldom taken. Not for functions that signal handlers may call:
 * an error message is made by vsnprintf(3).
 */
#ifndef PFI_BASE_REQUIRED_H
#define PFI_BASE_REQUIRED_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <prefork/error.h>

/* Leave the function with `answer` (nothing: a void one) unless `condition` holds. */
#define PFI_RETURN_UNLESS(condition, answer, ...)                 \
	do {                                                      \
		if (__builtin_expect(!(condition), 0)) {          \
			(void)prefork_fail(-EINVAL, __VA_ARGS__); \
			return answer;                            \
		}                                                 \
	} while (0)

#define PFI_RETURN_IF_NULL(argument, answer) \
	PFI_RETURN_UNLESS((argument) != NULL, answer, "%s(): %s is NULL", __func__, #argument)

/* `size` bytes at `bytes`: NULL is as good as any when there are none. */
#define PFI_RETURN_IF_NO_BYTES(bytes, size, answer)                                                             \
	PFI_RETURN_UNLESS((bytes) != NULL || (size) == 0, answer, "%s(): %s is NULL, and %s is not 0", __func__, \
			  #bytes, #size)

#endif

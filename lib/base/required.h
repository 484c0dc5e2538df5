/*
 * base/required.h -- checks of arguments, for the first lines of public functions.
 *
 * If an argument is NULL, the function has no effect, returns -EINVAL, and sets an error message with the names of the
 * function and the argument: a mistake on a rare path must not crash a server. Not for functions that are
 * async-signal-safe, because the error message is made by vsnprintf(3).
 */
#ifndef PFI_BASE_REQUIRED_H
#define PFI_BASE_REQUIRED_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <prefork/error.h>

/* Return `result` unless `condition` holds; in a void function, `result` is empty. */
#define PFI_RETURN_UNLESS(condition, result, ...)                 \
	do {                                                      \
		if (__builtin_expect(!(condition), 0)) {          \
			(void)prefork_fail(-EINVAL, __VA_ARGS__); \
			return result;                            \
		}                                                 \
	} while (0)

#define PFI_RETURN_IF_NULL(argument, result) \
	PFI_RETURN_UNLESS((argument) != NULL, result, "%s(): %s is NULL", __func__, #argument)

/* `bytes` may be NULL if `size` is 0. */
#define PFI_RETURN_IF_NO_BYTES(bytes, size, result)                                                             \
	PFI_RETURN_UNLESS((bytes) != NULL || (size) == 0, result, "%s(): %s is NULL, and %s is not 0", __func__, \
			  #bytes, #size)

#endif

#include "base/struct_size.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

enum { TIMES_MAX = 64 }; /* if it is this many times as large as ours, struct_size was not initialized */

int pfi_struct_check(const void *given, size_t size, size_t least, size_t known, const char *what)
{
	if (given == NULL)
		return prefork_fail(-EINVAL, "there is no %s", what);
	if (size < least || size > TIMES_MAX * known)
		return prefork_fail(-EINVAL, "the struct_size of %s is %zu: it must be the sizeof of the structure",
				    what, size);
	for (size_t i = known; i < size; i++) {
		if (((const char *)given)[i] != 0)
			return prefork_fail(-EINVAL, "%s uses a member that a newer version of this library has", what);
	}
	return 0;
}

void pfi_struct_copy(void *to, size_t known, const void *from, size_t size)
{
	memset(to, 0, known);
	if (from != NULL)
		memcpy(to, from, size < known ? size : known);
}

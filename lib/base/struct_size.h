/*
 * base/struct_size.h -- the rule for struct_size, the first member of each structure that an application fills in.
 *
 * The structure of an application that was compiled with an older version is shorter, and the members that it lacks are
 * 0. One of a newer version is longer: if a member that this version does not have is not 0, the structure is refused,
 * because what it asks for would not be done.
 */
#ifndef PFI_BASE_STRUCT_SIZE_H
#define PFI_BASE_STRUCT_SIZE_H

#include <stddef.h>

/* The size of a structure that ends with this member: the minimum. */
#define PFI_SIZE_WITH(type, member) (offsetof(type, member) + sizeof ((type *)NULL)->member)

/* `size` is the struct_size of the structure `given`, `least` the minimum, `known` the size in this version. 0; -EINVAL
 * with an error message, in which the structure is called `what`. */
int pfi_struct_check(const void *given, size_t size, size_t least, size_t known, const char *what);

/* Copy the members that both versions have, and set the rest of `to` to 0. */
void pfi_struct_copy(void *to, size_t known, const void *from, size_t size);

#endif

/*
 * table -- the one rule for struct_size, the first member of each table that a host fills in.
 *
 * A table of an older host is shorter: what it lacks is zero. One of a newer host is longer: what
 * this library does not know must be zero, or the host asks for something that would not be done.
 */
#ifndef PFI_BASE_TABLE_H
#define PFI_BASE_TABLE_H

#include <stddef.h>

/* Up to and with this member: what a table must have at least. */
#define PFI_SIZE_WITH(type, member) (offsetof(type, member) + sizeof ((type *)NULL)->member)

/* `size` is the struct_size that the table says, `known` the one of this library. 0; -EINVAL with an error
 * message that calls the table `what`. */
int pfi_table_check(const void *table, size_t size, size_t least, size_t known, const char *what);

/* Copy what both know, and fill up with zeros. */
void pfi_table_copy(void *to, size_t known, const void *from, size_t size);

#endif

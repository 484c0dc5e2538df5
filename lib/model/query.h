/*
 * model/query.h -- the first byte of the answer to a command (arbiter/queries.h); a reason follows unless it is done.
 *
 * The two programs may be of different versions: a code keeps its meaning, and an unknown one is a failure.
 */
#ifndef PFI_MODEL_QUERY_H
#define PFI_MODEL_QUERY_H

enum pfi_query_code {
	PFI_QUERY_DONE = '0',
	PFI_QUERY_FAILED = '1',
	PFI_QUERY_REFUSED = '2', /* nothing was begun */
};

#endif

/*
 * base/parser.h -- what every parser of received bytes returns.
 *
 * After MORE a parser continues where it stopped, with the same bytes in front. After BAD it
 * returns BAD for every further call.
 */
#ifndef PFI_BASE_PARSER_H
#define PFI_BASE_PARSER_H

enum pfi_verdict {
	PFI_MORE, /* valid so far, incomplete */
	PFI_DONE,
	PFI_BAD,
};

#endif

/*
 * base/parser.h -- the result of a parser of received bytes.
 *
 * After MORE the caller passes the same bytes again, followed by further ones, and the parser continues where it
 * stopped. After BAD each further call returns BAD.
 */
#ifndef PFI_BASE_PARSER_H
#define PFI_BASE_PARSER_H

enum pfi_verdict {
	PFI_MORE, /* valid so far, incomplete */
	PFI_DONE,
	PFI_BAD,
};

#endif

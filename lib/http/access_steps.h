/*
 * access_steps -- the content of a compiled format: access_format compiles it, access_render renders
 * lines from it.
 */
#ifndef HTTP_ACCESS_STEPS_H
#define HTTP_ACCESS_STEPS_H

#include "http/access_format.h"

#include <stdbool.h>
#include <stddef.h>

/* What a step adds. The letters are gunicorn's. */
#define PFI_ATOMS(X)                                                                                    \
	X('h', PEER) X('l', NONE) X('u', USER) X('t', TIME) X('r', LINE) X('s', STATUS)           \
	X('m', METHOD) X('U', PATH) X('q', QUERY) X('H', PROTOCOL) X('B', BYTES) X('b', BYTES_CLF)  \
	X('f', REFERER) X('a', AGENT) X('T', SECONDS) X('D', MICROS) X('M', MILLIS) X('L', DECIMAL) \
	X('p', PID)

#define PFI_ATOM_ENUM(letter, name) PFI_ATOM_##name,
enum pfi_atom {
	PFI_ATOM_LITERAL,
	PFI_ATOM_REQUEST_FIELD,
	PFI_ATOM_RESPONSE_FIELD,
	PFI_ATOM_TARGET,
	PFI_ATOM_SCHEME, /* these have no letter: variables of the environ */
	PFI_ATOM_PEER_PORT,
	PFI_ATOM_SERVER_NAME,
	PFI_ATOM_SERVER_PORT,
	PFI_ATOMS(PFI_ATOM_ENUM)
};
#undef PFI_ATOM_ENUM

struct pfi_step {
	enum pfi_atom atom;
	char *text; /* of a literal; of a field its name, in lower case */
	size_t length;
};

struct pfi_access_format {
	bool is_json;
	size_t count;
	struct pfi_step steps[];
};

#endif

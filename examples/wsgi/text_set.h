/*
 * text_set -- a set of strings, in the order in which they were added.
 *
 * A zeroed struct is an empty set. It has copies of the strings.
 */
#ifndef WSGI_TEXT_SET_H
#define WSGI_TEXT_SET_H

#include <stdbool.h>
#include <stddef.h>

struct wsgi_text_set {
	char **items; /* in order, `count` of them */
	size_t count, space;
	size_t *slots; /* open addressing: index into `items` + 1; 0 is free */
	size_t slot_count;
};

/** 1: added; 0: the set has it already; -ENOMEM: the set is unchanged. */
int wsgi_text_set_add(struct wsgi_text_set *set, const char *text);

bool wsgi_text_set_has(const struct wsgi_text_set *set, const char *text);

/** Free the strings. */
void wsgi_text_set_finish(struct wsgi_text_set *set);

#endif

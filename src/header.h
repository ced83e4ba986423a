/* SPDX-License-Identifier: MIT */
/*
 * header.h - what a message's header says, for people: fields, encoded words (RFC 2047), columns.
 *
 * Pure but for iconv(3) and what the C library knows of characters.  Whatever the bytes are, the
 * answer is a text in UTF-8, and it is bounded by the max of the str it is put into.  It may still
 * hold control characters: printable() is for whoever shows it.
 */
#ifndef HEADER_H
#define HEADER_H

#include "base.h"

/* Longer values are cut, and end in "...". */
#define HEADER_MAX 4096u

/* Puts the value of the first such field of a head (LF lines) into value, unfolded and trimmed.
 * false: there is none. */
bool header_field(const char *head, size_t len, const char *name, struct str *value);

/* Adds the value as people should read it. */
void header_decode(const char *value, size_t len, struct str *text);

/* The same of a From field: its first name, or the address where it has no name. */
void header_sender(const char *value, size_t len, struct str *text);

/* Reads a Date field (RFC 5322, with years of two digits and letters for zones): seconds of the
 * epoch.  false: it is none, or absurd. */
bool header_date(const char *value, size_t len, int64_t *when);

/* How many columns of a terminal a text in UTF-8 fills, at most: where terminals differ it is what
 * the widest makes of it. */
size_t header_columns(const char *text);

/* Adds text in UTF-8, cut to so many columns of a terminal (with "..."), and filled up with blanks
 * where fill says so. */
void header_fit(const char *text, size_t columns, bool fill, struct str *line);

#endif

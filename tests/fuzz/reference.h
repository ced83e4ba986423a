/* SPDX-License-Identifier: MIT */
/*
 * reference.h - what becomes of a message's bytes, told a second time: byte by byte, in one piece,
 * slow and plain.  The fuzz targets hold wire.c and spool.c against it.
 *
 * out has room for twice the bytes and one more.  Each returns the bytes written.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The text of a multi-line reply (RFC 1939 section 3).  *used: what can be judged, *end: the final
 * dot was there. */
static inline size_t reference_undot(const char *in, size_t len, char *out, size_t *used,
                                     bool *end)
{
	size_t i = 0, n = 0;
	bool start = true;

	for (*end = false; i < len && !*end; i++) {
		char next = i + 1 < len ? in[i + 1] : '\0', third = i + 2 < len ? in[i + 2] : '\0';
		size_t left = len - i;

		if (start && in[i] == '.') {
			start = false;
			if (left == 1 || (left == 2 && next == '\r'))
				break;
			*end = next == '\n' || (next == '\r' && third == '\n');
			i += *end && next == '\r' ? 2 : *end;
			continue;
		}
		if (in[i] == '\r' && left == 1)
			break;
		if (in[i] == '\r' && next == '\n')
			i++;
		out[n++] = in[i];
		start = in[i] == '\n';
	}
	*used = i;
	return n;
}

/* Length of the line at in, its LF included. */
static inline size_t reference_line(const char *in, size_t len)
{
	const char *lf = memchr(in, '\n', len);

	return lf != NULL ? (size_t)(lf + 1 - in) : len;
}

/* True where the line is "From " behind any number of ">". */
static inline bool reference_is_from(const char *line, size_t len)
{
	size_t i = 0;

	while (i < len && line[i] == '>')
		i++;
	return len - i >= 5 && memcmp(line + i, "From ", 5) == 0;
}

/* The mboxrd form: such lines get one ">" more. */
static inline size_t reference_quote(const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0, line; i < len; i += line) {
		line = reference_line(in + i, len - i);
		if (reference_is_from(in + i, line))
			out[n++] = '>';
		memcpy(out + n, in + i, line);
		n += line;
	}
	return n;
}

/* And back: they lose one. */
static inline size_t reference_unquote(const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0, line; i < len; i += line) {
		size_t quote = in[i] == '>';

		line = reference_line(in + i, len - i);
		quote = quote && reference_is_from(in + i, line);
		memcpy(out + n, in + i + quote, line - quote);
		n += line - quote;
	}
	return n;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is one function that is given any bytes and must come back.  It ends the process where
 * the code under test broke a promise of its header (CHECK); the sanitizers end it where the code
 * broke C.  libFuzzer drives it to look for such bytes (contrib/fuzz.sh); replay.c plays those in
 * tests/corpus/, with any compiler, in `make check`.
 *
 * Targets are functions of their input: nothing is left from one call to the next.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond) ((cond) ? (void)0 : fuzz_fail(#cond, __FILE__, __LINE__))

_Noreturn static inline void fuzz_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
	abort();
}

/* -- the input ---------------------------------------------------------------------------- */

/* What is not used yet. */
struct input {
	const char *p;
	size_t len;
};

/* The next byte, 0 at the end. */
static inline unsigned take_byte(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return (unsigned char)*in->p++;
}

/* What stands in front of the next c, or all that is left; c is skipped. */
static inline struct input take_until(struct input *in, char c)
{
	const char *at = in->len > 0 ? memchr(in->p, c, in->len) : NULL;
	struct input part = {in->p, at != NULL ? (size_t)(at - in->p) : in->len};
	size_t n = part.len + (at != NULL);

	if (n > 0)
		in->p += n;
	in->len -= n;
	return part;
}

/* A copy of exactly that size, so that a byte read or written beyond it is noticed. */
static inline char *exact(const char *p, size_t len)
{
	char *copy = calloc(1, len);

	CHECK(copy != NULL || len == 0);
	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

/* The same many times over, where a block for each would be slow: copies to the end of one. */
static inline char *at_end(char *block, size_t size, const char *p, size_t len)
{
	return len > 0 ? memcpy(block + size - len, p, len) : block + size;
}

/* A copy that ends where a C string does, at the first NUL. */
static inline char *string(struct input in)
{
	char *copy = malloc(in.len + 1);

	CHECK(copy != NULL);
	if (in.len > 0)
		memcpy(copy, in.p, in.len);
	copy[in.len] = '\0';
	return copy;
}

/* -- cutting ------------------------------------------------------------------------------ */

/* Sizes for a stretch of bytes to be cut into: most 0 is not at all, 1 is single bytes, else from
 * 1 to most by chance. */
struct cutter {
	unsigned most;
	uint32_t chance;
};

static inline struct cutter take_cutter(struct input *in)
{
	struct cutter c = {.most = take_byte(in)};

	c.chance = take_byte(in);
	return c;
}

static inline size_t cut(struct cutter *c, size_t left)
{
	size_t n = left;

	c->chance = c->chance * 1664525u + 1013904223u;
	if (c->most > 0)
		n = 1 + (c->chance >> 16) % c->most;
	return n < left ? n : left;
}

/* -- files -------------------------------------------------------------------------------- */

/* A file in memory, as a descriptor. */
static inline int memory_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
	return fd;
}

static inline void refill(int fd, const char *bytes, size_t len)
{
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(len == 0 || pwrite(fd, bytes, len, 0) == (ssize_t)len);
}

/* All that it holds, in a fresh block that is one byte larger. */
static inline char *contents(int fd, size_t *len)
{
	struct stat st;
	char *bytes;

	CHECK(fstat(fd, &st) == 0);
	*len = (size_t)st.st_size;
	bytes = malloc(*len + 1);
	CHECK(bytes != NULL && pread(fd, bytes, *len, 0) == (ssize_t)*len);
	bytes[*len] = '\0';
	return bytes;
}

/* -- a second opinion --------------------------------------------------------------------- */

/* What number_parse should say: the digits are compared with those of the maximum. */
static inline bool number_of(const char *s, size_t len, uint64_t max, uint64_t *value)
{
	char most[24];
	size_t n = (size_t)snprintf(most, sizeof most, "%" PRIu64, max);

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	for (; len > 1 && *s == '0'; len--)
		s++;
	if (len > n || (len == n && memcmp(s, most, n) > 0))
		return false;
	*value = 0;
	for (size_t i = 0; i < len; i++)
		*value = *value * 10 + (uint64_t)(s[i] - '0');
	return true;
}

/* The bytes are this word, in capitals or not. */
static inline bool is_same_word(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(p, word, len) == 0;
}

/* Bytes that no text of the program has by chance: for secrets that are looked for in it. */
static inline bool is_telling(const char *p, size_t len)
{
	size_t capitals = 0;

	for (size_t i = 0; i < len; i++)
		capitals += (p[i] >= 'A' && p[i] <= 'Z') || (unsigned char)p[i] >= 0x80;
	return len >= 12 && capitals >= 4;
}

/* Fit for a terminal as far as bytes can tell. */
static inline bool is_harmless(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * history.c - how an account's last runs ended.
 *
 *     GOOD_AT SP FETCHED SP BAD_AT SP ROW SP WHY LF
 *
 * Not in the journal: a run that finds nothing new need not write that, and what stands here may
 * be lost.  The caller holds the account's lock while it writes; readers need none.
 *
 * Nothing fails: a line that is not as it should be is as none.  Called by worker.c and status.c.
 */
#include "config.h"

#include "history.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define MAX_LINE 1024
#define FIELDS 4

static int open_at(const char *dir, int flags)
{
	struct str path = {.max = 8192};
	int fd = -1;

	if (str_printf(&path, "%s/last", dir) == 0)
		fd = open(path.s, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	str_free(&path);
	return fd;
}

static bool decode(const char *line, size_t len, struct history *h)
{
	uint64_t *const fields[FIELDS] = {&h->good_at, &h->fetched, &h->bad_at, &h->row};

	if (len == 0 || line[--len] != '\n')
		return false;
	for (size_t i = 0; i < FIELDS; i++) {
		const char *end = memchr(line, ' ', len);

		if (end == NULL || !number_parse(line, (size_t)(end - line), UINT32_MAX, fields[i]))
			return false;
		len -= (size_t)(end + 1 - line);
		line = end + 1;
	}
	printable(h->why, sizeof h->why, line, len);
	return true;
}

void history_read(const char *dir, struct history *h)
{
	int fd = open_at(dir, O_RDONLY | O_NONBLOCK);
	char line[MAX_LINE];
	ssize_t len = fd != -1 ? read(fd, line, sizeof line) : -1;

	*h = (struct history){0};
	if (len > 0 && !decode(line, (size_t)len, h))
		*h = (struct history){0};
	if (fd != -1)
		close(fd);
}

void history_add(const char *dir, const char *why, uint64_t fetched, uint64_t now)
{
	struct str line = {.max = MAX_LINE};
	struct error ignored;
	struct history h;
	int fd;

	history_read(dir, &h);
	if (why == NULL) {
		h.good_at = now;
		h.fetched = fetched < UINT32_MAX ? fetched : UINT32_MAX;
		h.row = 0;
	} else {
		h.bad_at = now;
		h.row += h.row < UINT32_MAX;
		text_copy(h.why, sizeof h.why, why);
	}
	str_printf(&line, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", h.good_at, h.fetched,
	           h.bad_at, h.row, h.why);
	fd = open_at(dir, O_WRONLY | O_CREAT);
	if (fd == -1)
		return;
	if (line.len > 0 && file_write_at(fd, line.s, line.len, 0, "last", &ignored) == 0)
		(void)!ftruncate(fd, (off_t)line.len);
	close(fd);
	str_free(&line);
}

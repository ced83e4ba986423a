/* SPDX-License-Identifier: MIT */
/*
 * spoolkit.h - text into a spool, in pieces that fit: what fetch.c does with what the server sends.
 */
#ifndef SPOOLKIT_H
#define SPOOLKIT_H

#include <string.h>

#include "spool.h"

static inline int spool_write(struct spooler *pen, const char *text, size_t len, struct error *err)
{
	size_t room, n;
	int rc = 0;

	for (; rc == 0 && len > 0; text += n, len -= n) {
		char *to = spool_room(pen, &room);

		n = len < room ? len : room;
		memcpy(to, text, n);
		rc = spool_took(pen, n, err);
	}
	return rc;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * spool.c - writes a message that comes in pieces into its spool file.
 *
 * The pen's buffer has three parts: room in front for what is put before the message, the text,
 * and a few bytes behind for what closes it.  The front can only be made once the header is
 * here (the From_ line names the sender), so it is made when the text is first written out,
 * and placed so that front and text leave in one write.
 *
 * Writing is by offset: several spools may share one file (the mbox's stage), and a message that
 * is given up just leaves bytes which its destination cuts off or writes over.  Nothing here
 * opens, syncs or closes; a failed write leaves the spool to be dropped.
 */
#include "config.h"

#include "spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file.h"

#define FRONT 1792          /* From_ line and our headers; each part is bounded below */
#define BLOCK 65536         /* a file is written in multiples of it, from multiples of it */
#define TEXT (2 * BLOCK)    /* what gathers before it is written */
#define TAIL 16             /* a held "From", a LF, an empty line */
#define SLICE (BLOCK / 4)   /* quoting can add a fifth: it fits behind a block that is not full */
#define WRITE_BACK (4u << 20) /* bytes after which the disk may begin with them */

static const char file_name[] = "the spool file"; /* it has no name the user could look for */

void spool_token(char token[SPOOL_TOKEN + 1], const char *run)
{
	text_copy(token, SPOOL_TOKEN / 2 + 1, run);
	random_hex(token + strlen(token), SPOOL_TOKEN / 4);
}

/* -- what stands in front ----------------------------------------------------------------- */

/* What snprintf wrote, or nothing: half a header line would be worse than none. */
static size_t fitted(int n, size_t size)
{
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* mbox(5): "From SENDER DATE", the date in UTC as asctime writes it. */
static size_t put_from_line(const struct spool *spool, const struct tm *now, char *to, size_t size)
{
	char date[64];

	strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", now);
	return fitted(snprintf(to, size, "From %s %s\n", spool->sender, date), size);
}

/* RFC 5322 section 3.6.7 in the form of RFC 5321 section 4.4.  Every word in it is ours or the
 * user's; nothing that the server said.  "id" carries the token, by which a copy of the
 * message is recognised after a crash. */
static size_t put_received(const struct spool_style *style, const struct spool *spool,
                           const struct tm *now, char *to, size_t size)
{
	char date[64];

	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", now);
	return fitted(snprintf(to, size,
	                       "Received: from %s (%s)\n\tby %s with %s (" PACKAGE_STRING ")\n"
	                       "\tid %s; %s\n",
	                       style->from_host, style->from_address, style->by_host,
	                       style->protocol, spool->token, date),
	              size);
}

/* Says that this is not the whole message: of the UID only what a header may have. */
static size_t put_partial(const struct spool *spool, char *to, size_t size)
{
	char uid[80];
	size_t n = 0;

	for (; n < spool->uid.len && n + 1 < sizeof uid; n++)
		uid[n] = spool->uid.p[n] > ' ' && spool->uid.p[n] < 0x7f ? spool->uid.p[n] : '?';
	uid[n] = '\0';
	return fitted(snprintf(to, size, "X-Mailhaul-Partial: header only; the message (%llu octets)"
	                       " stays\n\ton the server as UID %s\n",
	                       (unsigned long long)spool->octets, uid), size);
}

/* Makes the front and moves it against the text.  Returns where it begins. */
static char *make_front(struct spooler *pen)
{
	char front[FRONT + 1];
	size_t n = 0;
	time_t clock = time(NULL);
	struct tm now;

	gmtime_r(&clock, &now);
	wire_sender(pen->buf + FRONT, pen->len, pen->spool->sender, sizeof pen->spool->sender);
	if (pen->style->form == SPOOL_MBOXRD)
		n += put_from_line(pen->spool, &now, front, FRONT / 3);
	if (pen->style->received)
		n += put_received(pen->style, pen->spool, &now, front + n, FRONT - n);
	if (pen->spool->part)
		n += put_partial(pen->spool, front + n, FRONT - n);
	return memcpy(pen->buf + FRONT - n, front, n);
}

/* -- the pen ------------------------------------------------------------------------------ */

/* Lets the disk begin where that is worth a call. */
static void write_back(struct spooler *pen, size_t least)
{
	if (!pen->style->synced || pen->waiting < least)
		return;
	file_write_back(pen->spool->fd);
	pen->waiting = 0;
}

static int write_out(struct spooler *pen, const char *bytes, size_t len, struct error *err)
{
	struct spool *spool = pen->spool;
	uint64_t at = spool->at + spool->size;

	if (file_write_at(spool->fd, bytes, len, (off_t)at, file_name, err) == -1)
		return -1;
	if (pen->style->form == SPOOL_MBOXRD)
		mark_add(&pen->sum, bytes, len);
	spool->size += len;
	pen->waiting += len;
	write_back(pen, WRITE_BACK);
	return 0;
}

/* Writes what has gathered, behind the front if this is the first time.  What fills only a part of
 * a block waits for the rest, unless it is the end: the kernel is quicker with whole ones. */
static int flush(struct spooler *pen, bool end, struct error *err)
{
	char *text = pen->buf + FRONT, *begin = pen->begun ? text : make_front(pen);
	size_t len = (size_t)(text + pen->len - begin);

	pen->begun = true;
	pen->len = end ? 0 : (size_t)((pen->spool->at + pen->spool->size + len) % BLOCK);
	len -= pen->len;
	if (write_out(pen, begin, len, err) == -1)
		return -1;
	memmove(text, begin + len, pen->len);
	return 0;
}

void spool_begin(struct spooler *pen, const struct spool_style *style, struct spool *spool)
{
	if (pen->buf == NULL)
		pen->buf = xmalloc(FRONT + TEXT + TAIL);
	pen->style = style;
	pen->spool = spool;
	pen->len = 0;
	pen->begun = false;
	pen->mid_line = false;
	pen->waiting = 0;
	pen->quote = (struct wire_mboxrd){0};
	pen->mark = (struct mark){0};
	pen->sum = (struct mark){.body = true};
	spool->size = 0;
	spool->fate = SPOOL_HELD;
}

int spool_write(struct spooler *pen, const char *text, size_t len, struct error *err)
{
	bool quoting = pen->style->form == SPOOL_MBOXRD;

	mark_add(&pen->mark, text, len);
	while (len > 0) {
		size_t room = TEXT - pen->len, n = quoting ? SLICE : room;
		char *to = pen->buf + FRONT + pen->len;

		n = len < n ? len : n;
		if (room == 0 || (quoting && WIRE_MBOXRD_ROOM(n) > room)) {
			if (flush(pen, false, err) == -1)
				return -1;
			continue;
		}
		if (quoting)
			pen->len += wire_mboxrd(&pen->quote, text, n, to);
		else
			pen->len += (size_t)((char *)mempcpy(to, text, n) - to);
		pen->mid_line = text[n - 1] != '\n';
		text += n;
		len -= n;
	}
	return 0;
}

int spool_end(struct spooler *pen, struct error *err)
{
	char *tail = pen->buf + FRONT + pen->len;

	if (pen->style->form == SPOOL_MBOXRD)
		tail += wire_mboxrd_end(&pen->quote, tail);
	if (pen->mid_line)
		*tail++ = '\n';
	if (pen->style->form == SPOOL_MBOXRD)
		*tail++ = '\n';
	pen->len = (size_t)(tail - (pen->buf + FRONT));
	if (flush(pen, true, err) == -1)
		return -1;
	write_back(pen, BLOCK);
	pen->spool->mark = mark_end(&pen->mark);
	pen->spool->sum = mark_end(&pen->sum);
	pen->spool = NULL;
	return 0;
}

void spool_abandon(struct spooler *pen)
{
	pen->spool = NULL;
}

void spooler_free(struct spooler *pen)
{
	free(pen->buf);
	*pen = (struct spooler){0};
}

/* SPDX-License-Identifier: MIT */
/*
 * spool.c - writes a message that comes in pieces into its spool file.
 *
 * The pen's buffer holds what is ready to be written, then room for what is put before a message,
 * then its text, and a few bytes more for what closes it.  Text comes in at its end; what is to be
 * quoted comes into a slice of its own behind all that, and is quoted to the end.  The front can
 * only be made once the header is here (the From_ line names the sender), so it is made when the
 * text must move on or ends, and the text is moved up to it.
 *
 * Writing is by offset.  Where spools stand one behind the other in one file (joined: for an mbox,
 * for standard output) the end of one waits for the next, so that small messages cost few writes.
 * A message that is given up just leaves bytes which are written over.  Nothing here syncs or
 * closes; a failed write leaves what it should have written in the pen, and the spool to be
 * dropped.
 */
#include "config.h"

#include "spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"

#define FRONT 1792          /* From_ line and our headers; each part is bounded below */
#define BLOCK 65536         /* a file is written in multiples of it, from multiples of it */
#define TEXT (2 * BLOCK)    /* what gathers before it is written */
#define ROOM (FRONT + TEXT + SPOOL_MIN_ROOM)
#define TAIL 16             /* a held "From", a LF, an empty line */
#define SLICE (BLOCK / 4)   /* what comes in at a time is still in the cache when it is looked at
                             * again; quoting can add a fifth: it fits behind a part of a block */
#define WRITE_BACK (4u << 20) /* bytes after which the disk may begin with them */
#define MAY_STAY (1u << 20) /* to write over that much is cheaper than to get room anew */

static const char file_name[] = "the spool file"; /* it has no name the user could look for */

/* -- what stands in front ----------------------------------------------------------------- */

/* For an mbox: a From_ line in front, quoted lines, an empty one behind. */
static bool quotes(const struct spooler *pen)
{
	return pen->style->form == SPOOL_MBOXRD;
}

/* What snprintf wrote, or nothing: half a header line would be worse than none. */
static size_t fitted(int n, size_t size)
{
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* Both dates of the clock's second: most messages share theirs with the one before. */
static void date(struct spooler *pen)
{
	time_t clock = time(NULL);
	struct tm now;

	if (clock == pen->second && pen->from_date[0] != '\0')
		return;
	pen->second = clock;
	gmtime_r(&clock, &now);
	strftime(pen->from_date, sizeof pen->from_date, "%a %b %e %H:%M:%S %Y", &now);
	strftime(pen->date, sizeof pen->date, "%a, %d %b %Y %H:%M:%S +0000", &now);
}

/* mbox(5): "From SENDER DATE", the date in UTC as asctime writes it. */
static size_t put_from_line(const struct spooler *pen, char *to, size_t size)
{
	return fitted(snprintf(to, size, "From %s %s\n", pen->spool->sender, pen->from_date), size);
}

/* RFC 5322 section 3.6.7 in the form of RFC 5321 section 4.4.  Every word in it is ours or the
 * user's; nothing that the server said.  "id" carries the token, by which a copy of the
 * message is recognised after a crash. */
static size_t put_received(const struct spooler *pen, char *to, size_t size)
{
	const struct spool_style *style = pen->style;

	return fitted(snprintf(to, size,
	                       "Received: from %s (%s)\n\tby %s with %s (" PACKAGE_STRING ")\n"
	                       "\tid %s; %s\n",
	                       style->from_host, style->from_address, style->by_host,
	                       style->protocol, pen->spool->token, pen->date),
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

static size_t put_front(struct spooler *pen, char *to, size_t size)
{
	const struct spool_style *style = pen->style;
	size_t n = 0;

	date(pen);
	if (quotes(pen))
		n += put_from_line(pen, to, size / 3);
	if (style->received)
		n += put_received(pen, to + n, size - n);
	if (pen->spool->part)
		n += put_partial(pen->spool, to + n, size - n);
	return n;
}

/* -- the pen ------------------------------------------------------------------------------ */

/* Closes the gap that was left for the front. */
static void join_front(struct spooler *pen)
{
	char *to = pen->buf + pen->ready, *text = to + FRONT;
	size_t len = pen->len - pen->ready - FRONT, n;

	wire_sender(text, len, pen->spool->sender, sizeof pen->spool->sender);
	n = put_front(pen, to, FRONT);
	memmove(to + n, text, len);
	pen->len = pen->ready + n + len;
	pen->begun = true;
}

/* What has gathered is the message's, and will be written as it is. */
static void make_ready(struct spooler *pen)
{
	if (!pen->begun)
		join_front(pen);
	if (quotes(pen))
		mark_add(&pen->sum, pen->buf + pen->ready, pen->len - pen->ready);
	pen->spool->size += pen->len - pen->ready;
	pen->ready = pen->len;
}

/* Lets the disk begin where that is worth a call. */
static void write_back(struct spooler *pen, size_t least)
{
	if (!pen->style->synced || pen->waiting < least)
		return;
	file_write_back(pen->fd);
	pen->waiting = 0;
}

/* A file for what nobody will look for: in memory if the pen still holds the whole message. */
static int make_file(struct spooler *pen, bool whole, struct error *err)
{
	const char *dir = pen->style->scratch;

	pen->fd = pen->spool->fd = whole ? file_small(dir, err) : file_temp(dir, err);
	return pen->fd == -1 ? -1 : 0;
}

/* Writes what is ready.  What fills only a part of a block waits for the rest, unless it is the
 * end: the kernel is quicker with whole ones. */
static int flush(struct spooler *pen, bool end, struct error *err)
{
	size_t rest = end ? 0 : (size_t)((pen->at + pen->ready) % BLOCK), n;

	n = rest < pen->ready ? pen->ready - rest : 0;
	if (pen->fd == -1 && pen->style->scratch != NULL && make_file(pen, end, err) == -1)
		return -1;
	if (n > 0 && file_write_at(pen->fd, pen->buf, n, (off_t)pen->at, file_name, err) == -1)
		return -1;
	pen->at += n;
	pen->waiting += n;
	pen->len = pen->ready -= n;
	memmove(pen->buf, pen->buf + n, pen->ready);
	write_back(pen, WRITE_BACK);
	return 0;
}

void spool_begin(struct spooler *pen, const struct spool_style *style, struct spool *spool)
{
	if (pen->buf == NULL)
		pen->buf = xmalloc(ROOM + TAIL + SLICE);
	if (!style->joined) {
		pen->at = spool->at;
		pen->ready = 0;
		pen->waiting = 0;
	}
	pen->style = style;
	pen->spool = spool;
	pen->fd = spool->fd;
	pen->len = pen->ready + FRONT;
	pen->begun = false;
	pen->mid_line = false;
	pen->quote = (struct wire_mboxrd){0};
	pen->mark = (struct mark){0};
	pen->sum = (struct mark){.body = true};
	spool->size = 0;
	spool->fate = SPOOL_HELD;
}

char *spool_room(const struct spooler *pen, size_t *room)
{
	size_t left = ROOM - pen->len;

	*room = quotes(pen) || left > SLICE ? SLICE : left;
	return pen->buf + (quotes(pen) ? ROOM + TAIL : pen->len);
}

int spool_took(struct spooler *pen, size_t len, struct error *err)
{
	size_t room, least = quotes(pen) ? WIRE_MBOXRD_ROOM(SLICE) : SPOOL_MIN_ROOM;
	const char *text = spool_room(pen, &room);

	if (len == 0)
		return 0;
	mark_add(&pen->mark, text, len);
	pen->mid_line = text[len - 1] != '\n';
	if (quotes(pen))
		len = wire_mboxrd(&pen->quote, text, len, pen->buf + pen->len);
	pen->len += len;
	if (ROOM - pen->len >= least)
		return 0;
	make_ready(pen);
	return flush(pen, false, err);
}

int spool_end(struct spooler *pen, struct error *err)
{
	char *tail = pen->buf + pen->len;
	bool joined = pen->style->joined;

	if (quotes(pen))
		tail += wire_mboxrd_end(&pen->quote, tail);
	if (pen->mid_line)
		*tail++ = '\n';
	if (quotes(pen))
		*tail++ = '\n';
	pen->len = (size_t)(tail - pen->buf);
	make_ready(pen);
	if ((!joined || pen->ready >= BLOCK) && flush(pen, !joined, err) == -1)
		return -1;
	if (!joined)
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

uint64_t spool_next(const struct spooler *pen)
{
	return pen->at + pen->ready;
}

int spool_flush(struct spooler *pen, struct error *err)
{
	return flush(pen, true, err);
}

/* The next spool shall begin at `at`.  What stands there is written over, or cut off at once where
 * it is may_stay bytes or more. */
static void cut(struct spooler *pen, uint64_t at, uint64_t may_stay)
{
	int rc = 0;
	bool now = spool_next(pen) - at >= may_stay;

	pen->ready = at > pen->at ? (size_t)(at - pen->at) : 0;
	pen->at = at < pen->at ? at : pen->at;
	if (now)
		rc = ftruncate(pen->fd, (off_t)pen->at);
	(void)rc; /* a failure does no harm: what is left is written over */
}

void spool_drop(struct spooler *pen, struct spool *spool)
{
	if (spool->fd >= 0 && spool->at + spool->size == spool_next(pen))
		cut(pen, spool->at, 0);
	spool->fd = -1;
}

void spool_release(struct spooler *pen, struct spool *spools, size_t n, uint64_t keep)
{
	bool all_safe = true;

	for (size_t i = 0; i < n; i++) {
		all_safe = all_safe && spools[i].fate == SPOOL_SAFE;
		spools[i].fd = -1;
	}
	cut(pen, keep, all_safe ? MAY_STAY : 0);
}

void spool_token(struct spooler *pen, const char *run, char token[SPOOL_TOKEN + 1])
{
	if (pen->chances == 0) {
		random_hex(pen->chance, sizeof pen->chance / 2);
		pen->chances = SPOOL_CHANCES;
	}
	text_copy(token, SPOOL_TOKEN / 2 + 1, run);
	text_copy(token + strlen(token), SPOOL_TOKEN / 2 + 1,
	          pen->chance + --pen->chances * (SPOOL_TOKEN / 2));
}

void spooler_free(struct spooler *pen)
{
	free(pen->buf);
	*pen = (struct spooler){0};
}

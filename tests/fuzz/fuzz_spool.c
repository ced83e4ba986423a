/* SPDX-License-Identifier: MIT */
/*
 * fuzz_spool.c - a message on its way from the wire into a spool file, in every form: what stands
 * in the file is what the references say, whatever the chunks.
 *
 * The input: flags and where in the file, or how much before it (a byte), how often the body comes
 * one after the other (a byte: that is how the pen's buffer overflows), two bytes that choose the
 * cuts, and the body as it stands on the wire, without its final dot; or as text, that need not end
 * in a LF.
 */
#include "config.h"

#include "fuzz.h"

#include "base.h"
#include "../unit/spoolkit.h"
#include "reference.h"
#include "spool.h"
#include "wire.h"

#define MOST (160u << 10)

enum { MBOXRD = 1, RECEIVED = 2, TEXT = 4, LARGE = 8, JOINED = 128 };

static const char from_host[] = "pop.example.org";

/* Another message stands in front, and after that one that was given up. */
static void put_before(struct spooler *pen, const struct spool_style *style, struct spool *spool)
{
	static const char text[70000];
	struct spool before = *spool, none = *spool;
	struct error err = {0};
	size_t len = spool->at * sizeof text / 16;

	spool_begin(pen, style, &before);
	CHECK(spool_write(pen, text, len, &err) == 0 && spool_end(pen, &err) == 0);
	none.at = spool_next(pen);
	spool_begin(pen, style, &none);
	CHECK(spool_write(pen, text, sizeof text - len, &err) == 0);
	spool_abandon(pen);
	spool_drop(pen, &none);
	spool->at = none.at;
}

/* Spools the bytes: up to the final dot, or as they are. */
static void spool_all(const struct spool_style *style, struct spool *spool, const char *bytes,
                      size_t len, bool dotted, struct cutter cutter)
{
	struct wire_undot state = {0};
	struct spooler pen = {0};
	struct error err = {0};
	char *buf = exact(bytes, len);
	size_t at = 0, held = 0;
	bool end = false;

	if (style->joined)
		put_before(&pen, style, spool);
	spool_begin(&pen, style, spool);
	while (!end && at + held < len) {
		size_t room, n = held + cut(&cutter, len - at - held), used, text;
		char *to = spool_room(&pen, &room);

		CHECK(room >= SPOOL_MIN_ROOM);
		text = used = n = n < room ? n : room;
		if (dotted)
			text = wire_undot(&state, buf + at, n, to, &used, &end);
		else
			memcpy(to, buf + at, n);
		CHECK(spool_took(&pen, text, &err) == 0);
		at += used;
		held = n - used;
	}
	CHECK(end == dotted && spool_end(&pen, &err) == 0);
	CHECK(!style->joined || spool_flush(&pen, &err) == 0);
	spooler_free(&pen);
	free(buf);
}

/* Takes the From_ line and the Received: header from the front; checks their shape. */
static struct input take_front(struct input file, const struct spool_style *style,
                               const struct spool *spool)
{
	struct input line = {0};
	char want[400];
	int n;

	if (style->form == SPOOL_MBOXRD) {
		n = snprintf(want, sizeof want, "From %s ", spool->sender);
		line = take_until(&file, '\n');
		CHECK(line.len == (size_t)n + 24 && memcmp(line.p, want, (size_t)n) == 0);
	}
	if (!style->received)
		return file;
	line = take_until(&file, '\n');
	n = snprintf(want, sizeof want, "Received: from %s (192.0.2.1)", from_host);
	CHECK(line.len == (size_t)n && memcmp(line.p, want, (size_t)n) == 0);
	line = take_until(&file, '\n');
	CHECK(line.len > 4 && memcmp(line.p, "\tby ", 4) == 0);
	line = take_until(&file, '\n');
	n = snprintf(want, sizeof want, "\tid %s; ", spool->token);
	CHECK(line.len == (size_t)n + 31 && memcmp(line.p, want, (size_t)n) == 0);
	return file;
}

/* What the references make of it, in a fresh block. */
static char *expected(const char *bytes, size_t len, unsigned flags, size_t *n)
{
	char *text = malloc(2 * len + 2), *quoted = malloc(4 * len + 4);
	size_t used;
	bool end = true;

	CHECK(text != NULL && quoted != NULL);
	*n = len;
	if (flags & TEXT)
		memcpy(text, bytes, len);
	else
		*n = reference_undot(bytes, len, text, &used, &end);
	CHECK(end);
	if (*n > 0 && text[*n - 1] != '\n')
		text[(*n)++] = '\n';
	if (!(flags & MBOXRD)) {
		free(quoted);
		return text;
	}
	*n = reference_quote(text, *n, quoted);
	quoted[(*n)++] = '\n';
	free(text);
	return quoted;
}

/* The body, as often as was asked for, and the final dot at the start of a line. */
static char *repeat(struct input in, size_t times, bool dotted, size_t *len)
{
	char *bytes;

	if (in.len * times > MOST)
		times = MOST / in.len;
	bytes = malloc(in.len * times + 6);
	CHECK(bytes != NULL);
	for (*len = 0; times > 0 && in.len > 0; times--, *len += in.len)
		memcpy(bytes + *len, in.p, in.len);
	if (dotted) {
		memcpy(bytes + *len, "\r\n.\r\n", 5);
		*len += 5;
	}
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct input in = {(const char *)data, size}, file;
	unsigned flags = take_byte(&in);
	size_t times = 1 + take_byte(&in), len, want_len, whole;
	struct cutter cutter = take_cutter(&in);
	struct spool_style style = {
		.form = flags & MBOXRD ? SPOOL_MBOXRD : SPOOL_PLAIN, .received = flags & RECEIVED,
		.joined = flags & JOINED,
		.from_host = from_host, .from_address = "192.0.2.1", .protocol = "POP3S",
		.by_host = "localhost",
	};
	struct spool spool = {.at = flags >> 4};
	char *bytes, *want, *all;

	if (fd == -1)
		fd = memory_file();
	spool.fd = fd;
	refill(fd, NULL, 0);
	spool_token(&(struct spooler){0}, "0123456789ab", spool.token);
	cutter.most *= flags & LARGE ? 200 : 1;
	bytes = repeat(in, times, !(flags & TEXT), &len);
	want = expected(bytes, len, flags, &want_len);
	spool_all(&style, &spool, bytes, len, !(flags & TEXT), cutter);
	all = contents(fd, &whole);
	CHECK(whole == (spool.size > 0 || style.joined ? spool.at + spool.size : 0));
	file = take_front((struct input){all + whole - spool.size, spool.size}, &style, &spool);
	CHECK(file.len == want_len && memcmp(file.p, want, want_len) == 0);
	free(all);
	free(bytes);
	free(want);
	return 0;
}

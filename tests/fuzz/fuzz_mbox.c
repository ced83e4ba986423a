/* SPDX-License-Identifier: MIT */
/*
 * fuzz_mbox.c - settling an mbox after a crash, whatever is in it by then: nothing is written or
 * cut but bytes that were proved ours, and SAFE is only said of mail that is there.
 *
 * The input: the size of the stage, the stage, how many places, eight bytes for each place (its
 * flags, start, at, two for the length, stage, mark, token), and then the steps that make the mbox:
 * see make_mbox.  The first byte tells whether there is a stage, and that it is longer by 256.
 */
#include "config.h"

#include "fuzz.h"

#include "mark.h"
#include "mboxplace.h"

#define PLACES 4
#define MOST 8192 /* bytes of an mbox */

enum { OTHER_FILE = 2, OTHER_MARK = 4, RAW = 8 };

struct place {
	struct mboxplace p;
	bool raw;     /* the text is the fuzzer's own */
	bool whole;   /* the stage has its bytes, by the mark */
	char text[sizeof ((struct spool *)0)->place];
};

static struct place places[PLACES];
static struct spool_intent intents[PLACES];
static size_t count;
static char *staged, *before; /* the bytes of the stage, and of the mbox before */
static size_t staged_len, size_before;
static int mbox = -1, stage = -1;

/* -- what the input stands for ------------------------------------------------------------ */

/* Steps: copy from the stage (offset, length), newlines (length), or the bytes that follow. */
static void make_mbox(struct input in)
{
	char bytes[MOST];
	size_t len = 0;

	while (in.len > 0) {
		unsigned step = take_byte(&in);
		size_t n = take_byte(&in), at = 0;

		if (step % 4 == 0) {
			at = take_byte(&in) + (step & 4 ? 256 : 0);
			at = at < staged_len ? at : staged_len;
			n = n < staged_len - at ? n : staged_len - at;
		} else if (step % 4 != 1) {
			n = n < in.len ? n : in.len;
		}
		if (n > MOST - len)
			break;
		if (step % 4 == 0)
			memcpy(bytes + len, staged + at, n);
		else if (step % 4 == 1)
			memset(bytes + len, '\n', n);
		else
			for (size_t i = 0; i < n; i++)
				bytes[len + i] = (char)take_byte(&in);
		len += n;
	}
	refill(mbox, bytes, len);
}

/* The fingerprint of len bytes at `at` of size bytes, as spool_end makes it. */
static uint64_t mark_at(const char *bytes, size_t size, uint64_t at, uint64_t len)
{
	struct mark mark = {.body = true};

	at = at < size ? at : size;
	mark_add(&mark, bytes + at, len < size - at ? len : size - at);
	return mark_end(&mark);
}

/* One place, as mboxplace_write writes it, with what the flags make wrong. */
static void make_place(struct input *in, struct place *place, struct spool_intent *intent)
{
	unsigned flags = take_byte(in);
	struct mboxplace *p = &place->p;
	struct mboxplace next;
	struct spool spool;
	struct stat st;
	uint64_t mark;
	unsigned token;

	CHECK(fstat(mbox, &st) == 0);
	*place = (struct place){.raw = flags & RAW};
	p->ino = st.st_ino + (flags & OTHER_FILE ? 1 : 0);
	p->start = take_byte(in);
	p->at = p->start + take_byte(in);
	p->len = take_byte(in);
	p->len += take_byte(in) % 4 * 256;
	p->stage = take_byte(in);
	mark = take_byte(in);
	token = take_byte(in);
	p->mark = mark_at(staged, staged_len, p->stage, p->len);
	spool = (struct spool){.at = p->stage, .size = p->len, .sum = p->mark};
	next = *p;
	mboxplace_write(&next, &spool);
	CHECK(next.at == p->at + p->len);
	CHECK(fstat(stage, &st) == 0);
	place->whole = p->stage + p->len <= (uint64_t)st.st_size;
	if (flags & OTHER_MARK) {
		place->whole = place->whole && p->mark == mark;
		p->mark = mark;
		snprintf(strrchr(spool.place, ':') + 1, 8, "%u", (unsigned)mark);
	}
	text_copy(place->text, sizeof place->text, spool.place);
	*intent = (struct spool_intent){.place = place->text};
	snprintf(intent->token, sizeof intent->token, "%024x", token);
}

/* The text of a place as the fuzzer wants it, up to a NUL. */
static void make_raw(struct input *in, struct place *place)
{
	char *text = string(take_until(in, '\0'));

	text_copy(place->text, sizeof place->text, text);
	free(text);
}

/* -- what may have been done -------------------------------------------------------------- */

static bool is_group(const struct mboxplace *a, const struct mboxplace *b)
{
	return a->ino == b->ino && a->start == b->start;
}

static bool is_here(const struct mboxplace *p)
{
	struct stat st;

	return fstat(mbox, &st) == 0 && p->ino == st.st_ino;
}

/* What the reservations look like once zeros where they begin are newlines again: a power cut left
 * them so. */
static char *mended(const char *bytes, size_t size)
{
	char *copy = exact(bytes, size);

	for (size_t i = 0; i < count; i++) {
		const struct mboxplace *p = &places[i].p;
		uint64_t at = p->start < 2 ? 0 : p->start - 2;

		for (; is_here(p) && at < size && at < p->at + p->len; at++) {
			if (copy[at] != '\0' && copy[at] != '\n')
				break;
			copy[at] = '\n';
		}
	}
	return copy;
}

/* Each byte of its region was ours or a newline. */
static bool was_ours(const struct place *place)
{
	const struct mboxplace *p = &place->p;

	if (!place->whole || !is_here(p) || p->at + p->len > size_before)
		return false;
	for (uint64_t i = 0; i < p->len; i++)
		if (before[p->at + i] != '\n' && before[p->at + i] != staged[p->stage + i])
			return false;
	return true;
}

/* So was that of every place of its group, of which one begins where the region does. */
static bool was_group_ours(const struct mboxplace *group)
{
	bool from_start = false;

	for (size_t i = 0; i < count; i++) {
		if (!is_group(&places[i].p, group))
			continue;
		if (!was_ours(&places[i]))
			return false;
		from_start = from_start || places[i].p.at == group->start;
	}
	return from_start;
}

/* A byte that is another one now was a newline in a region that was ours, and is the stage's. */
static void check_write(uint64_t at, char now)
{
	CHECK(before[at] == '\n');
	for (size_t i = 0; i < count; i++) {
		const struct mboxplace *p = &places[i].p;

		if (at >= p->at && at - p->at < p->len && is_here(p) && was_group_ours(p) &&
		    staged[p->stage + at - p->at] == now)
			return;
	}
	CHECK(!"it was proved ours");
}

/* What was cut were newlines, behind an empty line, where a group began. */
static void check_cut(size_t now)
{
	bool begins = false, reaches = false;

	for (uint64_t i = now < 2 ? 0 : now - 2; i < size_before; i++)
		CHECK(before[i] == '\n');
	for (size_t i = 0; i < count; i++)
		if (is_here(&places[i].p) && places[i].p.start == now) {
			begins = true;
			reaches = reaches || places[i].p.at + places[i].p.len > now;
		}
	CHECK(begins && reaches);
}

/* The body of a mail behind a place in its header: up to the end of the bytes; p NULL for none. */
static struct input body_of(const char *at, const char *end)
{
	const char *gap = at <= end ? memmem(at, (size_t)(end - at), "\n\n", 2) : NULL;

	return gap != NULL ? (struct input){gap + 2, (size_t)(end - gap - 2)} : (struct input){0};
}

/* The mail is where its place says, or its token stands somewhere and its body is there. */
static bool is_there(const struct place *place, const char *token, const char *now, size_t size)
{
	const struct mboxplace *p = &place->p;
	const char *at = now, *ours = staged + p->stage, *end = ours + p->len - 1;
	struct input body, theirs;

	if (is_here(p) && p->at + p->len <= size) {
		if (place->whole && memcmp(now + p->at, ours, p->len) == 0)
			return true;
		if (!place->whole)
			return mark_at(now, size, p->at, p->len) == p->mark;
	}
	body = place->whole ? body_of(ours, staged + staged_len) : (struct input){0};
	body.len = body.p != NULL && body.p < end ? (size_t)(end - body.p) : 0;
	while (body.p != NULL) {
		at = memmem(at, (size_t)(now + size - at), token, SPOOL_TOKEN);
		if (at == NULL)
			break;
		theirs = body_of(at, now + size);
		if (theirs.p != NULL && theirs.len >= body.len && memcmp(theirs.p, body.p, body.len) == 0)
			return true;
		at += SPOOL_TOKEN;
	}
	return false;
}

/* Messages at the same bytes, or in another group's region or the empty line in front of it: no
 * run writes such places. */
static bool is_tangled(void)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++) {
			const struct mboxplace *a = &places[i].p, *b = &places[k].p;
			bool together = is_group(a, b);

			if (i != k && (together ? a->at + 2 : a->start) < b->at + b->len + 2 &&
			    (together ? b->at + 2 : b->start) < a->at + a->len + 2)
				return true;
		}
	return false;
}

/* -- the target --------------------------------------------------------------------------- */

static void settle(bool has_stage)
{
	struct spool_past past = {.kind = "mbox", .path = "the mbox", .run = "0123456789ab",
	                          .intents = intents, .count = count};
	struct error err = {0};
	bool legible = true, good;
	size_t len;
	char *was, *now;

	for (size_t i = 0; i < count; i++)
		legible = legible && !places[i].raw;
	was = contents(mbox, &size_before);
	before = mended(was, size_before);
	good = mboxplace_settle(mbox, "the mbox", has_stage ? stage : -1, &past, &err) == 0;
	CHECK(good || (err.kind == ERR_IO && is_harmless(err.text)));
	CHECK(good || !legible);
	now = contents(mbox, &len);
	CHECK(len <= size_before);
	CHECK((good && has_stage) || memcmp(was, now, len) == 0);
	if (len < size_before && legible)
		check_cut(len);
	for (size_t i = 0; i < len && legible; i++)
		if (was[i] != now[i] && before[i] != now[i])
			check_write(i, now[i]);
	for (size_t i = 0; i < count && good; i++) {
		CHECK(intents[i].fate == SPOOL_SAFE || intents[i].fate == SPOOL_VOID);
		CHECK(intents[i].fate == SPOOL_VOID || !legible || is_tangled() ||
		      is_there(&places[i], intents[i].token, now, len));
	}
	free(was);
	free(before);
	free(now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size}, part;
	unsigned flags = take_byte(&in);

	if (mbox == -1) {
		mbox = memory_file();
		stage = memory_file();
	}
	staged_len = take_byte(&in) + (flags & 2 ? 256 : 0);
	staged_len = staged_len < in.len ? staged_len : in.len;
	part = (struct input){in.p, staged_len};
	in = (struct input){in.p + staged_len, in.len - staged_len};
	refill(stage, part.p, part.len);
	staged = string(part);
	count = take_byte(&in) % (PLACES + 1);
	for (size_t i = 0; i < count; i++)
		make_place(&in, &places[i], &intents[i]);
	for (size_t i = 0; i < count; i++)
		if (places[i].raw)
			make_raw(&in, &places[i]);
	make_mbox(in);
	for (size_t i = 0; i < count; i++)
		places[i].whole = places[i].whole && flags & 1;
	settle(flags & 1);
	free(staged);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_journal.c - the journal of an account from any bytes: it opens where a second, simple
 * reading finds no damage, and has what that finds; a damaged one is not touched, or made anew from
 * what can be read of it; and what a run does is there when it is opened again.
 *
 * The input: a byte of flags for what is done, one for fates, and the file.  A line of it that
 * begins with "@" or "+" is given its right sum (with "+": firm).
 */
#include "config.h"

#include "fuzz.h"

#include <time.h>

#include "journal_model.h"
#include "scratch.h"
#include "seen.h"

enum {
	SETTLE = 1, DELIVER = 2, GONE = 4, MISSING = 8, CLEAN = 16, STALE = 32, NO_FILE = 64,
	REBUILD = 128
};

#define NOW 1500000000
#define FORGET_AFTER (30 * 24 * 60 * 60)
#define MANY 600 /* messages that come and go until the journal is stale */

static struct model model, again;

/* Instead of the C library's: deliveries are to have the same time each time. */
time_t time(time_t *to)
{
	if (to != NULL)
		*to = NOW;
	return NOW;
}

/* The file that the input stands for, in a fresh block. */
static char *make_file(struct input in, size_t *len)
{
	char *file = malloc(in.len * 9 + 1);

	CHECK(file != NULL);
	for (*len = 0; in.len > 0;) {
		bool whole = memchr(in.p, '\n', in.len) != NULL;
		struct input line = take_until(&in, '\n');
		char *to = file + *len;
		size_t n = line.len;

		if (n > 0 && (*line.p == '@' || *line.p == '+')) {
			to[CRC_DIGITS] = *line.p == '@' ? ' ' : '+';
			memcpy(to + CRC_DIGITS + 1, line.p + 1, n - 1);
			n += CRC_DIGITS;
			crc_mend(to, n);
		} else if (n > 0) {
			memcpy(to, line.p, n);
		}
		*len += n;
		if (whole)
			file[(*len)++] = '\n';
	}
	return file;
}

static char *read_file(const char *name, size_t *len)
{
	char path[320], *bytes;
	int fd;

	scratch_path(path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	bytes = contents(fd, len);
	close(fd);
	return bytes;
}

/* -- the same? ---------------------------------------------------------------------------- */

static struct wire_span span(const char *text)
{
	return (struct wire_span){text, strlen(text)};
}

/* The intents of a block that are open, in their order. */
static struct model_intent *nth_intent(struct model *m, size_t block, size_t n)
{
	for (size_t i = 0; i < m->nintents; i++)
		if (m->intents[i].block == block && m->intents[i].open && n-- == 0)
			return &m->intents[i];
	return NULL;
}

static void check_pasts(struct model *m, struct seen *seen)
{
	struct spool_past *past;
	size_t n = seen_pasts(seen, &past);

	for (size_t b = 0; b < m->nblocks; b++) {
		const struct model_block *block = &m->blocks[b];
		const struct model_intent *intent;

		if (block->closed)
			continue;
		CHECK(n-- > 0);
		CHECK(is_same_span(block->kind, span(past->kind)));
		CHECK(is_same_span(block->path, span(past->path)));
		CHECK(is_same_span(block->run, span(past->run)));
		for (size_t i = 0; i < past->count; i++) {
			intent = nth_intent(m, b, i);
			CHECK(intent != NULL && past->intents[i].fate == SPOOL_UNSURE);
			CHECK(is_same_span(intent->token, span(past->intents[i].token)));
			CHECK(is_same_span(intent->place, span(past->intents[i].place)));
		}
		CHECK(nth_intent(m, b, past++->count) == NULL);
	}
	CHECK(n == 0);
}

/* Takes every entry of the model once; then there is none left. */
static void check_entries(const struct model *m, struct seen *seen)
{
	uint64_t since = 0, missing = 0, mark = 0;
	size_t live = 0;

	seen_take_begin(seen);
	for (size_t i = 0; i < m->count; i++) {
		const struct model_entry *e = &m->entries[i];
		const struct seen_entry *found;

		if (!e->live)
			continue;
		found = seen_take(seen, e->uid, e->octets, true);
		CHECK(found != NULL && found->octets == e->octets && found->uid_len == e->uid.len);
		CHECK(memcmp(found->uid, e->uid.p, e->uid.len) == 0);
		since += e->since - found->since;
		missing += e->missing - found->missing;
		mark += e->mark - found->mark;
		live++;
	}
	CHECK(since == 0 && missing == 0 && mark == 0 && seen_count(seen) == live);
	for (size_t i = 0; i < m->count; i++)
		CHECK(seen_take(seen, m->entries[i].uid, 0, false) == NULL);
}

static void check_login(const struct model *m, const struct memory_login *login)
{
	CHECK(login->refused == m->refused && login->pause == m->pause);
	CHECK(m->refused == 0 || (login->refused_at == m->refused_at &&
	                          is_same_span(m->login, span(login->mark))));
	CHECK(m->pause == 0 || login->last == m->last);
}

/* What experience has taught; asking for an attempt makes it one more. */
static void check_rest(struct model *m, struct seen *seen)
{
	struct error err = {0};
	uint64_t times, since;
	struct spool spool;

	for (size_t i = 0; i < m->nlarge; i++)
		CHECK(seen_large(seen, m->large[i].uid, m->large[i].octets) == m->large[i].num);
	CHECK(seen_lock_step(seen, NOW) == (m->broke >= 2 && NOW < m->broke_at + FORGET_AFTER));
	for (size_t i = 0; i < m->ntries; i++) {
		struct model_tries *tries = &m->tries[i];

		if (tries->tag == 'X') {
			times = seen_failures(seen, tries->uid, tries->octets, &since);
			CHECK(times == tries->num && since == tries->since);
		} else {
			spool = (struct spool){.uid = tries->uid, .octets = tries->octets};
			CHECK(seen_attempt(seen, &spool, 1, &err) == 0 && spool.attempt == tries->num + 1);
		}
	}
}

/* -- what a run does, to both ------------------------------------------------------------- */

static void settle_pasts(struct model *m, struct seen *seen, unsigned fates)
{
	struct record r = {.since = NOW};
	struct spool_past *past;
	struct error err = {0};
	size_t n = seen_pasts(seen, &past), open = 0;

	for (size_t b = 0, at = 0; b < m->nblocks; b++) {
		for (size_t i = 0; !m->blocks[b].closed && i < past[at].count; i++)
			nth_intent(m, b, i)->fate = past[at].intents[i].fate = fates >> 2 * (i % 4) & 3;
		at += !m->blocks[b].closed;
	}
	CHECK(seen_settle_pasts(seen, &err) == 0);
	for (size_t b = 0; b < m->nblocks && n > 0; b++) {
		const struct model_intent *intent;

		for (size_t i = 0; (intent = nth_intent(m, b, i)) != NULL;) {
			r.token = intent->token;
			r.num = m->count;
			r.tag = intent->fate == SPOOL_SAFE ? 'D' : 'N';
			if (intent->fate == SPOOL_SAFE || intent->fate == SPOOL_VOID)
				CHECK(model_apply(m, &r));
			else
				i++, open++;
		}
	}
	if (open == 0)
		model_close_all(m);
}

static void deliver(struct model *m, struct seen *seen, unsigned fates)
{
	static const char tokens[][SPOOL_TOKEN + 1] = {"0123456789ab000000000001",
	                                               "0123456789ab000000000002"};
	struct spool spools[2] = {{.octets = 7, .uid = {"first", 5}, .place = "1:2 3%",
	                           .mark = fates & 64 ? 0x123456789a : 0}, {.fd = -1}};
	struct record r = {.tag = 'P', .kind = span("maildir"), .path = span("/home/joe/Mail"),
	                   .run = span("0123456789ab"), .since = NOW};
	struct error err = {0};

	if (fates & 16 && m->count > 0)
		spools[0].uid = m->entries[0].uid;
	spools[0].part = fates & 128 && spools[0].uid.len > 0;
	CHECK(seen_begin(seen, r.kind.p, r.path.p, r.run.p, &err) == 0 && model_apply(m, &r));
	for (int i = 0; i < 2; i++)
		memcpy(spools[i].token, tokens[i], sizeof tokens[i]);
	CHECK(seen_intend(seen, spools, 2, &err) == 0);
	for (int i = 0; i < 2; i++) {
		r = (struct record){.tag = 'I', .token = span(tokens[i]), .uid = spools[i].uid,
		                    .octets = spools[i].octets, .since = NOW};
		r.tag = spools[i].part ? 'J' : 'I';
		r.place = i == 0 ? span("1:2 3%") : span("");
		CHECK(model_apply(m, &r));
		r.tag = 'G';
		r.octets = spools[i].mark;
		CHECK(spools[i].uid.len == 0 || r.octets == 0 || model_apply(m, &r));
		spools[i].fate = fates >> 2 * i & 3;
		r.tag = spools[i].fate == SPOOL_SAFE ? 'D' : 'N';
		r.num = m->count;
		if (spools[i].fate == SPOOL_SAFE || spools[i].fate == SPOOL_VOID)
			CHECK(model_apply(m, &r));
	}
	CHECK(seen_settle(seen, spools, 2, NOW, false, &err) == 0);
}

/* True where no other entry has its UID and its size or text, so that nobody can mean another
 * one. */
static bool is_alone(const struct model *m, size_t i)
{
	const struct model_entry *e = &m->entries[i], *other;

	for (size_t k = 0; k < m->count; k++) {
		other = &m->entries[k];
		if (k != i && other->live && is_same_span(other->uid, e->uid) &&
		    (other->octets == e->octets || other->mark == e->mark))
			return false;
	}
	return m->entries[i].live;
}

/* Or gives it another size. */
static void forget_one(struct model *m, struct seen *seen, unsigned which)
{
	struct model_entry *e = m->count > 0 ? &m->entries[which % m->count] : NULL;
	struct error err = {0};
	struct record r = {.tag = 'S', .num = m->count};
	uint64_t since;

	if (e == NULL || !is_alone(m, which % m->count))
		return;
	if (which & 128 && e->octets < UINT64_MAX && e->mark != 0) {
		seen_take_begin(seen);
		r.uid = e->uid;
		r.octets = e->octets + 1;
		r.since = e->since;
		CHECK(seen_recall(seen, &(struct spool){.uid = e->uid, .octets = r.octets,
		                                        .mark = e->mark}, &since) &&
		      since == e->since);
		CHECK(model_apply(m, &r));
		m->entries[r.num].mark = e->mark;
	} else {
		CHECK(seen_gone(seen, e->uid, e->octets, 0, &err) == 0);
	}
	e->live = false;
}

/* Those that are not listed any more are forgotten. */
static void list_tries(struct model *m, struct seen *seen, unsigned which)
{
	uint64_t since;

	for (size_t i = m->ntries; i-- > 0;) {
		struct model_tries *tries = &m->tries[i];

		if (which >> tries->octets % 8 & 1)
			seen_failures(seen, tries->uid, tries->octets, &since);
		else
			model_drop_tries(m, tries);
	}
}

static void list_large(struct model *m, struct seen *seen, unsigned which)
{
	for (size_t i = m->nlarge; i-- > 0;) {
		struct model_large *large = &m->large[i];

		if (which >> large->octets % 8 & 1) {
			CHECK(seen_large(seen, large->uid, large->octets) == large->num);
			large->missing = 0;
		} else if (large->missing == 0) {
			large->missing = NOW;
		} else if (large->missing < NOW && NOW - large->missing > FORGET_AFTER) {
			*large = m->large[--m->nlarge];
		}
	}
}

/* A listing that has some of them. */
static void list_some(struct model *m, struct seen *seen, unsigned which)
{
	struct error err = {0};

	seen_take_begin(seen);
	for (size_t i = 0; i < m->count; i++) {
		struct model_entry *e = &m->entries[i];

		if (!e->live)
			continue;
		if (which >> i % 8 & 1 || !is_alone(m, i)) {
			CHECK(seen_take(seen, e->uid, e->octets, true) != NULL);
			e->missing = 0;
		} else if (e->missing == 0) {
			e->missing = NOW;
		} else if (e->missing < NOW && NOW - e->missing > FORGET_AFTER) {
			e->live = false;
		}
	}
	list_tries(m, seen, which);
	list_large(m, seen, which);
	CHECK(seen_missing(seen, NOW, &err) == 0);
}

/* Until the journal is written anew.  The model hears nothing of it, so none may be in it. */
static void make_stale(const struct model *m, struct seen *seen)
{
	static struct spool spools[MANY];
	struct error err = {0};

	for (size_t i = 0; i < m->count; i++)
		if (is_same_span(m->entries[i].uid, span("many")))
			return;
	for (size_t i = 0; i < m->ntries; i++)
		if (is_same_span(m->tries[i].uid, span("many")))
			return;
	for (size_t i = 0; i < m->nlarge; i++)
		if (is_same_span(m->large[i].uid, span("many")))
			return;
	for (size_t i = 0; i < MANY; i++)
		spools[i] = (struct spool){.octets = i, .uid = {"many", 4}, .fate = SPOOL_SAFE};
	CHECK(seen_settle(seen, spools, MANY, NOW, false, &err) == 0);
	for (size_t i = 0; i < MANY; i++)
		CHECK(seen_gone(seen, (struct wire_span){"many", 4}, i, 0, &err) == 0);
}

static void log_in(struct model *m, struct seen *seen, unsigned fates)
{
	const struct wire_span login = span("0123456789abcdef");
	struct error err = {0};

	if (fates & 1) {
		CHECK(seen_pause(seen, fates & 4 ? 60 : 0, NOW, &err) == 0);
		if (fates & 4 || m->pause > 0)
			m->last = NOW;
		m->pause = fates & 4 ? 60 : 0;
	}
	if (fates & 64) {
		CHECK(seen_admitted(seen, &err) == 0);
		if (m->refused > 0)
			m->login = (struct wire_span){0};
		m->refused = 0;
	} else if (fates & 16 && m->refused < 1000) {
		bool same = is_same_span(m->login, login);

		CHECK(seen_refused(seen, login.p, NOW, &err) == 0);
		m->refused = same ? m->refused + 1 : 1;
		m->refused_at = NOW;
		m->login = login;
	}
}

static void learn(struct model *m, struct seen *seen, unsigned fates)
{
	struct record r = {.tag = fates & 2 ? 'T' : 'X', .num = 1, .uid = {"first", 5}, .octets = 7,
	                   .since = fates & 8 ? NOW : 0};
	struct model_tries *tries = model_tries(m, r.tag, r.uid, r.octets);
	struct spool spool = {.uid = r.uid, .octets = r.octets};
	struct error err = {0};
	bool broke = fates & 4;

	if (tries != NULL && tries->num == UINT32_MAX - 1)
		return; /* nobody asks so often */
	if (tries != NULL)
		r.num = tries->num + 1;
	if (r.tag == 'X')
		CHECK(seen_failed(seen, r.uid, r.octets, r.since, &err) == 0);
	else
		CHECK(seen_attempt(seen, &spool, 1, &err) == 0 && spool.attempt == r.num);
	CHECK(model_apply(m, &r));
	if (fates & 64) {
		r = (struct record){.tag = 'O', .num = 1, .uid = {"first", 5}, .octets = 7};
		CHECK(seen_told_large(seen, r.uid, r.octets, &err) == 0 && model_apply(m, &r));
	}
	if (m->broke == UINT32_MAX - 1)
		return;
	CHECK(seen_pipelining(seen, broke, NOW, &err) == 0);
	if (broke || m->broke > 0) {
		m->broke = broke ? m->broke + 1 : 0;
		m->broke_at = NOW;
	}
}

static void act(struct model *m, struct seen *seen, unsigned flags, unsigned fates)
{
	struct error err = {0};
	bool clean = flags & CLEAN;

	if (flags & SETTLE)
		settle_pasts(m, seen, fates);
	for (size_t b = 0; b < m->nblocks; b++) /* ours is not begun yet */
		clean = clean && m->blocks[b].closed;
	if (flags & DELIVER)
		deliver(m, seen, fates);
	if (flags & GONE)
		forget_one(m, seen, fates);
	if (flags & MISSING)
		list_some(m, seen, fates);
	if (fates & 32) {
		learn(m, seen, fates);
		log_in(m, seen, fates);
	}
	if (flags & STALE && fates == 0x55) /* seldom: it takes long */
		make_stale(m, seen);
	CHECK(seen_flush(seen, &err) == 0);
	for (size_t i = 0; i < m->nintents; i++)
		clean = clean && !m->intents[i].open;
	if (clean)
		model_close_all(m);
	seen_close(&seen, flags & CLEAN);
}

/* -- the target --------------------------------------------------------------------------- */

/* Opens it again: as it should be, and as a second reading of the file finds it. */
static void reopen(void)
{
	struct error err = {0};
	struct seen *seen;
	size_t len;
	char *bytes = read_file("journal", &len);

	CHECK(model_read(&again, bytes, len) == MODEL_GOOD && again.good == len);
	CHECK(seen_open(&seen, scratch, false, &err) == 0);
	check_pasts(&again, seen);
	check_pasts(&model, seen);
	check_entries(&again, seen);
	check_entries(&model, seen);
	check_login(&again, seen_login(seen));
	check_login(&model, seen_login(seen));
	check_rest(&again, seen);
	CHECK(again.ntries == model.ntries && again.broke == model.broke);
	for (size_t i = 0; i < model.ntries; i++) {
		const struct model_tries *tries = &model.tries[i], *same;

		same = model_tries(&again, tries->tag, tries->uid, tries->octets);
		CHECK(same != NULL && same->num == tries->num && same->since == tries->since);
	}
	CHECK(again.nlarge == model.nlarge);
	for (size_t i = 0; i < model.nlarge; i++) {
		const struct model_large *large = &model.large[i], *same;

		same = model_large(&again, large->uid, large->octets);
		CHECK(same != NULL && same->num == large->num && same->missing == large->missing);
	}
	seen_close(&seen, false);
	free(again.bytes);
	free(bytes);
}

/* The file that was opened: what counts of it is left, or it is a new one. */
static void check_file(const struct model *m, const char *file)
{
	char header[] = "........ V 1\n", *bytes;
	size_t len;

	bytes = read_file("journal", &len);
	if (m->good == 0) {
		header[CRC_DIGITS] = bytes[CRC_DIGITS]; /* may be firm */
		crc_mend(header, RECORD_HEADER - 1);
		file = header;
	}
	CHECK(len == (m->good > 0 ? m->good : RECORD_HEADER) && memcmp(bytes, file, len) == 0);
	free(bytes);
}

/* A file that is as it was. */
static void check_untouched(const char *name, const char *file, size_t len)
{
	size_t now;
	char *bytes = read_file(name, &now);

	CHECK(now == len && memcmp(bytes, file, len) == 0);
	free(bytes);
}

static void try_file(const char *file, size_t len, unsigned flags, unsigned fates)
{
	struct error err = {0};
	struct seen *seen;
	enum model_verdict verdict = model_read(&model, file, len);
	bool rebuild = flags & REBUILD;
	bool good = verdict == MODEL_GOOD || (verdict == MODEL_DAMAGED && rebuild);

	CHECK((seen_open(&seen, scratch, rebuild, &err) == 0) == good);
	if (!good) {
		CHECK(seen == NULL && err.kind == ERR_IO && is_harmless(err.text));
		check_untouched("journal", file, len);
	} else if (verdict == MODEL_DAMAGED) {
		check_untouched("journal.damaged", file, len);
		free(model.bytes);
		model_salvage(&model, file, len);
	} else {
		check_file(&model, file);
	}
	if (good) {
		check_pasts(&model, seen);
		check_entries(&model, seen);
		check_login(&model, seen_login(seen));
		act(&model, seen, flags, fates);
		reopen();
	}
	free(model.bytes);
}

/* A damaged journal may lack millions of records: that takes long, and nothing else. */
static bool is_long(const char *file, size_t len)
{
	uint64_t most = 0;
	struct record r;

	model_begin(&model, file, len, true);
	for (size_t at = 0; at < len;)
		if (model_next(&model, len, &at, &r) && strchr("SD", r.tag) != NULL && r.num > most)
			most = r.num;
	free(model.bytes);
	return most > MODEL_MAX / 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	unsigned flags = take_byte(&in), fates = take_byte(&in);
	char *file, path[320];
	size_t len;

	if (size > 4096)
		return -1;
	scratch_make();
	file = make_file(in, &len);
	scratch_put("journal", file, len);
	scratch_path(path, "journal");
	if (flags & NO_FILE) {
		unlink(path);
		len = 0;
	}
	if (is_long(file, len)) {
		free(file);
		return -1;
	}
	try_file(file, len, flags, fates);
	free(file);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * journal_model.h - what a journal means, told a second time: arrays that are searched from end to
 * end, by the words at the heads of record.c, journal.c and seen.c.
 */
#ifndef JOURNAL_MODEL_H
#define JOURNAL_MODEL_H

#include "fuzz.h"

#include "crc.h"
#include "record.h"
#include "spool.h"

#define MODEL_MAX 8192 /* of each; a file of the fuzzer's size has fewer lines */

struct model_entry {
	struct wire_span uid;
	uint64_t octets, since, missing, mark;
	bool live;
};

struct model_intent {
	struct wire_span token, place, uid;
	uint64_t octets;
	size_t block;
	bool part, open;
	enum spool_fate fate;
	uint64_t mark;
};

struct model_block {
	struct wire_span kind, path, run;
	bool closed;
};

/* Too large to be fetched: told, or its header delivered. */
struct model_large {
	struct wire_span uid;
	uint64_t octets, num, missing;
};

/* How often an MDA was given a message, or how often it failed and when. */
struct model_tries {
	char tag; /* of its record: T, X */
	struct wire_span uid;
	uint64_t octets, num, since;
};

enum model_verdict {
	MODEL_GOOD,
	MODEL_DAMAGED,
	MODEL_REFUSED /* a version that is not ours */
};

struct model {
	struct model_entry entries[MODEL_MAX];
	struct model_intent intents[MODEL_MAX];
	struct model_block blocks[MODEL_MAX];
	struct model_tries tries[MODEL_MAX];
	struct model_large large[MODEL_MAX];
	size_t count, nintents, nblocks, ntries, nlarge;
	uint64_t broke, broke_at; /* pipelining */
	uint64_t refused, refused_at, pause, last;
	struct wire_span login;
	bool salvage; /* what makes no sense is passed over, numbers may be missing */
	size_t good;  /* bytes of the file that count */
	char *bytes;  /* unescaped in place; what the spans point into */
};

static inline bool is_same_span(struct wire_span a, struct wire_span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Closes an intent: of the newest block that has the token, the oldest. */
static inline struct model_intent *model_close(struct model *m, struct wire_span token)
{
	struct model_intent *found = NULL;

	for (size_t i = 0; i < m->nintents; i++) {
		struct model_intent *intent = &m->intents[i];

		if (intent->open && is_same_span(intent->token, token) &&
		    (found == NULL || intent->block > found->block))
			found = intent;
	}
	if (found != NULL)
		found->open = false;
	return found;
}

static inline void model_close_all(struct model *m)
{
	for (size_t i = 0; i < m->nintents; i++)
		m->intents[i].open = false;
	for (size_t b = 0; b < m->nblocks; b++)
		m->blocks[b].closed = true;
}

static inline struct model_tries *model_tries(struct model *m, char tag, struct wire_span uid,
                                              uint64_t octets)
{
	for (size_t i = 0; i < m->ntries; i++)
		if (m->tries[i].tag == tag && m->tries[i].octets == octets &&
		    is_same_span(m->tries[i].uid, uid))
			return &m->tries[i];
	return NULL;
}

static inline void model_drop_tries(struct model *m, struct model_tries *tries)
{
	if (tries != NULL)
		*tries = m->tries[--m->ntries];
}

static inline struct model_large *model_large(struct model *m, struct wire_span uid,
                                              uint64_t octets)
{
	for (size_t i = 0; i < m->nlarge; i++)
		if (m->large[i].octets == octets && is_same_span(m->large[i].uid, uid))
			return &m->large[i];
	return NULL;
}

static inline bool model_size_up(struct model *m, struct model_large now)
{
	struct model_large *large = model_large(m, now.uid, now.octets);

	if (now.uid.len == 0 || now.num > 2)
		return false;
	if (large != NULL)
		*large = m->large[--m->nlarge];
	if (now.num > 0)
		m->large[m->nlarge++] = now;
	if (now.num == 2) {
		model_drop_tries(m, model_tries(m, 'T', now.uid, now.octets));
		model_drop_tries(m, model_tries(m, 'X', now.uid, now.octets));
	}
	return true;
}

/* True where the record's number is the next one. */
static inline bool model_is_next(struct model *m, const struct record *r)
{
	while (m->salvage && r->num > m->count && m->count < MODEL_MAX - 1)
		m->entries[m->count++] = (struct model_entry){.live = false};
	return r->num == m->count;
}

static inline bool model_add(struct model *m, struct wire_span uid, uint64_t octets,
                             const struct record *r)
{
	model_drop_tries(m, model_tries(m, 'T', uid, octets));
	model_drop_tries(m, model_tries(m, 'X', uid, octets));
	model_size_up(m, (struct model_large){uid, octets, 0, 0});
	m->entries[m->count++] = (struct model_entry){.uid = uid, .octets = octets, .since = r->since,
	                                              .missing = r->missing, .live = uid.len > 0};
	return true;
}

static inline bool model_deliver(struct model *m, const struct record *r)
{
	const struct model_intent *intent = model_is_next(m, r) ? model_close(m, r->token) : NULL;

	if (intent != NULL && intent->part)
		return model_size_up(m, (struct model_large){intent->uid, intent->octets, 2, 0});
	if (intent == NULL || !model_add(m, intent->uid, intent->octets, r))
		return false;
	m->entries[m->count - 1].mark = intent->mark;
	return true;
}

static inline bool model_remember(struct model *m, const struct record *r)
{
	if (!model_is_next(m, r) || r->uid.len == 0)
		return false;
	return model_add(m, r->uid, r->octets, r);
}

static inline bool model_try(struct model *m, const struct record *r)
{
	if (r->uid.len == 0)
		return false;
	model_drop_tries(m, model_tries(m, r->tag, r->uid, r->octets));
	if (r->num > 0)
		m->tries[m->ntries++] = (struct model_tries){r->tag, r->uid, r->octets, r->num,
		                                             r->tag == 'X' ? r->since : 0};
	return true;
}

static inline bool model_intend(struct model *m, const struct record *r)
{
	bool part = r->tag == 'J';

	if (m->nblocks == 0 || m->blocks[m->nblocks - 1].closed || r->token.len != SPOOL_TOKEN)
		return false;
	if (part && r->uid.len == 0)
		return false;
	m->intents[m->nintents++] = (struct model_intent){
		r->token, r->place, r->uid, r->octets, m->nblocks - 1, part, true, SPOOL_UNSURE, 0};
	return true;
}

/* Of the newest block the newest intent that is open. */
static inline bool model_mark(struct model *m, const struct record *r)
{
	for (size_t i = m->nintents; i-- > 0;) {
		struct model_intent *intent = &m->intents[i];

		if (!intent->open || intent->block != m->nblocks - 1)
			continue;
		if (is_same_span(intent->token, r->token))
			intent->mark = r->octets;
		return is_same_span(intent->token, r->token);
	}
	return false;
}

/* False where the record makes no sense. */
static inline bool model_apply(struct model *m, const struct record *r)
{
	struct model_entry *entry = r->num < m->count ? &m->entries[r->num] : NULL;

	CHECK(m->count < MODEL_MAX && m->nintents < MODEL_MAX && m->nblocks < MODEL_MAX);
	if (strchr("MFH", r->tag) != NULL && (entry == NULL || !entry->live))
		return false;
	switch (r->tag) {
	case 'P':
		m->blocks[m->nblocks++] = (struct model_block){r->kind, r->path, r->run, false};
		return true;
	case 'I':
	case 'J':
		return model_intend(m, r);
	case 'G':
		return model_mark(m, r);
	case 'D':
		return model_deliver(m, r);
	case 'N':
		return model_close(m, r->token) != NULL;
	case 'S':
		return model_remember(m, r);
	case 'M':
		entry->missing = r->missing;
		return true;
	case 'F':
		entry->live = false;
		return true;
	case 'B':
		m->broke = r->num;
		m->broke_at = r->since;
		return true;
	case 'A':
		m->refused = r->num;
		m->refused_at = r->since;
		m->login = r->token;
		return true;
	case 'L':
		m->pause = r->num;
		m->last = r->since;
		return true;
	case 'H':
		entry->mark = r->octets;
		return true;
	case 'T':
	case 'X':
		return model_try(m, r);
	case 'O':
		return model_size_up(m, (struct model_large){r->uid, r->octets, r->num, r->missing});
	case 'Z':
		model_close_all(m);
		return true;
	default:
		return false;
	}
}

static inline void model_begin(struct model *m, const char *file, size_t len, bool salvage)
{
	m->count = m->nintents = m->nblocks = m->ntries = m->nlarge = m->good = 0;
	m->broke = m->broke_at = 0;
	m->refused = m->refused_at = m->pause = m->last = 0;
	m->login = (struct wire_span){0};
	m->salvage = salvage;
	m->bytes = exact(file, len);
}

/* The next line's record: false where it is none. */
static inline bool model_next(struct model *m, size_t len, size_t *at, struct record *r)
{
	char *line = m->bytes + *at, *lf = memchr(line, '\n', len - *at);
	size_t n = lf != NULL ? (size_t)(lf - line) : len - *at;

	*at += n + (lf != NULL);
	return lf != NULL && crc_is_right(line, n) && record_decode(line, n, r);
}

/* Reads a file's bytes. */
static inline enum model_verdict model_read(struct model *m, const char *file, size_t len)
{
	bool bad = false, header = true;
	struct record r;

	model_begin(m, file, len, false);
	for (size_t at = 0; at < len;) {
		bool right = model_next(m, len, &at, &r);

		if (bad && right && r.firm)
			return MODEL_DAMAGED;
		bad = bad || !right;
		if (bad)
			continue;
		if (header && r.tag == 'V' && r.num != RECORD_VERSION)
			return MODEL_REFUSED;
		if (header ? r.tag != 'V' : !model_apply(m, &r))
			return MODEL_DAMAGED;
		header = false;
		m->good = at;
	}
	return header && len > RECORD_HEADER ? MODEL_DAMAGED : MODEL_GOOD;
}

/* Takes from a damaged file's bytes what can be read. */
static inline void model_salvage(struct model *m, const char *file, size_t len)
{
	struct record r;

	model_begin(m, file, len, true);
	for (size_t at = 0; at < len;)
		if (model_next(m, len, &at, &r) && r.tag != 'V')
			model_apply(m, &r);
	m->salvage = false;
}

#endif

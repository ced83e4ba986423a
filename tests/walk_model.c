/* SPDX-License-Identifier: MIT */
/*
 * walk_model.c - what must be true of each message of the walk.
 *
 * After each session, however it ended:
 *
 *   - what left the server by mailhaul is delivered, whole, or the filter was asked in this session
 *     and said so, or it is too large and that is to be deleted; what was delivered is there still
 *   - no message has more copies than one, and one more for each session in which its UID is not
 *     that of its delivery, or it has none; and where a reader took it before a crash was settled.
 *     So after a reset of UIDs only loss is forbidden.  An MDA that was running at a crash may get
 *     it again.  The same of the header of what is too large
 *   - not more came than the limit says, and if all went well, so many if there were
 *   - nothing partial is to be seen, but in an mbox between a kill and the next run
 *   - status 0 says that all listed mail is here and, unless it is kept, gone from there, but for
 *     what the limit, the filter or its size leaves; what has failed twice before may be put off,
 *     but not with --retry
 *   - without a fault the status is 0, nothing is said but of what is too large, and no file is
 *     left behind
 *
 * Two messages of one UID and one size nobody can tell apart if they are never listed together.
 * Where one of them is deleted for the other before a session that saw both has come to its end,
 * that is forgiven, and counted; afterwards it is a loss.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned long second_copies, forgiven, unread, headers;

static bool is_alike(const struct message *a, const struct message *b)
{
	return a->uid == b->uid && a->listed == b->listed;
}

/* Its UID and size are those of its delivery. */
static bool is_exact(const struct message *m)
{
	return m->listed > 0 && m->uid == m->whole.known_uid && m->listed == m->known_listed;
}

/* Nothing else can be meant: it is not asked for again, whatever the filter and its size. */
static bool is_sure(const struct message *m)
{
	return m->whole.known && !m->whole.stray && is_exact(m) && !m->missing && m->doubt == NO_DOUBT;
}

static bool is_too_large(const struct session *s, const struct message *m)
{
	return s->rules.max_size > 0 && m->listed > s->rules.max_size;
}

static enum verdict verdict_of(const struct session *s, const struct message *m)
{
	return s->rules.filter ? m->verdict : SIFT_TAKE;
}

/* -- what may be --------------------------------------------------------------------------- */

/* Whether a copy of a message, or of its header, may come once more if one has come before. */
static bool may_repeat(const struct message *m, const struct copies *c)
{
	bool sure = c->known || c->flight;

	return c->stray || (!sure && c->seen > 0) || (sure && m->uid != c->known_uid);
}

/* Another one has the UID and the size of its delivery now, and it has another size itself: so the
 * other one passes for it, and nobody looks at the text of what is not fetched. */
static bool is_replaced(const struct session *s, const struct message *m)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->list[i] != m && s->list[i]->uid == m->uid && !is_exact(m) &&
		    s->list[i]->listed == m->known_listed)
			return true;
	return false;
}

/* Where a listing had one of two alike, both delivered, and that was deleted, nobody knows which of
 * them is remembered when the other one is back. */
static bool may_come_again(const struct session *s, const struct message *m)
{
	return may_repeat(m, &m->whole) || (m->nameless && s->rules.keep == KEEP_NO) ||
	       (m->doubt == TWIN && m->missing) || is_replaced(s, m);
}

/* Of those that are alike one header stands for all, and what is here whole is not remembered as
 * too large: under another size its header may come. */
static bool may_head_come_again(const struct message *m)
{
	return may_repeat(m, &m->head) || m->doubt != NO_DOUBT || m->whole.seen > 0;
}

/* How many copies this session may have brought: what an earlier one had begun, a first one, and
 * those that come again. */
static unsigned allowed(const struct session *s, const struct message *m)
{
	if (!m->listing || s->connections == 0)
		return m->whole.flight;
	return (m->whole.seen == 0 || m->whole.flight) + (m->again ? s->connections : 0);
}

static bool wants_head(const struct session *s, const struct message *m)
{
	return s->rules.oversize == SIZE_HEADERS && is_too_large(s, m) && m->listing && !m->nameless;
}

static unsigned allowed_heads(const struct session *s, const struct message *m)
{
	if (!wants_head(s, m) || s->connections == 0)
		return m->head.flight;
	return (m->head.seen == 0 || m->head.flight) + (m->head_again ? s->connections : 0);
}

/* Whether it may be deleted unread by mistake: as many of its kind may be known as are listed. */
static bool may_be_mistaken(const struct session *s, const struct message *m)
{
	unsigned listed = 0, known = 0;

	if (m->warned)
		return false;
	if (m->doubt != TWIN)
		return m->doubt == HOPELESS;
	for (size_t i = 0; i < n_history; i++) {
		const struct message *now = NULL;

		if (history[i].uid != m->uid || history[i].listed != m->listed)
			continue;
		for (unsigned k = 0; k < s->n; k++)
			if (s->list[k]->id == history[i].id && is_alike(s->list[k], m))
				now = s->list[k];
		listed += now != NULL;
		known += now == NULL || now->whole.known || now->whole.flight;
	}
	return known >= listed;
}

static bool may_go_for_size(const struct session *s, const struct message *m)
{
	return is_too_large(s, m) && s->rules.oversize == SIZE_DELETE;
}

/* The user wants it to go, and nobody reads it.  Of one that was delivered, and has another size
 * now, nobody can know that. */
static bool may_go_unread(const struct session *s, const struct message *m)
{
	return may_go_for_size(s, m) ||
	       (s->rules.filter && m->asked && m->verdict == SIFT_DELETE);
}

/* Where mail is kept it may be left for known, and so not come: another one had its UID, and its
 * size or none. */
static bool may_pass_for_known(const struct session *s, const struct message *m)
{
	if (s->rules.keep == KEEP_NO)
		return false;
	for (size_t i = 0; i < n_history; i++) {
		if (history[i].uid != m->uid || history[i].id == m->id)
			continue;
		if (history[i].listed == 0 || m->listed == 0)
			return true;
		if (history[i].listed == m->listed)
			return !m->warned;
	}
	return false;
}

/* -- what must be -------------------------------------------------------------------------- */

/* What fails more than once is put off.  It is known by its UID and its size. */
static bool may_be_put_off(const struct session *s, const struct message *m)
{
	unsigned failures = 0;

	for (size_t i = 0; i < n_history; i++)
		if (history[i].uid == m->uid && history[i].listed == m->listed)
			failures += history[i].failures;
	return !s->retry && failures > 1;
}

/* It is asked for, unless the limit is reached. */
static bool is_wanted(const struct session *s, const struct message *m)
{
	return m->listing && !m->nameless && !may_be_put_off(s, m) && !may_pass_for_known(s, m);
}

static bool must_come(const struct session *s, const struct message *m)
{
	return is_wanted(s, m) && !is_too_large(s, m) && verdict_of(s, m) == SIFT_TAKE;
}

static bool must_head_come(const struct session *s, const struct message *m)
{
	return is_wanted(s, m) && wants_head(s, m) && verdict_of(s, m) == SIFT_TAKE &&
	       m->doubt == NO_DOUBT && m->whole.seen == 0;
}

/* Delivered, and not kept, or deleted unread. */
static bool must_go(const struct session *s, const struct message *m, unsigned copies)
{
	if (!m->listing || m->nameless) /* it may be one that the journal waits for */
		return false;
	if (s->rules.keep == KEEP_NO && is_sure(m))
		return true;
	/* A second session, for deletes alone, deletes nothing unread, nor where another is alike. */
	if (s->connections > 1 && (copies == 0 || m->doubt != NO_DOUBT))
		return false;
	if (s->rules.keep == KEEP_NO && copies > m->whole.seen)
		return true;
	if (is_too_large(s, m))
		return copies == 0 && s->rules.oversize == SIZE_DELETE && is_wanted(s, m);
	if (s->rules.limit > 0 || !is_wanted(s, m))
		return false;
	return verdict_of(s, m) == SIFT_DELETE ? copies == 0
	                                       : s->rules.keep == KEEP_NO && must_come(s, m);
}

/* By the rules of this session it is where it belongs. */
static bool is_settled(const struct session *s, const struct message *m)
{
	if (!m->used || !m->here)
		return true;
	if (s->rules.keep != KEEP_NO && (m->whole.seen > 0 || !is_wanted(s, m)))
		return true;
	if (is_sure(m))
		return false;
	if (is_too_large(s, m))
		return s->rules.oversize != SIZE_DELETE && (!must_head_come(s, m) || m->head.seen > 0);
	return verdict_of(s, m) == SIFT_LEAVE;
}

/* What has happened to one message in this session. */
static void check(const struct session *s, const struct message *m, unsigned copies,
                  unsigned heads, bool window)
{
	bool gone = m->listing && !m->here, keeps = s->rules.keep == KEEP_YES ||
	     s->rules.keep == KEEP_LONG;

	if (copies < m->whole.seen && !window)
		disagree(m, "a copy that was here is here no more");
	if (heads < m->head.seen && !window)
		disagree(m, "a header that was here is here no more");
	if (copies > m->whole.seen + allowed(s, m))
		disagree(m, "%u copies came, %u are allowed", copies - m->whole.seen, allowed(s, m));
	if (heads > m->head.seen + allowed_heads(s, m))
		disagree(m, "%u headers came, %u are allowed", heads - m->head.seen, allowed_heads(s, m));
	if (m->asked && (!s->rules.filter || !m->listing || is_sure(m) ||
	                 (is_too_large(s, m) && s->rules.oversize != SIZE_HEADERS)))
		disagree(m, "the filter was asked about it");
	if (gone && keeps && !may_go_unread(s, m))
		disagree(m, "deleted on the server though it is to be kept");
	if (gone && copies == 0 && !may_be_mistaken(s, m) && !may_go_unread(s, m))
		disagree(m, "LOST: neither on the server nor here");
	if (s->fault == CLEAN && gone && copies == 0 && !may_be_mistaken(s, m) &&
	    may_go_for_size(s, m) &&
	    !world_told_deleted(m->listed))
		disagree(m, "nobody was told that it is deleted");
	if (s->status != 0 || gone)
		return;
	if (copies == 0 && must_come(s, m) && s->rules.limit == 0)
		disagree(m, "status 0, but it is not here");
	if (must_go(s, m, copies) && !s->undone)
		disagree(m, "status 0, but it is still on the server");
}

/* So many came, and so many should have. */
static void check_limit(const struct session *s, const struct witness *w)
{
	unsigned came = 0, earlier = 0, due = 0, limit = s->rules.limit;

	for (unsigned i = 0; i < SLOTS; i++) {
		const struct message *m = &messages[i];
		unsigned copies = w->copies[2 * i] + m->whole.taken;
		unsigned heads = w->copies[2 * i + 1] + m->head.taken;

		if (!m->used || (m->listing && !m->here && copies == 0))
			continue;
		came += copies > m->whole.seen ? copies - m->whole.seen : 0;
		came += heads > m->head.seen ? heads - m->head.seen : 0;
		earlier += copies > m->whole.seen && m->whole.flight; /* an earlier run may have begun it */
		earlier += heads > m->head.seen && m->head.flight;
		due += must_come(s, m) && m->whole.seen == 0 && !m->whole.flight;
		due += must_head_come(s, m) && m->head.seen == 0 && !m->head.flight;
	}
	if (limit > 0 && came - earlier > limit)
		disagree(NULL, "%u came, and the limit is %u", came, limit);
	if (s->fault == CLEAN && came < due && (limit == 0 || came < limit))
		disagree(NULL, "%u came of %u, and the limit is %u", came, due, limit);
}

/* What is too large and stays is told once. */
static void check_words(const struct session *s)
{
	unsigned left = world_check_clean(s), untold = 0;

	for (unsigned i = 0; i < s->n; i++) {
		struct message *m = s->list[i];

		if (!is_too_large(s, m))
			continue;
		untold += s->rules.oversize == SIZE_LEAVE && (!m->told || m->doubt != NO_DOUBT);
		m->told |= s->rules.oversize == SIZE_LEAVE;
	}
	if (left > untold)
		disagree(NULL, "%u are told to be too large, %u were not told before", left, untold);
}

/* -- what is learnt ------------------------------------------------------------------------ */

/* Whether it should have come and did not. */
static void count_failure(const struct session *s, const struct message *m, bool came)
{
	for (size_t i = 0; i < n_history; i++) {
		struct listed *h = &history[i];

		if (h->id != m->id || h->uid != m->uid || h->listed != m->listed)
			continue;
		if (came || s->fault != CLEAN)
			h->failures = came ? 0 : h->failures + s->connections;
		return;
	}
}

/* The same of a message and of its header.  wanted: it might come in this session. */
static void learn_copies(const struct session *s, const struct message *m, struct copies *c,
                         unsigned seen, bool again, bool wanted)
{
	bool came = seen > c->seen, resolved = c->flight;
	bool told = !(s->dies && s->rules.place == MDA); /* the journal has it, too */

	c->seen = seen;
	if (came && resolved)
		c->known = told && !again;
	if (s->connections == 0 && !came)
		return;
	c->flight = c->stray = false;
	c->fresh = came && s->dies;
	if (s->connections == 0 || !m->listing)
		return;
	if (came && !resolved)
		c->known = told && !m->nameless;
	c->flight = s->dies && wanted && !came && (seen == 0 || again);
	if ((came && !resolved) || (c->flight && !c->known))
		c->known_uid = m->uid;
}

/* What the model learns about a message from a session. */
static void learn(const struct session *s, struct message *m, unsigned copies, unsigned heads)
{
	bool came = copies > m->whole.seen, resolved = m->whole.flight;

	learn_copies(s, m, &m->whole, copies, m->again, !is_too_large(s, m));
	learn_copies(s, m, &m->head, heads, m->head_again, wants_head(s, m));
	if (s->connections == 0)
		return;
	m->missing = m->missing || (m->whole.known && (!m->listing || m->nameless));
	if (!m->listing)
		return;
	if (came && !resolved) {
		m->missing = false;
	} else if (s->fault == CLEAN && copies > 0 && is_exact(m)) {
		m->whole.known |= s->rules.limit == 0 && must_come(s, m); /* or it had come again */
		m->missing = m->missing && !(s->whole && s->rules.keep != KEEP_NO);
	}
	if ((came && !resolved) || (m->whole.flight && !m->whole.known))
		m->known_listed = m->listed;
	if (s->liar && (s->rules.keep == KEEP_NO || s->rules.keep == KEEP_SHORT))
		m->whole.known = false; /* its deletion was confirmed */
}

/* Whether this session has seen all that are alike and known, and this one, which is none of them;
 * and came to its end, or far enough.  came: one that is alike has come. */
static bool is_warning(const struct session *s, const struct message *m, bool came)
{
	if (!m->listing || m->nameless || m->whole.seen > 0)
		return false;
	if (s->fault != CLEAN && (s->dies || !came))
		return false;
	if (m->doubt == LOOKALIKE)
		return s->rules.keep == KEEP_NO;
	if (m->doubt != TWIN)
		return false;
	for (size_t i = 0; i < n_history; i++) {
		bool listed = history[i].id == m->id;

		if (history[i].uid != m->uid || history[i].listed != m->listed)
			continue;
		for (unsigned k = 0; k < s->n; k++)
			listed |= s->list[k]->id == history[i].id && is_alike(s->list[k], m);
		if (!listed)
			return false;
	}
	return true;
}

/* came: whether one that is alike has come in this session. */
static void learn_doubt(const struct session *s, struct message *m, const struct witness *w)
{
	bool came = false;

	for (unsigned i = 0; i < SLOTS; i++)
		came |= messages[i].used && &messages[i] != m && is_alike(&messages[i], m) &&
		        w->copies[2 * i] + messages[i].whole.taken > messages[i].whole.seen;
	if (is_warning(s, m, came))
		m->warned = true;
	else if (came)
		m->warned = false;
}

static void take(struct copies *c, unsigned before, unsigned after)
{
	c->taken += before - after;
	c->stray |= after < before && c->fresh;
}

void model_taken(const struct witness *before, const struct witness *after)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		take(&messages[i].whole, before->copies[2 * i], after->copies[2 * i]);
		take(&messages[i].head, before->copies[2 * i + 1], after->copies[2 * i + 1]);
	}
}

/* -- a session is over --------------------------------------------------------------------- */

static void prepare(const struct session *s, struct message *m, const char *asked)
{
	char word[20];

	snprintf(word, sizeof word, " %u ", m->id);
	m->asked = strstr(asked, word);
	if (m->doubt == LOOKALIKE && m->listing && !m->warned && s->rules.keep != KEEP_NO)
		m->doubt = HOPELESS;
	m->again = m->listing && may_come_again(s, m);
	m->head_again = m->listing && may_head_come_again(m);
}

static void count(const struct session *s, const struct message *m, unsigned copies, unsigned heads)
{
	bool lost = m->listing && !m->here && copies == 0;

	forgiven += lost && !may_go_unread(s, m);
	unread += lost && may_go_unread(s, m);
	headers += heads > m->head.seen ? heads - m->head.seen : 0;
	if (m->whole.seen > 0 && copies > m->whole.seen)
		second_copies += copies - m->whole.seen;
}

static void check_world(const struct session *s, const struct witness *w, bool window)
{
	if (w->odd > 0 && !window)
		disagree(NULL, "partial: %s", w->what);
	for (unsigned i = 0; i < MAX_FOREIGN; i++)
		if (w->foreign[i] != (i < n_foreign))
			disagree(NULL, "%u copies of foreign mail %u", w->foreign[i], i);
	if (s->fault != KILL && s->fault != ERROR && (s->status == 70 || s->status > 143))
		disagree(NULL, "status %d", s->status);
}

unsigned model_judge(const struct session *s, const char *gone, const char *asked)
{
	static bool open; /* a run has died in the mbox, and none has settled it */
	bool window = (s->dies && s->rules.place == MBOX) || (open && s->connections == 0);
	unsigned copies[SLOTS], heads[SLOTS], rest = 0;
	struct witness w;

	world_look(&w);
	check_world(s, &w, window);
	for (unsigned i = 0; i < s->n && gone[i]; i++)
		if (gone[i] == 'D')
			mailbox_leave(s->list[i]);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct message *m = &messages[i];

		copies[i] = w.copies[2 * i] + m->whole.taken;
		heads[i] = w.copies[2 * i + 1] + m->head.taken;
		if (!m->used && (copies[i] > m->whole.taken || heads[i] > m->head.taken))
			disagree(m, "a message of old comes again");
		if (!m->used)
			continue;
		prepare(s, m, asked);
		check(s, m, copies[i], heads[i], window);
	}
	check_limit(s, &w);
	if (s->fault == CLEAN)
		check_words(s);
	for (unsigned i = 0; i < SLOTS; i++)
		if (messages[i].used)
			learn_doubt(s, &messages[i], &w);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct message *m = &messages[i];

		if (!m->used)
			continue;
		count(s, m, copies[i], heads[i]);
		if (m->listing)
			count_failure(s, m, copies[i] > 0 || heads[i] > m->head.seen);
		learn(s, m, copies[i], heads[i]);
		rest += !is_settled(s, m);
	}
	if (s->fault == CLEAN)
		mailbox_note_gone(s);
	open = window;
	return rest;
}

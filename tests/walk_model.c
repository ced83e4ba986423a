/* SPDX-License-Identifier: MIT */
/*
 * walk_model.c - each message of the walk, and what must be true of it.
 *
 * After each session, however it ended:
 *
 *   - what left the server by mailhaul is delivered, whole; what was delivered is there still
 *   - no message has more copies than the rules allow: one, and one more for each session in which
 *     its UID or size is not that of its delivery, or is shared with one that is not known; in
 *     which it has no UID; in which it comes back after a whole listing has lacked it, if mail is
 *     not kept; and where a reader took it before a crash was settled.  So after a reset of
 *     UIDs only loss is forbidden.  An MDA that was running at a crash may get it again
 *   - nothing partial is to be seen, but in an mbox between a kill and the next run
 *   - status 0 says that all listed mail is here and, unless it is kept, gone from there; what has
 *     failed twice before may be put off, but not with --retry
 *   - without a fault the status is 0, nothing is said, and no file is left behind
 *
 * Of two messages of one UID and one size that are not listed together nobody can tell which is
 * which, so that is only drawn where the server has confirmed the deletion of the first, or a whole
 * session without keep has lacked it.  Two listed together are drawn, too; should one of
 * them be deleted for the other when that is gone, it is forgiven, and counted.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct message messages[MAX_MESSAGES], *mailbox[MAX_HERE];
unsigned n_here, n_messages;
unsigned long second_copies, forgiven;

/* A UID and a size, and whose they are. */
struct listed {
	unsigned uid, id;
	unsigned long listed;
	unsigned failures; /* sessions, or connections, in which it should have come and did not */
};

static struct listed *history; /* all that ever were listed */
static size_t n_history;
static struct listed confirmed, vanished; /* those that may be used again; uid 0: none */
static unsigned n_uids;

/* -- the mailbox --------------------------------------------------------------------------- */

const char *uid_text(unsigned uid)
{
	static char text[100];
	static const char padding[] = "................................"
		"................................";

	switch (uid % 7) {
	case 0: snprintf(text, sizeof text, "../%u", uid); break;
	case 1: snprintf(text, sizeof text, "%%%u", uid); break;
	case 2: snprintf(text, sizeof text, "-%u:@\\xe9\\xff", uid); break;
	case 3: snprintf(text, sizeof text, "two\\x20words%u", uid); break;
	case 4: snprintf(text, sizeof text, "%u%s", uid, padding); break;
	default: snprintf(text, sizeof text, "u%u", uid);
	}
	return text;
}

const char *text_name(const struct message *m)
{
	static char name[40];

	snprintf(name, sizeof name, "texts/%d", (int)(m - messages) + 1);
	return name;
}

/* True where another message than this one was listed so; listed 0: with any size. */
static bool was_listed(unsigned uid, unsigned long listed, unsigned but_id)
{
	for (size_t i = 0; i < n_history; i++)
		if (history[i].uid == uid && history[i].id != but_id &&
		    (listed == 0 || history[i].listed == listed))
			return true;
	return false;
}

static void list_as(struct message *m, unsigned uid, unsigned long listed)
{
	if ((n_history & (n_history - 1)) == 0) /* full at each power of two */
		history = realloc(history, (n_history * 2 + 1) * sizeof *history);
	if (!history)
		die("no memory");
	history[n_history++] = (struct listed){.uid = uid, .id = m->id, .listed = listed};
	m->uid = uid;
	m->listed = listed;
}

/* A text no other message has; some of its lines want care. */
static void write_text(struct message *m)
{
	static const char *const odd[] = {
		".\n", "..\n", "From me\n", ">From you\n", "\n", ".dot\n", "a\rb\n", "caf\xe9 \xff\n",
	};
	unsigned lines = chance(5) ? 400 + below(1500) : below(40);
	FILE *f = fopen(in(text_name(m)), "we");

	if (!f)
		die("%s: %s", text_name(m), strerror(errno));
	m->size = (unsigned long)fprintf(f, "Subject: letter %u\n", m->id) + 1;
	if (lines > 0)
		m->size += (unsigned long)fprintf(f, "\n") + 1;
	while (lines-- > 0)
		m->size += (unsigned long)(chance(80) ? fprintf(f, "%u of letter %u\n", lines, m->id)
		                                      : fprintf(f, "%s", odd[below(COUNT(odd))])) + 1;
	fclose(f);
}

static struct message *find_room(void)
{
	struct message *m = messages;

	while (m < messages + MAX_MESSAGES && m->used)
		m++;
	if (m == messages + MAX_MESSAGES || n_here == MAX_HERE)
		return NULL;
	*m = (struct message){.used = true, .here = true, .id = ++n_messages};
	write_text(m);
	mailbox[n_here++] = m;
	witness_learn(in("texts"));
	return m;
}

static void leave_server(struct message *m)
{
	unsigned i = 0;

	while (mailbox[i] != m)
		i++;
	memmove(mailbox + i, mailbox + i + 1, (--n_here - i) * sizeof *mailbox);
	m->here = false;
}

void model_arrive(void)
{
	struct message *m = find_room();

	if (!m)
		return;
	list_as(m, ++n_uids, m->size);
	tell("mail %u arrives: uid %u, %lu octets", m->id, m->uid, m->size);
}

/* Takes it, if nobody was listed like that meanwhile. */
static bool use_again(struct message *m, struct listed *old)
{
	struct listed o = *old;

	old->uid = 0;
	if (o.uid == 0 || was_listed(o.uid, o.listed, o.id))
		return false;
	list_as(m, o.uid, o.listed);
	return true;
}

static void make_twins(struct message *m, const struct message *of)
{
	for (unsigned i = 0; i < n_here; i++)
		if (mailbox[i]->uid == of->uid && mailbox[i]->listed == of->listed)
			mailbox[i]->doubt = TWIN;
	m->doubt = TWIN;
	list_as(m, of->uid, of->listed);
}

void model_arrive_alike(void)
{
	const struct message *other = n_here > 0 ? mailbox[below(n_here)] : NULL;
	unsigned uid = n_history > 0 ? history[below((unsigned)n_history)].uid : 0;
	struct message *m = uid > 0 ? find_room() : NULL;

	if (!m)
		return;
	if (chance(30) && use_again(m, &vanished)) {
		m->doubt = LOOKALIKE;
	} else if (chance(45) && use_again(m, &confirmed)) {
		m->doubt = NO_DOUBT;
	} else if (other && chance(25)) {
		make_twins(m, other);
	} else {
		unsigned long listed = m->size;

		uid = other && chance(60) ? other->uid : uid;
		while (was_listed(uid, listed, 0))
			listed++;
		list_as(m, uid, listed);
	}
	tell("mail %u arrives with a used UID: uid %u, %lu octets, doubt %d", m->id, m->uid, m->listed,
	     (int)m->doubt);
}

void model_size_lies(void)
{
	struct message *m = n_here > 0 ? mailbox[below(n_here)] : NULL;
	unsigned long listed = m && chance(80) ? m->size + below(5000) : 0;

	if (!m)
		return;
	while (listed > 0 && was_listed(m->uid, listed, 0))
		listed++;
	list_as(m, m->uid, listed);
	tell("message %u is listed with %lu octets", m->id, listed);
}

void model_reset_uids(void)
{
	for (unsigned i = 0; i < n_here; i++) {
		list_as(mailbox[i], ++n_uids, mailbox[i]->listed);
		mailbox[i]->doubt = NO_DOUBT;
	}
	tell("%u UIDs are reset, the last one is %u", n_here, n_uids);
}

void model_others_delete(unsigned percent)
{
	for (unsigned i = n_here; i-- > 0;) {
		if (!chance(percent))
			continue;
		tell("another client deletes %u", mailbox[i]->id);
		leave_server(mailbox[i]);
	}
}

void model_taken(const struct witness *before, const struct witness *after)
{
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		messages[i].taken += before->copies[i] - after->copies[i];
		if (after->copies[i] < before->copies[i] && messages[i].fresh)
			messages[i].stray = true;
	}
}

void model_forget_gone(void)
{
	for (unsigned i = 0; i < MAX_MESSAGES; i++)
		messages[i].used = messages[i].here;
}

/* All that is there, but in trouble the server forgets some, or all. */
void model_list(struct session *s)
{
	unsigned percent = s->fault != SHORT ? 0 : chance(40) ? 100 : 10 + below(60);

	for (unsigned i = 0; i < MAX_MESSAGES; i++)
		messages[i].listing = messages[i].nameless = false;
	s->whole = true;
	for (unsigned i = 0; i < n_here; i++) {
		if (chance(percent))
			continue;
		s->list[s->n++] = mailbox[i];
		s->whole = s->whole && mailbox[i]->listed > 0;
		mailbox[i]->listing = true;
		mailbox[i]->nameless = s->fault == NAMELESS && chance(40);
	}
}

/* -- what must be true --------------------------------------------------------------------- */

static bool is_alike(const struct message *a, const struct message *b)
{
	return a->uid == b->uid && a->listed == b->listed;
}

/* Its UID and size are those of its delivery. */
static bool is_exact(const struct message *m)
{
	return m->listed > 0 && m->uid == m->known_uid && m->listed == m->known_listed;
}

/* Whether the rules let this message, if it was delivered before, be fetched once more. */
static bool may_come_again(const struct session *s, const struct message *m)
{
	bool sure = m->known || m->flight, exact = sure ? is_exact(m) : m->listed > 0;
	bool alone = true, contested = false;

	if (m->stray || (!sure && m->copies > 0))
		return true;
	if (m->nameless)
		return s->keep == KEEP_NO;
	if (sure && m->uid != m->known_uid)
		return true;
	for (unsigned i = 0; i < s->n; i++) {
		const struct message *o = s->list[i];

		if (o == m || o->uid != m->uid)
			continue;
		alone = false;
		if (is_alike(o, m) && !(o->known && is_exact(o) && !o->missing))
			contested = true;
	}
	if (exact)
		return contested || (m->missing && s->keep == KEEP_NO);
	return s->keep == KEEP_NO || s->keep == KEEP_SHORT || !alone;
}

/* How many copies this session may have brought: what an earlier one had begun, a first one, and
 * those that come again. */
static unsigned allowed(const struct session *s, const struct message *m)
{
	if (!m->listing || s->connections == 0)
		return m->flight;
	return (m->copies == 0 || m->flight) + (m->again ? s->connections : 0);
}

/* Whether it may be deleted unread: as many of its kind may be known as are listed. */
static bool may_be_mistaken(const struct session *s, const struct message *m)
{
	unsigned listed = 0, known = 0;

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
		known += now == NULL || now->known || now->flight;
	}
	return known >= listed;
}

/* What fails more than once is put off.  It is known by its UID and its size. */
static bool may_be_put_off(const struct session *s, const struct message *m)
{
	unsigned failures = 0;

	for (size_t i = 0; i < n_history; i++)
		if (history[i].uid == m->uid && history[i].listed == m->listed)
			failures += history[i].failures;
	return !s->retry && failures > 1;
}

/* Whether it should have come and did not. */
static void count_failure(const struct session *s, const struct message *m, bool came)
{
	for (size_t i = 0; i < n_history; i++) {
		struct listed *h = &history[i];

		if (h->id != m->id || h->uid != m->uid || h->listed != m->listed)
			continue;
		h->failures = came ? 0 : h->failures + s->connections;
		return;
	}
}

/* What has happened to one message in this session. */
static void check(const struct session *s, const struct message *m, unsigned copies, bool window)
{
	bool gone = m->listing && !m->here;

	if (!m->used && copies > m->taken)
		disagree(m, "a message of old comes again");
	if (!m->used)
		return;
	if (copies < m->copies && !window)
		disagree(m, "a copy that was here is here no more");
	if (copies > m->copies + allowed(s, m))
		disagree(m, "%u copies came, %u are allowed", copies - m->copies, allowed(s, m));
	if (gone && (s->keep == KEEP_YES || s->keep == KEEP_LONG))
		disagree(m, "deleted on the server though it is to be kept");
	if (gone && copies == 0 && !may_be_mistaken(s, m))
		disagree(m, "LOST: neither on the server nor here");
	if (s->status != 0 || !m->listing || (m->nameless && m->listed == 0) ||
	    (copies == 0 && may_be_put_off(s, m)))
		return;
	if (m->nameless && !gone)
		return; /* it may be one that the journal waits for: it stays until it has its UID */
	if (copies == 0 && !gone && (s->keep == KEEP_NO || !was_listed(m->uid, 0, m->id)))
		disagree(m, "status 0, but it is not here");
	if (!gone && s->keep == KEEP_NO && !s->undone)
		disagree(m, "status 0, but it is still on the server");
}

/* What the model learns about a message from a session. */
static void learn(const struct session *s, struct message *m, unsigned copies)
{
	bool came = copies > m->copies, resolved = m->flight;
	bool told = !(s->dies && s->place == MDA); /* the journal has it, too */

	m->copies = copies;
	if (came && resolved)
		m->known = told && !m->again;
	if (s->connections == 0 && !came)
		return;
	m->flight = m->stray = false;
	m->fresh = came && s->dies;
	if (s->connections == 0)
		return;
	m->missing = m->missing || (m->known && (!m->listing || m->nameless));
	if (!m->listing)
		return;
	if (came && !resolved) {
		m->known = told && !m->nameless;
		m->missing = false;
	} else if (s->fault == CLEAN && copies > 0 && (m->known || is_exact(m))) {
		m->known = true; /* or it would have come again */
		m->missing = m->missing && !(s->whole && s->keep != KEEP_NO);
	}
	m->flight = s->dies && !came && (copies == 0 || m->again);
	if ((came && !resolved) || (m->flight && !m->known)) {
		m->known_uid = m->uid;
		m->known_listed = m->listed;
	}
	if (s->liar && (s->keep == KEEP_NO || s->keep == KEEP_SHORT))
		m->known = false; /* its deletion was confirmed */
}

static struct listed listed_now(const struct message *m)
{
	return (struct listed){.uid = m->uid, .id = m->id, .listed = m->listed};
}

/* After a session without a fault: which UIDs with their sizes may be used again. */
static void note_gone(const struct session *s)
{
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		const struct message *m = &messages[i];

		if (!m->used || m->here || m->doubt != NO_DOUBT || m->listed == 0)
			continue;
		if (m->listing)
			confirmed = listed_now(m);
		else if (s->whole && s->keep == KEEP_NO && chance(30))
			vanished = listed_now(m);
	}
}

void model_judge(const struct session *s, const char *gone)
{
	static bool open; /* a run has died in the mbox, and none has settled it */
	bool window = (s->dies && s->place == MBOX) || (open && s->connections == 0);
	struct witness w;

	world_look(&w);
	if (w.odd > 0 && !window)
		disagree(NULL, "partial: %s", w.what);
	for (unsigned i = 0; i < MAX_FOREIGN; i++)
		if (w.foreign[i] != (i < n_foreign))
			disagree(NULL, "%u copies of foreign mail %u", w.foreign[i], i);
	if (s->fault != KILL && s->fault != ERROR && (s->status == 70 || s->status > 143))
		disagree(NULL, "status %d", s->status);
	for (unsigned i = 0; i < s->n && gone[i]; i++)
		if (gone[i] == 'D')
			leave_server(s->list[i]);
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		struct message *m = &messages[i];

		if (m->doubt == LOOKALIKE && m->listing && s->keep != KEEP_NO)
			m->doubt = HOPELESS;
		m->again = m->listing && may_come_again(s, m);
		check(s, m, w.copies[i] + m->taken, window);
	}
	if (s->fault == CLEAN)
		world_check_clean(s);
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		struct message *m = &messages[i];
		unsigned copies = w.copies[i] + m->taken;

		forgiven += m->listing && !m->here && copies == 0;
		second_copies += m->copies > 0 && copies > m->copies ? copies - m->copies : 0;
		if (m->used && m->listing)
			count_failure(s, m, copies > 0);
		if (m->used)
			learn(s, m, copies);
	}
	if (s->fault == CLEAN)
		note_gone(s);
	open = window;
}

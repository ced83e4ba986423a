/* SPDX-License-Identifier: MIT */
/*
 * walk_mailbox.c - the messages on the server of the walk, and what becomes of them without
 * mailhaul.
 *
 * Of two messages of one UID and one size that are not listed together nobody can tell which is
 * which, so that is only drawn where the server has confirmed the deletion of the first, or a whole
 * session without keep has lacked it.  Two listed together are drawn, too (make_twins).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message messages[SLOTS];
unsigned n_here, n_messages, n_twins;
struct listed *history;
size_t n_history;

static struct message *mailbox[MAX_HERE];
static struct listed confirmed, vanished; /* those that may be used again; uid 0: none */
static unsigned n_uids;

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

static const char *file_name(const struct message *m, int header)
{
	static char name[40];

	snprintf(name, sizeof name, "texts/%d", 2 * (int)(m - messages) + 1 + header);
	return name;
}

const char *text_name(const struct message *m)
{
	return file_name(m, 0);
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
	m->warned = m->told = false;
}

static FILE *create_text(const struct message *m, int header)
{
	FILE *f = fopen(in(file_name(m, header)), "we");

	if (!f)
		die("%s: %s", file_name(m, header), strerror(errno));
	return f;
}

/* A text no other message has; some of its lines want care.  And its header, which must not be a
 * whole message's text. */
static void write_text(struct message *m, bool bodyless)
{
	static const char *const odd[] = {
		".\n", "..\n", "From me\n", ">From you\n", "\n", ".dot\n", "a\rb\n", "caf\xe9 \xff\n",
	};
	unsigned lines = chance(5) ? 400 + below(1500) : 1 + below(40);
	FILE *f = create_text(m, 0);

	m->bodyless = bodyless;
	m->size = (unsigned long)fprintf(f, "Subject: letter %u\n", m->id) + 1;
	if (!bodyless)
		m->size += (unsigned long)fprintf(f, "\n") + 1;
	while (!bodyless && lines-- > 0)
		m->size += (unsigned long)(chance(80) ? fprintf(f, "%u of letter %u\n", lines, m->id)
		                                      : fprintf(f, "%s", odd[below(COUNT(odd))])) + 1;
	fclose(f);
	f = create_text(m, 1);
	fprintf(f, "Subject: letter %u\n\n", m->id);
	fclose(f);
}

static enum verdict draw_verdict(void)
{
	return chance(55) ? SIFT_TAKE : chance(65) ? SIFT_LEAVE : SIFT_DELETE;
}

static struct message *find_room(bool bodyless)
{
	struct message *m = messages;

	while (m < messages + SLOTS && m->used)
		m++;
	if (m == messages + SLOTS || n_here == MAX_HERE)
		return NULL;
	*m = (struct message){.used = true, .here = true, .id = ++n_messages,
	                      .verdict = draw_verdict()};
	write_text(m, bodyless);
	mailbox[n_here++] = m;
	witness_learn(in("texts"));
	return m;
}

void mailbox_leave(struct message *m)
{
	unsigned i = 0;

	while (mailbox[i] != m)
		i++;
	memmove(mailbox + i, mailbox + i + 1, (--n_here - i) * sizeof *mailbox);
	m->here = false;
}

void mailbox_arrive(void)
{
	struct message *m = find_room(chance(3));

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
	n_twins++;
	list_as(m, of->uid, of->listed);
}

void mailbox_arrive_alike(void)
{
	const struct message *other = n_here > 0 ? mailbox[below(n_here)] : NULL;
	unsigned uid = n_history > 0 ? history[below((unsigned)n_history)].uid : 0;
	struct message *m = uid > 0 ? find_room(false) : NULL;

	if (!m)
		return;
	if (chance(30) && use_again(m, &vanished)) {
		m->doubt = LOOKALIKE;
	} else if (chance(45) && use_again(m, &confirmed)) {
		m->doubt = NO_DOUBT;
	} else if (other && chance(60)) {
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

void mailbox_size_lies(void)
{
	struct message *m = n_here > 0 ? mailbox[below(n_here)] : NULL;
	unsigned long listed = m && chance(80) ? m->size + below(chance(50) ? 300 : 5000) : 0;

	if (!m || m->bodyless)
		return;
	while (listed > 0 && was_listed(m->uid, listed, 0))
		listed++;
	list_as(m, m->uid, listed);
	tell("message %u is listed with %lu octets", m->id, listed);
}

void mailbox_reset_uids(void)
{
	for (unsigned i = 0; i < n_here; i++) {
		list_as(mailbox[i], ++n_uids, mailbox[i]->listed);
		mailbox[i]->doubt = NO_DOUBT;
	}
	tell("%u UIDs are reset, the last one is %u", n_here, n_uids);
}

void mailbox_lose(unsigned percent)
{
	for (unsigned i = n_here; i-- > 0;) {
		if (!chance(percent))
			continue;
		tell("another client deletes %u", mailbox[i]->id);
		mailbox_leave(mailbox[i]);
	}
}

void mailbox_lose_twin(void)
{
	for (unsigned i = n_here; i-- > 0;) {
		if (mailbox[i]->doubt != TWIN || !chance(50))
			continue;
		tell("another client deletes the twin %u", mailbox[i]->id);
		mailbox_leave(mailbox[i]);
		return;
	}
}

void mailbox_change_minds(void)
{
	for (unsigned i = 0; i < n_here; i++)
		if (chance(30))
			mailbox[i]->verdict = draw_verdict();
	tell("the filter judges otherwise now");
}

void mailbox_forget_gone(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		messages[i].used = messages[i].here;
}

/* All that is there, but in trouble the server forgets some, or all. */
void mailbox_list(struct session *s)
{
	unsigned percent = s->fault != SHORT ? 0 : chance(40) ? 100 : 10 + below(60);

	for (unsigned i = 0; i < SLOTS; i++)
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

static struct listed listed_now(const struct message *m)
{
	return (struct listed){.uid = m->uid, .id = m->id, .listed = m->listed};
}

void mailbox_note_gone(const struct session *s)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct message *m = &messages[i];

		if (!m->used || m->here || m->doubt != NO_DOUBT || m->listed == 0)
			continue;
		if (m->listing)
			confirmed = listed_now(m);
		else if (s->whole && s->rules.keep == KEEP_NO && chance(30))
			vanished = listed_now(m);
	}
}

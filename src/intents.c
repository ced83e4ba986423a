/* SPDX-License-Identifier: MIT */
/*
 * intents.c - deliveries that are under way, or were when a run died.
 *
 * A block is what one run intends for one destination.  What the destinations must know of it to
 * settle it is struct spool_past; what only the journal must know, the entries which intents become
 * once they are delivered, stands beside it.  Nothing here touches a file.
 */
#include "config.h"

#include "intents.h"

#include <stdlib.h>
#include <string.h>

/* Room for this many intents is made at first; it doubles. */
#define FIRST_ROOM 64

struct intents_block {
	struct spool_intent *intents; /* all of them: the past's, those that are open, are the last */
	struct seen_entry **entries;  /* beside them; foreign: the set's */
	size_t room;
	size_t gone; /* so many stand before the first that is open */
};

static struct wire_span span(const char *text)
{
	return (struct wire_span){text, strlen(text)};
}

static char *text_of(struct wire_span span)
{
	return xmemdup0(span.p, span.len);
}

void intents_begin(struct intents *in, const struct record *r)
{
	size_t n = in->count++;

	in->pasts = xrealloc(in->pasts, (n + 1) * sizeof *in->pasts);
	in->blocks = xrealloc(in->blocks, (n + 1) * sizeof *in->blocks);
	in->blocks[n] = (struct intents_block){0};
	in->pasts[n] = (struct spool_past){
		.kind = text_of(r->kind),
		.path = text_of(r->path),
		.run = text_of(r->run),
	};
}

static void make_room(struct spool_past *past, struct intents_block *block)
{
	if (block->gone + past->count < block->room)
		return;
	block->room = block->room > 0 ? 2 * block->room : FIRST_ROOM;
	block->intents = xrealloc(block->intents, block->room * sizeof *block->intents);
	block->entries = xrealloc(block->entries, block->room * sizeof *block->entries);
	past->intents = block->intents + block->gone;
}

/* Takes one out: mostly the first, and then nothing moves. */
static struct seen_entry *take_out(struct spool_past *past, struct intents_block *block, size_t i)
{
	struct seen_entry **entries = block->entries + block->gone, *entry = entries[i];

	free((char *)past->intents[i].place);
	memmove(past->intents + 1, past->intents, i * sizeof *past->intents);
	memmove(entries + 1, entries, i * sizeof *entries);
	block->gone = --past->count > 0 ? block->gone + 1 : 0;
	past->intents = block->intents + block->gone;
	return entry;
}

bool intents_add(struct intents *in, struct uidset *set, const struct record *r)
{
	struct spool_past *past;
	struct intents_block *block;
	struct spool_intent *intent;
	struct seen_entry *entry;

	if (in->count == 0 || r->token.len != SPOOL_TOKEN || (r->tag == 'J' && r->uid.len == 0))
		return false;
	past = &in->pasts[in->count - 1];
	block = &in->blocks[in->count - 1];
	make_room(past, block);
	entry = uidset_make(set, r->uid, r->octets);
	entry->part = r->tag == 'J';
	block->entries[block->gone + past->count] = entry;
	intent = &past->intents[past->count++];
	intent->place = text_of(r->place);
	intent->fate = SPOOL_UNSURE;
	memcpy(intent->token, r->token.p, SPOOL_TOKEN);
	intent->token[SPOOL_TOKEN] = '\0';
	return true;
}

bool intents_mark(struct intents *in, const struct record *r)
{
	const struct spool_past *past = in->count > 0 ? &in->pasts[in->count - 1] : NULL;
	const struct intents_block *block;

	if (past == NULL || past->count == 0 || r->token.len != SPOOL_TOKEN ||
	    memcmp(past->intents[past->count - 1].token, r->token.p, SPOOL_TOKEN) != 0)
		return false;
	block = &in->blocks[in->count - 1];
	block->entries[block->gone + past->count - 1]->mark = r->octets;
	return true;
}

/* Finds an open intent: newest block first, oldest intent first, for so they are settled. */
static bool find(const struct intents *in, struct wire_span token, size_t *b, size_t *i)
{
	if (token.len != SPOOL_TOKEN)
		return false;
	for (*b = in->count; (*b)-- > 0;)
		for (*i = 0; *i < in->pasts[*b].count; ++*i)
			if (memcmp(in->pasts[*b].intents[*i].token, token.p, SPOOL_TOKEN) == 0)
				return true;
	return false;
}

bool intents_have(const struct intents *in, struct wire_span token)
{
	size_t b, i;

	return find(in, token, &b, &i);
}

struct seen_entry *intents_close(struct intents *in, struct wire_span token)
{
	size_t b, i;

	return find(in, token, &b, &i) ? take_out(&in->pasts[b], &in->blocks[b], i) : NULL;
}

bool intents_settled(const struct intents *in)
{
	for (size_t b = 0; b < in->count; b++)
		if (in->pasts[b].count > 0)
			return false;
	return in->old == 0;
}

static void put_block(const struct spool_past *past, const struct intents_block *block,
                      struct journal *j)
{
	journal_put(j, &(struct record){.tag = 'P', .kind = span(past->kind), .run = span(past->run),
	                                .path = span(past->path)});
	for (size_t i = 0; i < past->count; i++) {
		const struct spool_intent *intent = &past->intents[i];
		const struct seen_entry *entry = block->entries[block->gone + i];

		journal_put(j, &(struct record){.tag = entry->part ? 'J' : 'I',
		                                .token = span(intent->token),
		                                .uid = {entry->uid, entry->uid_len},
		                                .octets = entry->octets, .place = span(intent->place)});
		if (entry->mark != 0)
			journal_put(j, &(struct record){.tag = 'G', .token = span(intent->token),
			                                .octets = entry->mark});
	}
}

void intents_put(const struct intents *in, struct journal *j)
{
	for (size_t b = 0; b < in->count; b++)
		put_block(&in->pasts[b], &in->blocks[b], j);
}

static void free_block(struct spool_past *past, struct intents_block *block)
{
	for (size_t i = 0; i < past->count; i++)
		free((char *)past->intents[i].place);
	free((char *)past->kind);
	free((char *)past->path);
	free((char *)past->run);
	free(block->intents);
	free(block->entries);
}

void intents_drop(struct intents *in, size_t n)
{
	for (size_t b = 0; b < n; b++)
		free_block(&in->pasts[b], &in->blocks[b]);
	for (size_t b = n; b < in->count; b++) {
		in->pasts[b - n] = in->pasts[b];
		in->blocks[b - n] = in->blocks[b];
	}
	in->count -= n;
	in->old -= n < in->old ? n : in->old;
}

void intents_free(struct intents *in)
{
	intents_drop(in, in->count);
	free(in->pasts);
	free(in->blocks);
	*in = (struct intents){0};
}

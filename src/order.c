/* SPDX-License-Identifier: MIT */
/*
 * order.c - the order in which a session asks for messages.
 *
 * What the filter takes goes before what it has not seen, so that nothing waits for long and the
 * limit is exact: no more are before the filter than it may take.  A message that failed before
 * may end the session again, be it by its header alone; so the first of them is asked for when the
 * filter has judged all the others.
 *
 * Nothing here fails.  Called by fetch.c.
 */
#include "config.h"

#include "order.h"

#include <stdlib.h>

void numbers_add(struct numbers *list, uint32_t num)
{
	list->num[list->n++] = num;
}

void order_begin(struct order *o, struct listing *listing, uint64_t limit, uint64_t taken)
{
	*o = (struct order){.listing = listing, .limit = limit, .taken = taken};
	o->ready.num = xcalloc(2 * (size_t)listing->count + 1, sizeof *o->ready.num);
}

/* Those beyond the limit are wanted, too: one before it may turn out to be known. */
static bool is_wanted(const struct order *o, uint32_t num)
{
	const struct message *message = listing_message(o->listing, num);

	return (message->act == ACT_FETCH || message->why == WHY_LIMIT) && message->last == o->last;
}

/* The next one by the listing. */
static uint32_t find_next(struct order *o)
{
	uint32_t count = o->listing != NULL ? o->listing->count : 0;

	for (;; o->last = true, o->next = 0) {
		while (o->next < count && !is_wanted(o, o->next + 1))
			o->next++;
		if (o->next < count)
			return o->next + 1;
		if (o->last || o->sifting > 0)
			return 0;
	}
}

uint32_t order_next(struct order *o)
{
	uint32_t num;

	if (o->ready.at < o->ready.n)
		return o->ready.num[o->ready.at];
	num = find_next(o);
	return o->limit > 0 && o->taken + o->sifting >= o->limit ? 0 : num;
}

void order_asked(struct order *o)
{
	struct message *message = listing_message(o->listing, order_next(o));

	if (o->ready.at < o->ready.n)
		o->ready.at++;
	else if (message->sift)
		o->sifting++;
	else
		o->taken++;
	message->act = ACT_LEAVE;
	if (message->why == WHY_LIMIT)
		message->why = WHY_NEW;
}

void order_sifted(struct order *o, uint32_t num, enum message_act act)
{
	struct message *message = listing_message(o->listing, num);

	message->sift = false;
	o->sifting--;
	if (act == ACT_DELETE)
		message->why = WHY_FILTER;
	if (act != ACT_FETCH)
		return;
	o->taken++;
	numbers_add(&o->ready, num);
}

void order_again(struct order *o, uint32_t num)
{
	numbers_add(&o->ready, num);
}

void order_give_back(struct order *o)
{
	o->taken--;
}

uint64_t order_rest(const struct order *o)
{
	uint64_t n = 0;

	for (uint32_t num = 1; o->listing != NULL && num <= o->listing->count; num++)
		n += listing_message(o->listing, num)->act == ACT_FETCH;
	return n;
}

void order_free(struct order *o)
{
	free(o->ready.num);
}

/* SPDX-License-Identifier: MIT */
/*
 * order.h - the order in which a session asks for messages: which one is next.
 *
 * New ones as the server lists them; then, when all of those are under way, the ones that failed
 * before.  Those a filter is to judge are asked for twice: for the header (message->sift), and when
 * the filter takes them, for themselves.
 */
#ifndef ORDER_H
#define ORDER_H

#include "base.h"
#include "listing.h"

/* A list of message numbers. */
struct numbers {
	uint32_t *num;
	size_t n, at; /* at: for those that are taken from the front */
};

/* Zeroed: nothing is to be asked for. */
struct order {
	struct listing *listing; /* foreign; plan has judged it */
	uint64_t limit;          /* how many may be taken; 0: any */
	uint64_t taken;          /* so many were: asked for whole, or taken by the filter */
	unsigned sifting;        /* so many it has not judged yet, of those that were asked for */
	uint32_t next;           /* where the search goes on */
	bool last;               /* only those are left that failed before */
	struct numbers ready;    /* taken by the filter, or to be asked for again */
};

/* limit: how many the run may take, 0: any; taken: so many an earlier session of it took. */
void order_begin(struct order *order, struct listing *listing, uint64_t limit, uint64_t taken);

/* The number of the next message, 0 where there is none, or none before more is answered. */
uint32_t order_next(struct order *order);

/* That one is asked for, for its header if message->sift says so. */
void order_asked(struct order *order);

/* The filter has judged this one, or could not (ACT_LEAVE); message->sift is cleared. */
void order_sifted(struct order *order, uint32_t num, enum message_act act);

/* This one is to be asked for again, once at most. */
void order_again(struct order *order, uint32_t num);

/* One that was asked for is none of the new: it does not count for the limit. */
void order_give_back(struct order *order);

/* How many are left that plan did not leave: when there is no next one, because of the limit. */
uint64_t order_rest(const struct order *order);

void order_free(struct order *order);

/* Adds to a list, for which its owner has made room. */
void numbers_add(struct numbers *list, uint32_t num);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fetch.c - the errand: what is on the server comes home, is safe, and only then goes from there.
 *
 * The whole story is in errand_run: ask for more, put the group away when it is ripe, else take
 * one answer.  Everything else is what these three do.
 *
 *     ask      fills the window: RETRs, TOPs for headers; when all is safe, due DELEs and QUIT
 *     answer   a message is spooled and joins the group; a header goes to the filter, which may
 *              want the message or its deletion; a DELE is ticked off
 *     commit   the group is synced, journalled, published, journalled; its DELEs become due
 *
 * A mailbox may lose power at any line of this file.  What keeps it whole is the order in
 * commit_group, and that QUIT, which makes the server delete, is only sent when all that was
 * RETRed is safe (some servers count RETR and QUIT as "fetched", whatever was DELEd).
 *
 * When anything ends the session early, what is whole is still put away (rescue), and what was
 * delivered but not deleted is deleted by a later session: unfetched where nothing else can be
 * meant (plan.c), else when its text is known again.
 */
#include "config.h"

#include "fetch.h"

#include <stdlib.h>
#include <time.h>

#include "link.h"
#include "order.h"
#include "plan.h"
#include "sift.h"

/* A group is put away when it has this much, or its first message is this old; the number of
 * messages is the destination's. */
#define GROUP_BYTES (64u << 20)
#define GROUP_MS 2000

#define PROGRESS_MS 100
#define MOST_IN_ROW 3 /* so many deliveries that fail one after another are no accident */
#define BUSY_S 3600 /* how long putting away a group may take before we count as hung */

/* The state of one session. */
struct errand {
	const struct fetch *f;
	struct listing listing;
	struct order order;     /* which message is asked for next */
	struct deliver sieve;   /* where headers go that the filter is to judge */
	unsigned in_row, sifts_in_row; /* deliveries, runs of the filter failed since one went well */
	unsigned asked;         /* RETRs and TOPs that are not answered */
	struct numbers due;     /* delivered: DELE may be sent */
	struct numbers deleted; /* DELE was answered with +OK */
	struct spool group[DELIVER_GROUP];
	size_t held, most;      /* messages in the group, and how many may be: 1 once there was no
	                         * room for several, for one by one some may fit */
	uint64_t bytes, since;  /* their weight; when the first came, clock_ms */
	bool quitting, over;    /* QUIT is sent, is answered */
	uint64_t received, shown; /* octets so far; when progress was sent, clock_ms */
	char waste[4096];       /* for text that nothing can be done with */
};

/* -- words to the supervisor -------------------------------------------------------------- */

/* The disk, or whoever reads our standard output, may take its time: that is not being hung.  Of an
 * MDA the supervisor knows, for it runs it. */
static void tell_busy(const struct errand *e, uint64_t seconds)
{
	if (!e->f->deliver->ops->programs)
		link_tell(e->f->link, &(struct event){.kind = EVENT_ALIVE, .num = seconds});
}

static void tell_plan(const struct errand *e, const struct plan *plan)
{
	const struct fetch *f = e->f;

	link_tell(f->link, &(struct event){.kind = EVENT_PLAN, .num = f->tally->fetched + plan->fetch,
	                                   .bytes = f->tally->bytes + plan->octets,
	                                   .kept = plan->kept, .total = e->listing.count});
}

static void tell_progress(struct errand *e)
{
	uint64_t now = clock_ms();

	if (now - e->shown < PROGRESS_MS)
		return;
	e->shown = now;
	link_tell(e->f->link, &(struct event){.kind = EVENT_PROGRESS, .bytes = e->received,
	                                      .num = e->f->tally->fetched + e->held});
}

/* The journal remembers it, so that it cannot keep the others from coming.  since: see seen.h. */
static void remember_failure(const struct errand *e, uint32_t num, uint64_t since)
{
	const struct message *message = listing_message(&e->listing, num);
	struct error ignored; /* what is not remembered costs time, not mail */

	seen_failed(e->f->seen, listing_uid(&e->listing, message), message->octets, since, &ignored);
}

/* A message failed, and is still on the server.  told: an earlier run said so; once is enough. */
static void tell_failure(struct errand *e, uint32_t num, bool told, const struct error *why)
{
	struct wire_span uid = listing_uid(&e->listing, listing_message(&e->listing, num));

	link_failed(e->f->link, num, uid, told, why);
	e->f->tally->failed++;
}

static void message_failed(struct errand *e, uint32_t num, const struct error *why, uint64_t since)
{
	tell_failure(e, num, listing_message(&e->listing, num)->told, why);
	remember_failure(e, num, since);
}

/* -- what there is to do ------------------------------------------------------------------ */

/* Asks the server what it has and decides about each message. */
static int take_stock(struct errand *e, struct error *err)
{
	const struct fetch *f = e->f;
	const struct policy *policy = &f->account->policy;
	uint64_t now = (uint64_t)time(NULL);
	struct plan plan;

	if (pop3_list(f->pop3, &e->listing, err) == -1)
		return -1;
	if (e->listing.bad > 0)
		note(NOTE_INFO, "%lu lines of the server's listing make no sense and are passed over",
		     (unsigned long)e->listing.bad);
	plan_make(&plan, &e->listing, f->seen, policy, now);
	if (plan_check_uids(&e->listing, f->seen, now, err) == -1)
		return -1;
	e->due.num = xcalloc((size_t)e->listing.count + 1, sizeof *e->due.num);
	e->deleted.num = xcalloc((size_t)e->listing.count + 1, sizeof *e->deleted.num);
	for (uint32_t num = 1; num <= e->listing.count; num++)
		if (listing_message(&e->listing, num)->act == ACT_DELETE &&
		    (!f->deletes_only || listing_message(&e->listing, num)->why == WHY_EXPIRED))
			numbers_add(&e->due, num);
	f->tally->listed = true;
	if (f->deletes_only)
		return 0;
	if (sift_check_server(f->pop3, policy, err) == -1 ||
	    sift_tell_large(&e->listing, f->seen, policy, err) == -1)
		return -1;
	order_begin(&e->order, &e->listing, policy->limit, f->tally->fetched);
	e->sieve = sift_open(f->deliver);
	f->tally->kept = plan.kept + plan.too_big + plan.left;
	if (plan.failed > 0)
		note(NOTE_INFO, "%lu messages failed before and are tried again later",
		     (unsigned long)plan.failed);
	tell_plan(e, &plan);
	if (plan.fetch == 0 || f->deliver->ops->settle == NULL)
		return 0;
	return seen_begin(f->seen, f->deliver->ops->kind, f->deliver->path, f->deliver->run, err);
}

/* -- asking ------------------------------------------------------------------------------- */

static bool all_is_fetched(struct errand *e)
{
	return e->asked == 0 && order_next(&e->order) == 0;
}

/* The rule of the file's head. */
static bool may_quit(struct errand *e)
{
	return !e->quitting && all_is_fetched(e) && e->held == 0 && !e->f->tally->unsafe;
}

/* The server deletes when it is told QUIT and not before (RFC 1939 section 6).  So DELEs wait until
 * QUIT can travel with them: sent a group at a time, each group would be one more round trip. */
static int ask(struct errand *e, struct error *err)
{
	struct pop3 *pop3 = e->f->pop3;
	uint32_t num;
	int rc = 0;

	while (rc == 0 && !e->quitting && pop3_room(pop3)) {
		if ((num = order_next(&e->order)) > 0) {
			const struct message *message = listing_message(&e->listing, num);

			rc = pop3_send(pop3, message->sift || message->part ? POP3_TOP : POP3_RETR, num,
			               message->octets, err);
			e->f->tally->kept -= message->why == WHY_LIMIT && e->f->tally->kept > 0;
			order_asked(&e->order);
			e->asked++;
		} else if (!may_quit(e) || (rc = plan_seal(&e->listing, e->f->seen, err)) == -1) {
			break;
		} else if (e->due.at < e->due.n) {
			rc = pop3_send(pop3, POP3_DELE, e->due.num[e->due.at++], 0, err);
		} else {
			rc = pop3_send(pop3, POP3_QUIT, 0, 0, err);
			e->quitting = true;
		}
	}
	return rc;
}

/* -- answers ------------------------------------------------------------------------------ */

/* Brings the body that follows into a spool file.  -1: the session is over.  What fails here, on
 * our side, is put into *why, and the rest of the body is only taken off the line. */
static int spool_body(struct errand *e, struct deliver *d, struct spool *spool, struct error *why,
                      struct error *err)
{
	int rc = 1, here = deliver_begin(d, spool, why);

	while (rc == 1) {
		size_t len = 0, room = sizeof e->waste;
		char *to = here == 0 ? deliver_room(d, &room) : e->waste;

		rc = pop3_body(e->f->pop3, to, room, &len, err);
		if (here == 0 && rc == 1)
			here = deliver_took(d, len, why);
		e->received += len;
		tell_progress(e);
	}
	if (rc == 0 && here == 0)
		here = deliver_end(d, why);
	if (here == -1)
		error_wrap(why, "in %s", *d->path ? d->path : d->state_dir);
	return rc;
}

/* The session ended in this message, or before it: the next one takes it after the others. */
static void suspect(const struct errand *e, uint32_t num, const struct error *why)
{
	if (num > 0 && why->kind != ERR_STOP)
		remember_failure(e, num, 0);
}

static int broke_off(const struct errand *e, uint32_t num, struct error *err)
{
	e->f->tally->failed += err->kind != ERR_STOP;
	e->f->tally->unsafe = true;
	suspect(e, num, err);
	return error_wrap(err, "message %lu", (unsigned long)num);
}

/* Something of ours failed over a message: 0 where the others may go on; -1 where it is not this
 * message, for as many failed in a row. */
static int failed_here(struct errand *e, uint32_t num, unsigned *in_row, const char *what,
                       const struct error *why, struct error *err)
{
	bool excused = error_is_transient(why->kind) || *in_row > 0; /* others fail as well */

	message_failed(e, num, why, excused ? SEEN_EXCUSED : (uint64_t)time(NULL));
	if (++*in_row < MOST_IN_ROW)
		return 0;
	e->f->tally->stuck = e->f->tally->unsafe = true;
	return error_set(err, why->kind, "%u %s failed one after another, and no more were tried; the "
	                 "mail is on the server; the last: %s", *in_row, what, why->text);
}

static int delivery_failed(struct errand *e, uint32_t num, const struct error *why,
                           struct error *err)
{
	e->f->tally->unsafe = true;
	return failed_here(e, num, &e->in_row, "deliveries", why, err);
}

/* It was fetched because it might be another one under a known UID, and its text is that of one
 * which was delivered: it is not delivered a second time, and goes if that one should go. */
static void known_again(struct errand *e, const struct spool *spool, uint64_t since)
{
	struct message *message = listing_message(&e->listing, spool->num);

	message->entry = spool->entry;
	order_give_back(&e->order);
	note(NOTE_INFO, "message %lu was delivered before: its UID stands for the same text still",
	     (unsigned long)spool->num);
	if (plan_is_done(message, since, &e->f->account->policy, (uint64_t)time(NULL)))
		numbers_add(&e->due, spool->num);
	else
		e->f->tally->kept++;
}

static struct spool begin_spool(const struct errand *e, uint32_t num)
{
	const struct message *message = listing_message(&e->listing, num);

	return (struct spool){.num = num, .octets = message->octets, .fd = -1, .part = message->part,
	                      .uid = listing_uid(&e->listing, message)};
}

/* A message comes in and joins the group.  From here until it is safe the session may not end
 * with QUIT. */
static int take_message(struct errand *e, uint32_t num, struct error *err)
{
	struct spool *spool = &e->group[e->held];
	struct error why = {0};
	uint64_t since = 0;
	int rc;

	*spool = begin_spool(e, num);
	rc = spool_body(e, e->f->deliver, spool, &why, err);
	if (rc == -1 || why.kind != ERR_NONE)
		deliver_drop(e->f->deliver, spool);
	if (rc == -1)
		return broke_off(e, num, err);
	if (e->held > 0 && e->f->deliver->ops->joined && error_is_no_room(&why)) {
		e->most = 1, order_again(&e->order, num); /* those before it wait for room, too */
		return 0;
	}
	if (why.kind != ERR_NONE)
		return delivery_failed(e, num, &why, err);
	if (seen_recall(e->f->seen, spool, &since)) {
		deliver_drop(e->f->deliver, spool);
		known_again(e, spool, since);
		return 0;
	}
	if (e->held++ == 0)
		e->since = clock_ms();
	e->bytes += spool->size;
	return 0;
}

/* A header comes in, and the filter says what becomes of its message. */
static int take_header(struct errand *e, uint32_t num, struct error *err)
{
	struct spool spool = begin_spool(e, num);
	enum message_act act = ACT_LEAVE;
	struct error why = {0};
	int rc = spool_body(e, &e->sieve, &spool, &why, err);

	if (why.kind != ERR_NONE)
		why.one_message = true;
	else if (rc == 0)
		sift_ask(&e->sieve, &spool, &act, &why);
	deliver_drop(&e->sieve, &spool);
	order_sifted(&e->order, num, act);
	if (rc == -1)
		return broke_off(e, num, err);
	if (why.one_message)
		return failed_here(e, num, &e->sifts_in_row, "runs of the filter", &why, err);
	if (why.kind != ERR_NONE) {
		e->f->tally->stuck = e->f->tally->unsafe = true;
		*err = why;
		return -1;
	}
	e->sifts_in_row = 0;
	if (act == ACT_LEAVE)
		e->f->tally->kept++;
	if (act == ACT_DELETE)
		numbers_add(&e->due, num);
	return 0;
}

/* The server will not give this message; others may be fine (a poisoned one must not dam the
 * river), and the next run asks again. */
static void message_refused(struct errand *e, const struct pop3_reply *reply)
{
	bool later = reply->code == WIRE_CODE_SYS_TEMP || reply->code == WIRE_CODE_IN_USE ||
	             reply->code == WIRE_CODE_LOGIN_DELAY;
	struct error why;

	error_set(&why, later ? ERR_TEMP : ERR_UNAVAILABLE, "the server does not hand %s: %s",
	          reply->verb == POP3_TOP ? "out its header" : "it out", reply->text);
	message_failed(e, reply->num, &why, (uint64_t)time(NULL));
}

/* QUIT was answered: now, and not before, the server has deleted.  -ERR: not all of it. */
static int take_farewell(struct errand *e, const struct pop3_reply *reply, struct error *err)
{
	e->over = true;
	if (!reply->ok) {
		note(NOTE_INFO, "the server could not delete everything: %s", reply->text);
		return 0;
	}
	for (size_t i = 0; i < e->deleted.n; i++) {
		const struct message *message = listing_message(&e->listing, e->deleted.num[i]);

		e->f->tally->deleted++;
		if (!listing_is_unread(message) && /* else what the journal has of its UID is another */
		    seen_gone(e->f->seen, listing_uid(&e->listing, message), message->octets,
		              message->entry, err) == -1)
			return -1;
	}
	return 0;
}

/* Many servers just close on QUIT.  Where nothing was to be deleted that is as good as +OK. */
static bool is_mute_farewell(const struct errand *e, const struct error *err)
{
	return e->quitting && pop3_owed(e->f->pop3) == 1 && e->deleted.n == 0 && err->kind == ERR_TEMP;
}

static int answer(struct errand *e, struct error *err)
{
	struct pop3_reply reply;
	const struct message *message;
	struct error why;

	if (pop3_reply(e->f->pop3, &reply, err) == -1) {
		e->over = is_mute_farewell(e, err);
		if (!e->over)
			suspect(e, pop3_awaited(e->f->pop3), err);
		return e->over ? 0 : -1;
	}
	message = listing_message(&e->listing, reply.num);
	switch (reply.verb) {
	case POP3_RETR:
	case POP3_TOP:
		e->asked--;
		if (reply.ok)
			return (message->sift ? take_header : take_message)(e, reply.num, err);
		message_refused(e, &reply);
		if (message->sift)
			order_sifted(&e->order, reply.num, ACT_LEAVE);
		return 0;
	case POP3_DELE:
		if (reply.ok) {
			numbers_add(&e->deleted, reply.num);
			return 0;
		}
		error_set(&why, ERR_TEMP, "%sthe server does not delete it: %s",
		          listing_is_unread(message) ? "" : "it is delivered, but ", reply.text);
		tell_failure(e, reply.num, false, &why);
		return 0;
	default:
		return take_farewell(e, &reply, err);
	}
}

/* -- putting away ------------------------------------------------------------------------- */

static bool group_is_ripe(struct errand *e)
{
	return e->held > 0 &&
	       (e->held >= e->most || e->bytes >= GROUP_BYTES ||
	        clock_ms() - e->since >= GROUP_MS || all_is_fetched(e));
}

/* True where it is these messages that cannot be delivered: their MDAs say so, or there is no room
 * for them, and what became of each is known.  Others may go well. */
static bool is_theirs(const struct errand *e)
{
	const struct spool *spool = e->group, *end = spool + e->held;

	while (spool < end && (spool->fate == SPOOL_SAFE || spool->why->one_message ||
	                       (spool->fate == SPOOL_VOID && error_is_no_room(spool->why))))
		spool++;
	return spool == end;
}

/* After publishing: counts what is safe, lets go of the rest.  What is unsure keeps its files,
 * for the next run must find them.  -1: enough has failed. */
static int tick_off(struct errand *e, bool theirs, struct error *err)
{
	const struct fetch *f = e->f;
	uint64_t now = (uint64_t)time(NULL);
	int rc = 0;

	for (size_t i = 0; i < e->held; i++) {
		struct spool *spool = &e->group[i];
		struct message *message = listing_message(&e->listing, spool->num);

		if (spool->fate == SPOOL_SAFE) {
			e->in_row = 0;
			f->tally->fetched++;
			f->tally->bytes += spool->size;
			message->entry = spool->entry;
			if (plan_is_done(message, now, &f->account->policy, now))
				numbers_add(&e->due, spool->num);
			continue;
		}
		f->tally->unsafe = true;
		if (!theirs)
			f->tally->failed++;
		else if (e->held > 1 && error_is_no_room(spool->why)) /* this time it is put away alone */
			e->most = 1, order_again(&e->order, spool->num);
		else if (delivery_failed(e, spool->num, spool->why, err) == -1)
			rc = -1;
		if (spool->fate != SPOOL_UNSURE)
			deliver_drop(f->deliver, spool);
	}
	e->held = 0;
	e->bytes = 0;
	return rc;
}

/* The order here is the promise.  Before the intents nothing is visible; between the two records
 * a crash leaves intents that the next run settles; after the second the server's copy may go.
 * Returns -1 where the account cannot go on; a message's own failure is no error. */
static int commit_group(struct errand *e, struct error *err)
{
	const struct deliver_ops *ops = e->f->deliver->ops;
	uint64_t now = (uint64_t)time(NULL);
	struct error why = {0};
	bool theirs;
	int rc;

	tell_busy(e, BUSY_S);
	for (size_t i = 0; i < e->held; i++)
		e->group[i].why = &why;
	rc = ops->prepare(e->f->deliver, e->group, e->held, &why);
	for (size_t i = 0; i < e->held && rc == -1; i++)
		e->group[i].fate = SPOOL_VOID; /* nothing was published */
	if (rc == 0)
		rc = ops->intents ? STEP(STEP_INTEND, seen_intend(e->f->seen, e->group, e->held, &why))
		                  : seen_attempt(e->f->seen, e->group, e->held, &why);
	if (rc == 0) {
		rc = ops->publish(e->f->deliver, e->group, e->held, &why);
		/* of an MDA's messages a few at a time: a sync for each would double what they cost */
		if (seen_settle(e->f->seen, e->group, e->held, now, ops->programs, err) == -1) {
			why = *err;
			rc = -1;
			for (size_t i = 0; i < e->held; i++) /* delivered, but nothing says so yet */
				e->group[i].fate = SPOOL_UNSURE, e->group[i].why = &why;
		}
	}
	ops->release(e->f->deliver, e->group, e->held);
	tell_busy(e, 0);
	theirs = is_theirs(e);
	if (tick_off(e, theirs, err) == -1)
		return -1;
	if (rc == 0 || theirs)
		return 0;
	e->f->tally->stuck = true;
	*err = why;
	return -1;
}

/* -- the errand --------------------------------------------------------------------------- */

/* The one loop.  It ends with QUIT's answer, or without QUIT when nothing more can be done. */
static int errand_run(struct errand *e, struct error *err)
{
	int rc = take_stock(e, err);

	while (rc == 0 && !e->over) {
		if ((rc = ask(e, err)) == -1)
			break;
		if (group_is_ripe(e))
			rc = commit_group(e, err);
		else if (pop3_owed(e->f->pop3) > 0)
			rc = answer(e, err);
		else
			break;
	}
	return rc;
}

/* How many messages of the group are beyond doubt.  Where a server talks nonsense instead of giving
 * an answer, the message before may have been cut short by a dot that was not its end; with several
 * commands before the server, any of them. */
static size_t count_sure(const struct errand *e, const struct error *why)
{
	const struct pop3 *pop3 = e->f->pop3;

	if (why->kind != ERR_PROTOCOL || e->held == 0 || (pop3->in_body && !pop3->pipelining))
		return e->held;
	return pop3->pipelining ? 0 : e->held - 1;
}

/* The session is over before its time; what is whole by now need not come again. */
static void rescue(struct errand *e, const struct error *why)
{
	size_t sure = count_sure(e, why);
	struct error late;

	for (; e->held > sure; e->f->tally->failed++)
		deliver_drop(e->f->deliver, &e->group[--e->held]);
	if (e->held > 0 && commit_group(e, &late) == -1)
		note(NOTE_WARN, "%s", late.text);
}

/* What the journal learns from a session that came to its end. */
static int close_books(struct errand *e, int rc, struct error *err)
{
	struct error late;
	bool witness = rc == 0 && !e->f->deletes_only && listing_is_whole(&e->listing);

	if (witness && seen_missing(e->f->seen, (uint64_t)time(NULL), err) == -1)
		return -1;
	return seen_flush(e->f->seen, rc == 0 ? err : &late) == -1 ? -1 : rc;
}

int fetch_run(const struct fetch *f, struct error *err)
{
	struct errand e = {.f = f, .most = deliver_group(f->deliver), .received = f->tally->bytes};
	struct error late;
	int rc = errand_run(&e, err);

	f->tally->kept += rc == 0 ? order_rest(&e.order) : 0;
	if (rc == -1) {
		f->tally->unsafe |= e.asked > 0;
		rescue(&e, err);
		if (e.due.num != NULL) /* it was planned; and the next listing may have but one twin */
			(void)plan_seal(&e.listing, f->seen, &late);
	}
	rc = close_books(&e, rc, err);
	f->tally->due = e.due.n - (e.over ? e.deleted.n : 0);
	spooler_free(&e.sieve.pen);
	order_free(&e.order);
	listing_free(&e.listing);
	free(e.due.num);
	free(e.deleted.num);
	return rc;
}

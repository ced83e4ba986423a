/* SPDX-License-Identifier: MIT */
/*
 * settle.c - what crashed runs left open is brought to its end, before anybody dials.
 *
 * The journal says what was under way and where; each destination finds out what became of it
 * and completes it, or says that it never happened (deliver.h, settle).  Only then is it known
 * which messages are delivered, so a run that cannot settle does not fetch.
 *
 * Called by worker.c.  On failure the intents stay open, and nothing is lost or doubled by that.
 */
#include "config.h"

#include "settle.h"

#include <string.h>

static int settle_past(const struct deliver *d, const struct deliver_ops *const *kinds,
                       struct spool_past *past, struct error *err)
{
	for (size_t i = 0; kinds[i] != NULL; i++)
		if (strcmp(kinds[i]->kind, past->kind) == 0)
			return kinds[i]->settle != NULL ? kinds[i]->settle(d, past, err) : 0;
	return error_set(err, ERR_IO, "the journal names a destination '%s' that this version of "
	                 "mailhaul does not know", past->kind);
}

/* One destination that cannot be reached now leaves its intents open; what the others have
 * settled is recorded all the same. */
int settle_run(struct seen *seen, const struct deliver *d, const struct deliver_ops *const *kinds,
               struct error *err)
{
	struct spool_past *past;
	size_t n = seen_pasts(seen, &past);
	struct error late;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		if (settle_past(d, kinds, &past[i], rc == 0 ? err : &late) == 0)
			continue;
		rc = -1;
		past[i].unsettled = true;
		for (size_t k = 0; k < past[i].count; k++)
			past[i].intents[k].fate = SPOOL_UNSURE;
	}
	if (n > 0 && seen_settle_pasts(seen, rc == 0 ? err : &late) == -1)
		return -1;
	return rc == 0 ? 0 : error_wrap(err, "an interrupted delivery cannot be settled yet");
}

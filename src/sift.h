/* SPDX-License-Identifier: MIT */
/*
 * sift.h - of the messages that could be fetched, which are: by the user's filter, which sees the
 * header, and by size.
 *
 * The verdicts on size are plan.c's; here the user is told.  The filter itself is run by the
 * supervisor, as an MDA is.
 */
#ifndef SIFT_H
#define SIFT_H

#include "deliver.h"
#include "pop3.h"
#include "seen.h"

/* Looks that the server shows headers, if the policy needs them.  ERR_CONFIG. */
int sift_check_server(const struct pop3 *pop3, const struct policy *policy, struct error *err);

/* Tells of messages that are too large: once of those that stay, each time of those to be
 * deleted. */
int sift_tell_large(const struct listing *listing, struct seen *seen, const struct policy *policy,
                    struct error *err);

/* Where headers are spooled on their way to the filter: no destination, but the shape of one.  All
 * foreign, but for the pen. */
struct deliver sift_open(const struct deliver *d);

/* What the filter says to a header in such a spool file: ACT_FETCH, ACT_LEAVE or ACT_DELETE.  -1:
 * it failed, with one_message where others may fare better. */
int sift_ask(const struct deliver *sieve, const struct spool *header, enum message_act *act,
             struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * look.h - --list, --dry-run, --check, --mark-seen, --test-login: a session that takes no mail.
 */
#ifndef LOOK_H
#define LOOK_H

#include "account.h"
#include "base.h"
#include "pop3.h"
#include "seen.h"

/* All foreign; the session is started, account->look says what for. */
struct look {
	const struct account *account;
	struct pop3 *pop3;
	struct seen *seen;
	int link;                       /* takes an EVENT_LINE for each line of the answer */
	uint64_t waiting, octets, kept; /* what was found: to be fetched, its weight, left there */
};

/* Looks, and ends the session with QUIT.  Nothing is fetched or deleted. */
int look_run(struct look *look, struct error *err);

#endif

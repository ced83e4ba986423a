/* SPDX-License-Identifier: MIT */
/*
 * manners.h - when it is time to log in: what servers ask of clients, and what keeps an account
 * from being locked (RFC 2449 sections 6.5 and 8.1.1).
 *
 * A server that announces LOGIN-DELAY, or answers [LOGIN-DELAY], is not dialled before its time.
 * After MANNERS_REFUSALS refused logins in a row the same login is not tried again for an hour;
 * another password, user, server or mechanism is another login.  The journal has what is needed
 * for that; of the password it has twelve bits of a slow, salted hash.
 */
#ifndef MANNERS_H
#define MANNERS_H

#include "account.h"
#include "base.h"
#include "pop3.h"
#include "seen.h"

#define MANNERS_REFUSALS 3
#define MANNERS_HOUR 3600u

/* ERR_TEMP: the server wants a longer pause. */
int manners_may_dial(const struct seen *seen, uint64_t now, struct error *err);

/* ERR_AUTH: this login was refused too often. */
int manners_may_try(const struct seen *seen, const struct account *account, const char *secret,
                    uint64_t now, struct error *err);

/* Takes down what a session taught.  0, or -1 where the journal fails. */
int manners_learn(struct seen *seen, const struct account *account, const char *secret,
                  const struct pop3 *pop3, uint64_t now, struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * status.h - --status: what is known of an account without asking its server.
 */
#ifndef STATUS_H
#define STATUS_H

#include "account.h"
#include "base.h"

/* Sends an EVENT_LINE for each line.  Takes no lock and changes nothing, so it may be called while
 * the account is being fetched: then it tells what was known a moment ago. */
int status_run(const struct account *account, const char *state_dir, int link, struct error *err);

#endif

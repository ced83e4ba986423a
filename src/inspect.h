/* SPDX-License-Identifier: MIT */
/*
 * inspect.h - --server-info: what a server offers, without logging in.
 */
#ifndef INSPECT_H
#define INSPECT_H

#include "account.h"
#include "base.h"

/* Connects, sends one EVENT_LINE through the link for each fact, and leaves.  A certificate that
 * would be refused is shown with the reason, and is no error here. */
int inspect_run(const struct account *account, int link, struct error *err);

#endif

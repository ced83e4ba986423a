/* SPDX-License-Identifier: MIT */
/*
 * worker.h - the life of one account's process, from its fork to its exit.
 *
 * Its steps are a list in worker.c, and their order is the security design: programs of
 * the user run before anything hostile is read, and nothing is executed after that.
 */
#ifndef WORKER_H
#define WORKER_H

#include "account.h"
#include "base.h"

/* Runs the account to its end, speaking to the supervisor through link.  Returns the exit status
 * of the process.  stop_requested makes it leave within 10 s. */
int worker_main(const struct account *account, int link);

/* Takes down a failure of which no worker is left to tell.  The text becomes what is told of it;
 * NOTE_INFO where those who do not look on need not hear it. */
enum note_level worker_failed(const struct account *account, struct error *err);

/* The directory of an account's journal and lock: the caller frees it; NULL without a home. */
char *worker_state_dir(const char *account);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * settle.h - what crashed runs left open is brought to its end, before anybody dials.
 */
#ifndef SETTLE_H
#define SETTLE_H

#include "base.h"
#include "deliver.h"
#include "seen.h"

/* Settles and journals it.  d: this run's destination, not open yet, for its state_dir and run;
 * kinds: the NULL-terminated list of all destinations.  -1: something stays open. */
int settle_run(struct seen *seen, const struct deliver *d, const struct deliver_ops *const *kinds,
               struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * signals.h - the signals that the supervisor handles: orders to stop, a child's death, the
 * terminal's size, ^Z.
 *
 * They are blocked but where signals_open says otherwise, and their handlers only set flags.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>

#include "base.h"

/* Set when it came; whoever acts on it sets it back. */
extern volatile sig_atomic_t signals_stop;   /* the first order to stop: its number */
extern volatile sig_atomic_t signals_orders; /* how many of them have come */
extern volatile sig_atomic_t signals_child;  /* a child has died */
extern volatile sig_atomic_t signals_pause;  /* ^Z: signals_take_pause is awaited */

/* Blocks and handles them.  -1, ERR_BUG: release all the same. */
int signals_catch(struct error *err);
void signals_release(void);

/* The mask to wait with, for ppoll. */
const sigset_t *signals_open(void);

/* Lets in what is pending: where a descriptor is ready ppoll lets no signal in, so a talkative
 * worker could keep them out. */
void signals_let_in(void);

/* Stops the process as ^Z does, and returns when it goes on. */
void signals_take_pause(void);

/* In a new process: orders to stop set stop_requested and stay blocked, conn.c opens the mask while
 * it waits; the others are as they were before signals_catch, or as they are by default. */
void signals_reset(void);

#endif

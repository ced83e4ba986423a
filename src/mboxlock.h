/* SPDX-License-Identifier: MIT */
/*
 * mboxlock.h - an mbox opened without being fooled, and locked against everybody who asks.
 *
 * Two locks, as Debian's policy (section 11.6) has it: an fcntl write lock (an OFD lock, which a
 * close elsewhere in the process cannot drop), then PATH.lock.  Both are tried without waiting
 * and both are given back before the next try, so programs that take them in the other order
 * cannot deadlock with us.
 */
#ifndef MBOXLOCK_H
#define MBOXLOCK_H

#include <sys/types.h>

#include "base.h"

/* One mbox, open and locked.  Zeroed: none. */
struct mboxlock {
	const char *run;  /* foreign: our run's 12 digits, written into the dotlock; may be NULL */
	bool held;
	int fd;           /* the mbox, for reading and writing, while held */
	char *dotlock;    /* its name, where we have made it; else NULL */
	dev_t dev;        /* which file it is: another one by that name is not ours to remove */
	ino_t ino;
};

/* Opens path for reading and writing: a regular file with one link that belongs to us and is no
 * symbolic link, else ERR_CANTCREATE.  create: a missing one is made, mode 0600.  Returns the
 * descriptor, or -1; err->sys is ENOENT where it is missing. */
int mboxlock_open(const char *path, bool create, struct error *err);

/* Opens path in the same way and takes both locks, waiting up to 60 s for others; then ERR_TEMP.
 * With create its name is durable on return.  stop_requested ends the waiting with ERR_STOP.
 * Where PATH.lock may not be made (an unwritable spool directory) the fcntl lock alone counts,
 * and the user is told once. */
int mboxlock_take(struct mboxlock *lock, const char *path, bool create, struct error *err);

/* Gives the locks back and closes; one that is not held is fine.  run stays.  False: PATH.lock
 * could not be removed, so mboxlock_sweep has to, once this process is dead. */
bool mboxlock_release(struct mboxlock *lock);

/* Removes a dotlock that a crash left, without waiting: one that bears run, which the caller knows
 * to be dead, at once and durably; another one, or with run NULL, where mboxlock_take would. */
void mboxlock_sweep(const char *path, const char *run);

#endif

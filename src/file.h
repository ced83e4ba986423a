/* SPDX-License-Identifier: MIT */
/*
 * file.h - files and directories, durably: each call a few lines around a system call that
 * retries EINTR, carries on after short writes, and says on what it failed.
 *
 * Names in errors are the ones given; kinds come from error_kind_of.  Directory descriptors are
 * O_RDONLY|O_DIRECTORY.  Everything opened here is close-on-exec.  After a failed sync the
 * caller throws the file away: syncing again would lie (Linux marks the pages clean).
 */
#ifndef FILE_H
#define FILE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base.h"

/* Makes a directory and its missing parents with mode 0700; an existing one is fine.  Each
 * parent that got a new entry is synced. */
int file_mkdirs(const char *path, struct error *err);

/* Opens a directory.  Returns the descriptor or -1. */
int file_open_dir(const char *path, struct error *err);

/* An unlinked private file in dir: O_TMPFILE, or mkstemp and unlink where that is missing.
 * Returns the descriptor or -1. */
int file_temp(const char *dir, struct error *err);

/* The same for what is small: in memory (memfd_create) where the system has that, for a file of its
 * own costs a disk more than its bytes. */
int file_small(const char *dir, struct error *err);

/* All of len bytes at the current offset / at offset at.  what names the file for the error. */
int file_write(int fd, const char *bytes, size_t len, const char *what, struct error *err);
int file_write_at(int fd, const char *bytes, size_t len, off_t at, const char *what,
                  struct error *err);

/* Copies len bytes from in at in_at to out at out_at (copy_file_range, or read and write).  out_at
 * -1: at the current offset, for pipes.  An early end of in is ERR_IO. */
int file_copy(int in, off_t in_at, int out, off_t out_at, uint64_t len, const char *what,
              struct error *err);

/* fdatasync / fsync.  file_sync_dir takes a directory descriptor and ignores EINVAL. */
int file_sync(int fd, const char *what, struct error *err);
int file_sync_dir(int fd, const char *what, struct error *err);

/* Asks the disk to begin with what was written, and does not wait: a sync takes less time then. */
void file_write_back(int fd);

/* file_sync for each of n files, which wait for the disk together.  -1: one of them failed, and
 * nothing is known of the others. */
int file_sync_all(const int *fds, size_t n, const char *what, struct error *err);

/* Renames within or between directories without replacing (renameat2, or linkat + unlinkat
 * where that is missing).  EEXIST is an error. */
int file_publish(int from_dir, const char *from, int to_dir, const char *to, struct error *err);

/* Takes flock(LOCK_EX) on path, creating it 0600; never removes it.  Returns the descriptor,
 * or -1: ERR_TEMP where somebody else holds it. */
int file_lock(const char *path, struct error *err);

/* True where somebody holds it now.  Makes no file. */
bool file_is_locked(const char *path);

/* Judges a file that holds secrets, by its descriptor: 0 where it is a regular file or a FIFO,
 * owned by the user or root, without any right for group and others.  Else ERR_CONFIG, with the
 * command that mends it. */
int file_is_private(int fd, const char *path, struct error *err);

/* $NAME/mailhaul if the variable is absolute, else HOME/fallback/mailhaul; NULL without HOME.
 * The caller frees it. */
char *file_xdg(const char *variable, const char *fallback);

/* The home directory by HOME, else by the password database; NULL if neither. */
const char *file_home(void);

#endif

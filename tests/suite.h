/* SPDX-License-Identifier: MIT */
/*
 * suite.h - what the programs that harm mailhaul (cut, sweep, walk) share.
 *
 * Where the ground they stand on breaks, the test bails out: nothing here returns an error.
 */
#ifndef SUITE_H
#define SUITE_H

#include <stddef.h>
#include <sys/types.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FORMAT(n) __attribute__((format(printf, n, n + 1)))

FORMAT(1) _Noreturn void die(const char *fmt, ...);

/* Reads a whole file; NULL where it cannot be opened.  The caller frees it; text[*len] is NUL. */
char *read_file(const char *path, size_t *len);

/* The same; what does not exist is empty. */
char *text_of(const char *path);

void write_file(const char *path, const char *bytes, size_t len);
void make_dir(const char *path);
void remove_tree(const char *path);

/* Makes a directory for the suite of this name in $TMPDIR or, for speed, /dev/shm; its path goes
 * to work. */
void make_scratch(char *work, size_t size, const char *name);

/* The first thing in a directory that has none of the names, of which each stands between blanks.
 * NULL: there is none, or no such directory.  Good until the next call. */
const char *stray_in(const char *dir, const char *names);

/* Waits until the server has done with the connections it had: it serves one after another. */
void await_server(unsigned port);

/* Ends it, if there is one; 0 afterwards. */
void end_server(pid_t *server);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * tap.h - the Test Anything Protocol in a few lines, for the unit tests.
 *
 * Each test program calls OK and friends any number of times and returns tap_end(), which prints
 * the plan last.  A check prints one line; a failed one says where it stands and what differs.
 */
#ifndef TAP_H
#define TAP_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static int tap_run, tap_failed;

static inline int tap_ok(int ok, const char *what, const char *file, int line)
{
	/* A name is one line; "#" would begin a directive. */
	printf("%sok %d - %.*s\n", ok ? "" : "not ", ++tap_run, (int)strcspn(what, "\r\n#"), what);
	if (!ok) {
		tap_failed++;
		printf("# at %s:%d\n", file, line);
	}
	return ok;
}

static inline int tap_same(const char *got, const char *want, const char *what, const char *file,
                           int line)
{
	int ok = got && want ? strcmp(got, want) == 0 : got == want;

	if (!tap_ok(ok, what, file, line))
		printf("# got:  %s\n# want: %s\n", got ? got : "(null)", want ? want : "(null)");
	return ok;
}

static inline int tap_equal(long long got, long long want, const char *what, const char *file,
                            int line)
{
	if (!tap_ok(got == want, what, file, line))
		printf("# got:  %lld\n# want: %lld\n", got, want);
	return got == want;
}

static inline int tap_end(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed != 0;
}

/* How many descriptors are open, for a look before and one behind. */
static inline int tap_open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* The condition / the strings / the numbers; what names the check. */
#define OK(cond, what) tap_ok(!!(cond), what, __FILE__, __LINE__)
#define SAME(got, want, what) tap_same(got, want, what, __FILE__, __LINE__)
#define EQUAL(got, want, what) \
	tap_equal((long long)(got), (long long)(want), what, __FILE__, __LINE__)

#endif

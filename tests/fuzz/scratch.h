/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - a directory of our own below $TMPDIR, for targets that need names; it goes with the
 * process.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "fuzz.h"

#include <dirent.h>

static char scratch[256];

static inline void scratch_path(char to[320], const char *name)
{
	snprintf(to, 320, "%s/%s", scratch, name);
}

static inline void scratch_clear(void)
{
	DIR *dir = opendir(scratch);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	rmdir(scratch);
}

static inline void scratch_make(void)
{
	const char *tmp = getenv("TMPDIR");

	if (scratch[0] != '\0')
		return;
	snprintf(scratch, sizeof scratch, "%s/mailhaul-fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
	CHECK(mkdtemp(scratch) != NULL && atexit(scratch_clear) == 0);
}

static inline void scratch_put(const char *name, const char *bytes, size_t len)
{
	char path[320];
	int fd;

	scratch_path(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

#endif

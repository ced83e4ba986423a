/* SPDX-License-Identifier: MIT */
/*
 * replay.c - plays files to a fuzz target: all of tests/corpus/NAME for a program fuzz_NAME, or
 * those it is given.  One check a file; where a target ends the process, the last line names the
 * file.
 */
#include "config.h"

#include "fuzz.h"

#include <dirent.h>

#include "../unit/tap.h"

#define MAX_FILE 65536

static void play(const char *path)
{
	static char buf[MAX_FILE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, buf, sizeof buf) : -1;
	char *data;

	printf("# %s\n", path);
	fflush(stdout);
	if (fd >= 0)
		close(fd);
	if (!OK(len >= 0, "the file can be read"))
		return;
	data = exact(buf, (size_t)len);
	OK(LLVMFuzzerTestOneInput((const uint8_t *)data, (size_t)len) == 0, "no promise is broken");
	free(data);
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void play_corpus(const char *program)
{
	const char *slash = strrchr(program, '/'), *top = getenv("top_srcdir");
	const char *name = slash != NULL ? slash + 1 : program;
	char dir[4096], path[8192];
	struct dirent **list;
	int n;

	snprintf(dir, sizeof dir, "%s/tests/corpus/%s", top != NULL ? top : ".",
	         strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
	n = scandir(dir, &list, is_file, alphasort);
	if (!OK(n > 0, "there is a corpus"))
		printf("# in %s\n", dir);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
		play(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

int main(int argc, char **argv)
{
	if (argc == 1)
		play_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		play(argv[i]);
	return tap_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * suite.c - files, a scratch directory and a server's end, for the programs that harm mailhaul.
 *
 * It knows nothing of what they harm or what must be true: witness.c and each of them does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("Bail out! ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	exit(1);
}

/* -- files -------------------------------------------------------------------------------- */

char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = NULL, bytes[65536];
	size_t n;

	*len = 0;
	if (!f)
		return NULL;
	do {
		n = fread(bytes, 1, sizeof bytes, f);
		text = realloc(text, *len + n + 1);
		if (!text)
			abort();
		memcpy(text + *len, bytes, n);
		*len += n;
	} while (n > 0);
	text[*len] = '\0';
	fclose(f);
	return text;
}

char *text_of(const char *path)
{
	size_t len;
	char *text = read_file(path, &len);

	return text ? text : strdup("");
}

void write_file(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || write(fd, bytes, len) != (ssize_t)len || close(fd) == -1)
		die("%s: %s", path, strerror(errno));
}

void make_dir(const char *path)
{
	if (mkdir(path, 0700) == -1)
		die("%s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void make_scratch(char *work, size_t size, const char *name)
{
	const char *base = getenv("TMPDIR");
	struct stat st;

	if (!base)
		base = stat("/dev/shm", &st) == 0 && (st.st_mode & S_ISVTX) ? "/dev/shm" : "/tmp";
	snprintf(work, size, "%s/mailhaul-%s.XXXXXX", base, name);
	if (!mkdtemp(work))
		die("%s: %s", work, strerror(errno));
}

const char *stray_in(const char *dir, const char *names)
{
	static char word[260];
	DIR *stream = opendir(dir);
	struct dirent *e;

	while (stream && (e = readdir(stream))) {
		int n = snprintf(word, sizeof word, " %s ", e->d_name);

		if (strcmp(word, " . ") == 0 || strcmp(word, " .. ") == 0 || strstr(names, word))
			continue;
		word[n - 1] = '\0';
		closedir(stream);
		return word + 1;
	}
	if (stream)
		closedir(stream);
	return NULL;
}

/* -- the server --------------------------------------------------------------------------- */

void await_server(unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof to) == -1 || read(fd, &byte, 1) != 1)
		die("the server is gone");
	close(fd);
}

void end_server(pid_t *server)
{
	if (*server > 0) {
		kill(*server, SIGTERM);
		waitpid(*server, NULL, 0);
	}
	*server = 0;
}

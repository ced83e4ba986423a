/* SPDX-License-Identifier: MIT */
/*
 * test_deliver_stdout.c - messages on standard output: into a file, a pipe, a closed pipe, a full
 * disk.  Each case has a standard output of its own; TAP keeps the test's.
 */
#include "config.h"

#include "deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spoolkit.h"
#include "tap.h"

#define MAILS 2

static char state[128], file[160];
static struct account account = {.target.to_stdout = true};
static struct spool spools[MAILS];

/* Delivers both mails with fd as standard output. */
static int deliver_to(int fd, struct error *err)
{
	struct deliver d = {.ops = &deliver_stdout, .account = &account, .state_dir = state,
	                    .run = "0123456789ab", .path = NULL, .link_fd = -1};
	static const char *const texts[MAILS] = {"A: 1\n\nFrom one\n", "A: 2\n\ntwo"};
	int tap, rc;

	fflush(stdout);
	tap = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	if (fd >= 0)
		dup2(fd, STDOUT_FILENO);
	else
		close(STDOUT_FILENO);
	*err = (struct error){0};
	rc = d.ops->open(&d, err);
	for (int i = 0; i < MAILS && rc == 0; i++) {
		spools[i] = (struct spool){.fd = -1};
		rc = deliver_begin(&d, &spools[i], err);
		if (rc == 0)
			rc = spool_write(&d.pen, texts[i], strlen(texts[i]), err);
		if (rc == 0)
			rc = deliver_end(&d, err);
	}
	if (rc == 0) {
		rc = d.ops->prepare(&d, spools, MAILS, err);
		if (rc == 0)
			rc = d.ops->publish(&d, spools, MAILS, err);
		d.ops->release(&d, spools, MAILS);
		for (int i = 0; i < MAILS; i++)
			deliver_drop(&d, &spools[i]);
	}
	d.ops->close(&d);
	spooler_free(&d.pen);
	dup2(tap, STDOUT_FILENO);
	close(tap);
	return rc;
}

/* The dates of the From_ lines are cut out. */
static bool is_mbox(const char *got, size_t len)
{
	static const char *const parts[] = {
		"From MAILER-DAEMON ", "\nA: 1\n\n>From one\n\nFrom MAILER-DAEMON ", "\nA: 2\n\ntwo\n\n",
	};
	size_t at = 0;

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(parts[i]);

		if (at + n > len || memcmp(got + at, parts[i], n) != 0)
			return false;
		at += n + (i < 2 ? 24 : 0);
	}
	return at == len;
}

static void test_file(int flags, const char *name)
{
	struct error err;
	char got[500];
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | flags, 0600);

	if (write(fd, "before\n", 7) != 7)
		abort();
	EQUAL(deliver_to(fd, &err), 0, name);
	OK(spools[0].fate == SPOOL_SAFE && spools[1].fate == SPOOL_SAFE, "safe");
	OK(spools[0].fd == -1 && spools[1].fd == -1, "let go");
	OK(is_mbox(got, (size_t)pread(fd, got, sizeof got, 7)), "behind what was there");
	close(fd);
	unlink(file);
}

static void test_pipe(void)
{
	struct error err;
	char got[500];
	int ends[2];

	if (pipe(ends) == -1)
		abort();
	EQUAL(deliver_to(ends[1], &err), 0, "into a pipe");
	OK(is_mbox(got, (size_t)read(ends[0], got, sizeof got)), "the bytes");
	EQUAL(spools[1].fate, SPOOL_SAFE, "safe");
	close(ends[0]);
	EQUAL(deliver_to(ends[1], &err), -1, "nobody reads");
	OK(err.kind == ERR_IO && err.sys == EPIPE, err.text);
	OK(spools[0].fate == SPOOL_VOID && spools[1].fate == SPOOL_VOID, "void");
	close(ends[1]);
}

static void test_bad(void)
{
	struct error err;
	int fd = open("/dev/full", O_WRONLY);

	if (fd >= 0) {
		EQUAL(deliver_to(fd, &err), -1, "a full device");
		OK(err.kind == ERR_IO && err.sys == ENOSPC, err.text);
		EQUAL(spools[0].fate, SPOOL_VOID, "void");
		close(fd);
	}
	fd = open("/dev/null", O_WRONLY);
	EQUAL(deliver_to(fd, &err), 0, "/dev/null cannot be synced, and is fine");
	close(fd);
	EQUAL(deliver_to(-1, &err), -1, "no standard output");
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	signal(SIGPIPE, SIG_IGN);
	snprintf(state, sizeof state, "%s/mailhaul-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(state) == NULL)
		return 99;
	snprintf(file, sizeof file, "%s/out", state);
	test_file(0, "into a file");
	test_file(O_APPEND, "into a file that is appended to");
	test_pipe();
	test_bad();
	return rmdir(state) == 0 ? tap_end() : 99;
}

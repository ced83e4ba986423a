/* SPDX-License-Identifier: MIT */
/*
 * test_deliver_mda.c - what is asked of the supervisor, and what becomes of its answers.  The test
 * plays the supervisor at the other end of the link.
 */
#include "config.h"

#include "deliver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "link.h"
#include "spoolkit.h"
#include "tap.h"

static char state[128];
static struct account account;
static int ends[2]; /* ours as a worker; the supervisor's */

static struct deliver unopened(void)
{
	struct error err;

	if (link_pair(ends, &err) == -1)
		abort();
	return (struct deliver){.ops = &deliver_mda, .account = &account, .state_dir = state,
	                        .run = "0123456789ab", .path = NULL, .link_fd = ends[0]};
}

static struct deliver destination(void)
{
	struct deliver d = unopened();
	struct error err;

	EQUAL(d.ops->open(&d, &err), 0, "open");
	SAME(d.path, "", "no path");
	return d;
}

static void done(struct deliver *d)
{
	d->ops->close(d);
	spooler_free(&d->pen);
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
}

static void spool_num(struct deliver *d, struct spool *spool, uint32_t num, struct wire_span uid)
{
	static const char text[] = "Return-Path: <a@b.example>\n\nFrom here\n\0\377";
	struct error err = {0};

	*spool = (struct spool){.num = num, .fd = -1, .uid = uid};
	OK(deliver_begin(d, spool, &err) == 0 &&
	       spool_write(&d->pen, text, sizeof text - 1, &err) == 0 && deliver_end(d, &err) == 0,
	   "spooled");
}

static void spool_one(struct deliver *d, struct spool *spool, struct wire_span uid)
{
	spool_num(d, spool, 7, uid);
}

/* Says in advance what the supervisor will answer: the link keeps it. */
static void answer_num(uint32_t num, enum error_kind kind, bool one_message, const char *text)
{
	struct event event = {.kind = EVENT_MDA_DONE, .error = kind, .one_message = one_message,
	                      .num = num};
	struct error err;

	text_copy(event.text, sizeof event.text, text);
	link_send(ends[1], &event, -1, &err);
}

static void will_answer(enum error_kind kind, bool one_message, const char *text)
{
	answer_num(7, kind, one_message, text);
}

static int publish_group(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	int rc = d->ops->prepare(d, spools, n, err);

	if (rc == 0)
		rc = d->ops->publish(d, spools, n, err);
	d->ops->release(d, spools, n);
	return rc;
}

static int publish(struct deliver *d, struct spool *spool, struct error *err)
{
	return publish_group(d, spool, 1, err);
}

static void test_request(void)
{
	static const char want[] = "Return-Path: <a@b.example>\n\nFrom here\n\0\377\n";
	struct deliver d = destination();
	struct spool spool;
	struct event event;
	struct error err = {0};
	char got[100];
	int fd = -1;

	spool_one(&d, &spool, (struct wire_span){"u\n\033 1", 5});
	lseek(spool.fd, 5, SEEK_SET);
	will_answer(ERR_NONE, false, "");
	EQUAL(publish(&d, &spool, &err), 0, "published");
	EQUAL(spool.fate, SPOOL_SAFE, "safe");
	EQUAL(spool.fd, -1, "its file is let go");
	EQUAL(link_take(ends[1], &event, &fd, &err), 1, "one request");
	EQUAL(event.kind, EVENT_MDA, "to run the MDA");
	EQUAL(event.num, 7, "the message's number");
	EQUAL(event.bytes, sizeof want - 1, "its size");
	SAME(event.text, "a@b.example\nu\\x0a\\x1b 1", "sender and UID, fit to be shown");
	EQUAL(read(fd, got, sizeof got), sizeof want - 1, "the descriptor stands at its start");
	OK(memcmp(got, want, sizeof want - 1) == 0, "the bytes, without From_ line and quoting");
	OK(fcntl(fd, F_GETFD) == FD_CLOEXEC, "closed on exec");
	close(fd);
	done(&d);
}

static void test_answers(void)
{
	static const struct {
		const char *name, *text;
		enum error_kind kind;
		bool one_message;
	} rows[] = {
		{"it failed for this message", "procmail: exit status 73", ERR_IO, true},
		{"try again later", "exit status 75", ERR_TEMP, true},
		{"it cannot be run", "cannot run procmail", ERR_IO, false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct deliver d = destination();
		struct spool spool;
		struct error err = {0};

		spool_one(&d, &spool, (struct wire_span){"u", 1});
		will_answer(rows[i].kind, rows[i].one_message, rows[i].text);
		EQUAL(publish(&d, &spool, &err), -1, rows[i].name);
		EQUAL(spool.fate, SPOOL_VOID, "not delivered");
		EQUAL(err.kind, rows[i].kind, "the kind");
		EQUAL(err.one_message, rows[i].one_message, "whose failure it is");
		SAME(err.text, rows[i].text, "the words");
		done(&d);
	}
}

/* Each of a group gets its own answer, in whatever order they come, and what concerns all is what
 * the group failed of. */
static void test_group(void)
{
	struct deliver d = destination();
	struct spool spools[4];
	struct event event;
	struct error err = {0};

	for (uint32_t i = 0; i < 4; i++)
		spool_num(&d, &spools[i], 10 + i, (struct wire_span){"u", 1});
	answer_num(12, ERR_IO, true, "no room");
	answer_num(13, ERR_NONE, false, "");
	answer_num(10, ERR_IO, false, "cannot run procmail");
	answer_num(11, ERR_TEMP, true, "later");
	EQUAL(publish_group(&d, spools, 4, &err), -1, "not all went well");
	SAME(err.text, "cannot run procmail", "what concerns all");
	EQUAL(err.one_message, false, "not one message alone");
	for (uint32_t i = 0; i < 4; i++) {
		static const char *const words[] = {"cannot run procmail", "later", "no room"};

		EQUAL(link_take(ends[1], &event, NULL, &err), 1, "a request for each");
		EQUAL(event.num, 10 + i, "in their order");
		EQUAL(spools[i].fate, i == 3 ? SPOOL_SAFE : SPOOL_VOID, "its fate");
		EQUAL(spools[i].fd, -1, "its file is let go");
		if (i < 3)
			SAME(spools[i].why->text, words[i], "and why");
	}
	done(&d);
}

/* Other events are no answer, and a UID may be as long as the wire allows. */
static void test_odd(void)
{
	static char uid[WIRE_MAX_UID];
	struct deliver d = destination();
	struct spool spool;
	struct event event;
	struct error err = {0};

	memset(uid, 0xff, sizeof uid);
	spool_one(&d, &spool, (struct wire_span){uid, sizeof uid});
	event = (struct event){.kind = EVENT_NOTE};
	link_send(ends[1], &event, -1, &err);
	will_answer(ERR_NONE, false, "");
	EQUAL(publish(&d, &spool, &err), 0, "another event is passed over");
	EQUAL(link_take(ends[1], &event, NULL, &err), 1, "a request with a long UID");
	OK(strlen(event.text) < sizeof event.text && strncmp(event.text, "a@b.example\n\\xff", 16) == 0,
	   "is cut");
	spool_one(&d, &spool, (struct wire_span){"u", 1});
	close(ends[1]);
	ends[1] = -1;
	EQUAL(publish(&d, &spool, &err), -1, "the supervisor is gone");
	EQUAL(spool.fate, SPOOL_VOID, "not delivered");
	done(&d);
}

static void test_drop(void)
{
	struct deliver d = destination();
	struct spool spool;
	struct stat st;
	int fd;

	spool_one(&d, &spool, (struct wire_span){"u", 1});
	fd = spool.fd;
	OK(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 0777) == 0600,
	   "the spool file has no name, and is private");
	deliver_drop(&d, &spool);
	deliver_drop(&d, &spool);
	OK(fcntl(fd, F_GETFD) == -1, "dropped, twice is fine");
	done(&d);
}

static void test_words(void)
{
	static const struct {
		const char *mda, *mda_shell;
		int rc;
	} rows[] = {
		{"procmail -t -f %F", NULL, 0}, {"'open", NULL, -1}, {"", NULL, -1}, {"x\\", NULL, -1},
		{NULL, "bogofilter -p | 'x", 0}, /* the shell's own matter */
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct deliver d = unopened();
		struct error err = {0};

		account.target.mda = (char *)rows[i].mda;
		account.target.mda_shell = (char *)rows[i].mda_shell;
		EQUAL(d.ops->open(&d, &err), rows[i].rc, rows[i].mda != NULL ? rows[i].mda : "shell");
		EQUAL(err.kind, rows[i].rc == 0 ? ERR_NONE : ERR_CONFIG, "its kind");
		done(&d);
	}
	account.target = (struct target){.mda = (char *)"cat"};
}

/* A stop is asked for while the MDA runs; the answer comes half a second later. */
static void test_stop(void)
{
	struct deliver d = destination();
	struct spool spool;
	struct error err = {0};
	int status;
	pid_t pid;

	spool_one(&d, &spool, (struct wire_span){"u", 1});
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
		will_answer(ERR_NONE, false, "");
		_exit(0);
	}
	stop_requested = 1;
	EQUAL(publish(&d, &spool, &err), 0, "a stop does not cut off an MDA");
	EQUAL(spool.fate, SPOOL_SAFE, "its success counts");
	stop_requested = 0;
	waitpid(pid, &status, 0);
	done(&d);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(state, sizeof state, "%s/mailhaul-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(state) == NULL)
		return 99;
	account.target.mda = (char *)"cat";
	test_request();
	test_answers();
	test_group();
	test_odd();
	test_drop();
	test_words();
	test_stop();
	return rmdir(state) == 0 ? tap_end() : 99;
}

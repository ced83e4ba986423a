/* SPDX-License-Identifier: MIT */
/*
 * test_link.c - events there and back, with and without a descriptor; what is dropped, what waits;
 * an other side that leaves, or that sends what no mailhaul would.
 */
#include "config.h"

#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct error err;
static struct event got;

static void pair(int ends[2])
{
	if (link_pair(ends, &err)) {
		printf("Bail out! %s\n", err.text);
		_exit(1);
	}
}

static void close_both(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static void test_there_and_back(void)
{
	struct event sent = {.kind = EVENT_DONE,
	                     .error = ERR_AUTH,
	                     .level = NOTE_TRACE,
	                     .one_message = 1,
	                     .num = UINT64_MAX,
	                     .bytes = 2,
	                     .total = 3,
	                     .kept = 4,
	                     .deleted = 5,
	                     .failed = 6};
	int ends[2], fd = 7;

	pair(ends);
	OK(fcntl(ends[0], F_GETFD) & fcntl(ends[1], F_GETFD) & FD_CLOEXEC, "the pair is close-on-exec");
	memset(sent.text, 't', sizeof(sent.text) - 1);
	EQUAL(link_send(ends[0], &sent, -1, &err), 0, "an event goes");
	EQUAL(link_send(ends[1], &sent, -1, &err), 0, "both ways");
	EQUAL(link_take(ends[0], &got, NULL, &err), 1, "and comes");
	EQUAL(link_take(ends[1], &got, &fd, &err), 1, "both ways");
	OK(memcmp(&got, &sent, sizeof(got)) == 0, "as it was");
	EQUAL(fd, -1, "without a descriptor");

	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	fd = 7;
	EQUAL(link_take(ends[1], &got, &fd, &err), -1, "nothing is there");
	OK(err.kind == ERR_TEMP && err.sys == EAGAIN && fd == -1, "is ERR_TEMP with EAGAIN");
	close(ends[0]);
	EQUAL(link_take(ends[1], &got, &fd, &err), 0, "the other side has closed");
	EQUAL(link_send(ends[1], &sent, -1, &err), -1, "sending fails then");
	EQUAL(err.kind, ERR_IO, "without a signal");
	sent.kind = EVENT_PROGRESS;
	EQUAL(link_send(ends[1], &sent, -1, &err), -1, "even for what may be dropped");
	close(ends[1]);
	EQUAL(link_take(ends[1], &got, &fd, &err), -1, "an end that is closed");
	EQUAL(err.sys, EBADF, "is an error");
}

static void test_descriptors(void)
{
	struct event sent = {.kind = EVENT_MDA, .bytes = 3, .text = "joe@example.org\nuid1"};
	int ends[2], through[2], fd = -1, before = tap_open_files();
	char bytes[4] = "";

	pair(ends);
	if (!OK(pipe(through) == 0, "pipe"))
		return;
	EQUAL(link_send(ends[0], &sent, through[0], &err), 0, "a descriptor goes along");
	EQUAL(link_take(ends[1], &got, &fd, &err), 1, "and comes");
	SAME(got.text, "joe@example.org\nuid1", "with its event");
	OK(fd >= 0 && fd != through[0], "as a new one");
	OK(fcntl(fd, F_GETFD) & FD_CLOEXEC, "that is close-on-exec");
	OK(write(through[1], "abc", 3) == 3 && read(fd, bytes, 3) == 3, "of the same file");
	SAME(bytes, "abc", "indeed");
	close(fd);
	EQUAL(link_send(ends[0], &sent, through[0], &err), 0, "one that nobody wants");
	EQUAL(link_take(ends[1], &got, NULL, &err), 1, "is no error");
	sent.kind = EVENT_NOTE;
	EQUAL(link_send(ends[0], &sent, through[0], &err), 0, "nor is one with another event");
	EQUAL(link_take(ends[1], &got, &fd, &err), 1, "that comes alone");
	EQUAL(fd, -1, "without it");
	close_both(ends);
	close_both(through);
	EQUAL(tap_open_files(), before, "no descriptor is left");
}

static void test_full(void)
{
	static const uint32_t droppable[] = {EVENT_PROGRESS, EVENT_ALIVE};
	int ends[2];

	for (size_t i = 0; i < LEN(droppable); i++) {
		struct event sent = {.kind = droppable[i]};
		int failed = 0, came = 0;

		pair(ends);
		for (int n = 0; n < 5000; n++)
			failed += link_send(ends[0], &sent, -1, &err) != 0;
		EQUAL(failed, 0, "where there is no room it is dropped");
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		while (link_take(ends[1], &got, NULL, &err) == 1)
			came++;
		OK(came > 0 && came < 5000, "silently");
		close_both(ends);
	}
}

/* 2000 notes to a child that starts to read late and counts: all must come, in order. */
static void test_waits(int flags, const char *what)
{
	struct event sent = {.kind = EVENT_NOTE};
	int ends[2], status = -1, failed = 0;
	pid_t pid;

	pair(ends);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		uint64_t next = 0;

		close(ends[0]);
		usleep(100000);
		while (link_take(ends[1], &got, NULL, &err) == 1 && got.num == next)
			next++;
		_exit(next != 2000);
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFL, flags);
	for (sent.num = 0; sent.num < 2000; sent.num++)
		failed += link_send(ends[0], &sent, -1, &err) != 0;
	close(ends[0]);
	waitpid(pid, &status, 0);
	OK(failed == 0 && status == 0, what);
}

/* Linux says ECONNRESET first where a side leaves with something unread. */
static void test_last_words(void)
{
	struct event sent = {.kind = EVENT_NOTE, .text = "a"};
	int ends[2];

	pair(ends);
	link_send(ends[0], &sent, -1, &err);
	sent.num = 1;
	link_send(ends[1], &sent, -1, &err);
	sent.num = 2;
	sent.kind = EVENT_DONE;
	link_send(ends[1], &sent, -1, &err);
	close(ends[1]);
	EQUAL(link_take(ends[0], &got, NULL, &err), 1, "last words are heard");
	EQUAL(got.num, 1, "the first");
	EQUAL(link_take(ends[0], &got, NULL, &err), 1, "and the next");
	EQUAL(got.num, 2, "in order");
	EQUAL(link_take(ends[0], &got, NULL, &err), 0, "and then the end");
	close(ends[0]);
}

/* Sends len raw bytes and the descriptor fd so many times. */
static void send_raw(int end, const void *bytes, size_t len, size_t count, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};

	if (count) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
	}
	OK(sendmsg(end, &msg, 0) == (ssize_t)len, "nonsense is sent");
}

static void test_nonsense(void)
{
	static const struct {
		const char *what;
		size_t len, fds;
		int result;
	} cases[] = {
		{"a packet with one byte less", sizeof(struct event) - 1, 0, -1},
		{"with one more", sizeof(struct event) + 1, 0, -1},
		{"with many more", 20000, 1, -1},
		{"with one alone", 1, 1, -1},
		{"an empty packet is the end", 0, 0, 0},
		{"even with a descriptor", 0, 1, 0},
		{"two descriptors", sizeof(struct event), 2, -1},
		{"as many as there is room for", sizeof(struct event), 8, -1},
		{"and more", sizeof(struct event), 60, -1},
		{"and then a good one", sizeof(struct event), 1, 1},
	};
	union {
		struct event event;
		char bytes[20000];
	} sent = {.event = {.kind = EVENT_MDA}};
	int ends[2], before = tap_open_files(), fd;

	pair(ends);
	for (size_t i = 0; i < LEN(cases); i++) {
		fd = 7;
		send_raw(ends[0], &sent, cases[i].len, cases[i].fds, ends[0]);
		EQUAL(link_take(ends[1], &got, &fd, &err), cases[i].result, cases[i].what);
		OK((fd >= 0) == (cases[i].result == 1), "a descriptor comes only with what is good");
		if (cases[i].result < 0)
			EQUAL(err.kind, ERR_BUG, "nonsense is ERR_BUG");
	}
	close(fd);
	memset(&sent, 0, sizeof(sent));
	send_raw(ends[0], &sent, sizeof(sent.event), 1, ends[0]);
	EQUAL(link_take(ends[1], &got, &fd, &err), -1, "an event of no kind with a descriptor");
	close_both(ends);
	EQUAL(tap_open_files(), before, "no descriptor is left");
}

static void test_lines(void)
{
	char longest[sizeof got.text + 100];
	int ends[2];

	pair(ends);
	link_line(ends[0], "work", "%d new", 3);
	EQUAL(link_take(ends[1], &got, NULL, &err), 1, "a line with a label");
	EQUAL(got.kind, EVENT_LINE, "is one");
	SAME(got.text, "work: 3 new", "label, colon, text");
	link_line(ends[0], "", "%s", "alone");
	EQUAL(link_take(ends[1], &got, NULL, &err), 1, "one without");
	SAME(got.text, "alone", "is the text alone");
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	link_line(ends[0], longest, "%s", longest);
	EQUAL(link_take(ends[1], &got, NULL, &err), 1, "one that is too long");
	EQUAL(strlen(got.text), sizeof got.text - 1, "is cut");
	close_both(ends);
}

static void test_decode(void)
{
	struct event good = {.kind = EVENT_NOTE, .text = "hello"}, event, untouched;
	char shifted[sizeof(good) + 1];
	int wrong = 0;

	OK(link_decode(&good, sizeof(good), &event), "a good one");
	SAME(event.text, "hello", "is copied");
	memset(&event, 'u', sizeof(event));
	untouched = event;
	OK(!link_decode(&good, sizeof(good) - 1, &event), "one byte less");
	OK(!link_decode(&good, sizeof(good) + 1, &event), "one byte more");
	OK(!link_decode(&good, 0, &event), "no byte");
	for (uint32_t kind = 0; kind < 300; kind++) {
		bool fits = kind >= EVENT_NOTE && kind < EVENT_KINDS;

		good.kind = kind;
		wrong += link_decode(&good, sizeof(good), &event) != fits;
	}
	EQUAL(wrong, 0, "the kinds there are, and no others");
	good.kind = EVENT_DONE;
	good.error = ERR_KINDS - 1;
	OK(link_decode(&good, sizeof(good), &event), "the last kind of error");
	event = untouched;
	good.error = ERR_KINDS;
	OK(!link_decode(&good, sizeof(good), &event), "the next is none");
	good.error = UINT32_MAX;
	OK(!link_decode(&good, sizeof(good), &event), "nor is -1");
	good.error = 0;
	good.level = NOTE_TRACE + 1;
	OK(!link_decode(&good, sizeof(good), &event), "a level that is none");
	good.level = 0;
	good.one_message = 2;
	OK(!link_decode(&good, sizeof(good), &event), "a truth that is none");
	good.one_message = 0;
	memset(good.text, 'x', sizeof(good.text));
	OK(!link_decode(&good, sizeof(good), &event), "a text without an end");
	OK(memcmp(&event, &untouched, sizeof(event)) == 0, "a bad one changes nothing");
	good.text[sizeof(good.text) - 1] = '\0';
	memcpy(shifted + 1, &good, sizeof(good));
	OK(link_decode(shifted + 1, sizeof(good), &event), "bytes at an odd address");
	EQUAL(strlen(event.text), sizeof(event.text) - 1, "and the longest text");
}

int main(void)
{
	test_there_and_back();
	test_descriptors();
	test_full();
	test_waits(0, "everything else waits for room");
	test_waits(O_NONBLOCK, "even at an end that does not block");
	test_last_words();
	test_nonsense();
	test_lines();
	test_decode();
	return tap_end();
}

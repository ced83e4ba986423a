/* SPDX-License-Identifier: MIT */
/*
 * test_conn.c - the connection without TLS, against servers forked here.
 *
 * Each case names a function that plays the server on its accepted socket, in a child.
 */
#include "config.h"

#include "conn.h"

#include <errno.h>
#include <fcntl.h>

#include "loopback.h"

static const char *script; /* what play_script sends, in two parts */
static size_t script_len, script_cut;
static size_t len;

/* -- servers ------------------------------------------------------------------------------ */

static int play_script(int fd)
{
	say(fd, script, script_cut);
	if (script_cut > 0 && script_cut < script_len)
		nap(2);
	say(fd, script + script_cut, script_len - script_cut);
	return 0;
}

static int play_silence(int fd)
{
	return (int)hear_all(fd);
}

static int play_signal(int fd)
{
	nap(200);
	return kill(getppid(), SIGTERM) + (int)hear_all(fd);
}

static int play_reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	say(fd, "-ERR going down\r\nhalf", 21);
	nap(20);
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static int play_drip(int fd)
{
	for (int i = 0; i < 40; i++) {
		say(fd, "x", 1);
		nap(50);
	}
	return 0;
}

static int play_steady(int fd)
{
	char block[4096];

	memset(block, 'y', sizeof(block));
	for (int i = 0; i < 10; i++) {
		say(fd, block, sizeof(block));
		nap(200);
	}
	return 0;
}

#define FLOOD ((size_t)50 << 20)

/* Sends all its mail before it reads a word; then says how much it heard_line. */
static int play_flood(int fd)
{
	static char block[65536];
	struct timeval second = {.tv_sec = 1};
	char text[64];

	small_buffers(fd);
	memset(block, 'z', sizeof(block));
	for (size_t i = 0; i < FLOOD; i += sizeof(block))
		say(fd, block, sizeof(block));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	say(fd, text, (size_t)snprintf(text, sizeof(text), "+OK %zu\r\n", hear_all(fd)));
	return 0;
}

#define PATTERN 1000000
#define PATTERN_AT(i) ((char)((i) * 7 + (i) / 251))

static int play_pattern(int fd)
{
	static char all[PATTERN];

	for (size_t i = 0; i < PATTERN; i++)
		all[i] = PATTERN_AT(i);
	for (size_t i = 0, n = 1; i < PATTERN; i += n, n = n * 3 % 40009 + 1)
		say(fd, all + i, n < PATTERN - i ? n : PATTERN - i);
	return 0;
}

/* Answers each piece it reads after a while, a line to each of its lines. */
static int play_echo(int fd)
{
	static char buf[65536];
	ssize_t n;

	small_buffers(fd);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		nap(10);
		for (char *at = buf; (at = memchr(at, '\n', (size_t)(buf + n - at))); at++)
			say(fd, "+OK\r\n", 5);
	}
	return 0;
}

static void begin_script(const char *bytes, size_t n, size_t cut)
{
	script = bytes;
	script_len = n;
	script_cut = cut;
	begin(play_script);
}

/* -- lines -------------------------------------------------------------------------------- */

/* Every cut of the input gives the same lines; the end is told apart from a line. */
static void test_lines(void)
{
	static const char text[] = "+OK hi\r\nlf only\n\r\n\n\rcr\r in\r\r\nNUL\0in\r\nrest";
	static const char *const want[] = {"+OK hi", "lf only", "", "", "\rcr\r in\r", "NUL\0in"};
	static const size_t want_len[] = {6, 7, 0, 0, 8, 6};
	size_t wrong = 0;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		begin_script(text, sizeof(text) - 1, cut);
		for (size_t i = 0; i < 6; i++)
			wrong += !reads(want_len[i]) || memcmp(heard_line, want[i], heard_len) != 0;
		wrong += !fails(ERR_TEMP);
		wrong += !strstr(err.text, "127.0.0.1 closed the connection while testing");
		part();
	}
	EQUAL(wrong, 0, "lines, cut at every byte");
}

static void test_long_line(size_t text_len, const char *end, bool fine, const char *what)
{
	static char text[1000000];

	memset(text, 'x', text_len);
	memcpy(text + text_len, end, 2);
	begin_script(text, text_len + 2, 0);
	OK(fine ? reads(text_len) : fails(ERR_PROTOCOL), what);
	part();
}

static void test_ends(void)
{
	begin(play_reset);
	OK(reads(15) && fails(ERR_TEMP) && err.sys == ECONNRESET, "a reset is ERR_TEMP");
	says("while testing");
	part();
	begin(play_reset);
	conn_put(&conn, "STAT", NULL, &err);
	nap(50);
	OK(reads(15) && fails(ERR_TEMP), "that nothing can be sent does not hide the last word");
	part();
}

/* -- the deadline ------------------------------------------------------------------------- */

static void test_silence(bool expect, uint64_t timeout, uint64_t connect_timeout, const char *said)
{
	uint64_t since;

	server.timeout = timeout;
	server.connect_timeout = connect_timeout;
	meet(play_silence);
	since = clock_ms();
	if (expect)
		conn_expect(&conn, "waiting for the greeting");
	OK(fails(ERR_TEMP), "silence is ERR_TEMP");
	since = clock_ms() - since;
	OK(since > 900 && since < 2000, "after the span");
	says(said);
	part();
	server.timeout = server.connect_timeout = 5;
}

/* Takes bytes until the connection fails; returns how many came. */
static size_t take_all(void)
{
	size_t sum = 0;
	const char *data;

	while (conn_data(&conn, 1, &data, &len, &err) == 0) {
		conn_take(&conn, len);
		sum += len;
	}
	return sum;
}

static void test_spans(void)
{
	uint64_t since;
	size_t sum;

	server.timeout = 1;
	begin(play_drip);
	since = clock_ms();
	sum = take_all();
	OK(sum < 30 && clock_ms() - since < 1900 && err.kind == ERR_TEMP, "a drip prolongs nothing");
	says("sent only");
	part();

	begin(play_steady);
	EQUAL(take_all(), 40960, "4 KiB at a time outlast the span");
	EQUAL(conn.total_in, 40960, "bytes are counted");
	part();

	server.connect_timeout = 1;
	meet(play_steady);
	since = clock_ms();
	sum = take_all();
	OK(sum < 40960 && clock_ms() - since < 1500 && err.kind == ERR_TEMP,
	   "before the first expectation nothing prolongs the span");
	part();
	server.timeout = server.connect_timeout = 5;
}

/* What came while the caller was busy itself is not late. */
static void test_busy(void)
{
	server.timeout = 1;
	begin_script("+OK\r\n", 5, 0);
	nap(1200);
	OK(reads(3), "a slow caller loses nothing");
	part();
	server.timeout = 5;
}

/* -- both ways ---------------------------------------------------------------------------- */

static void count_alive(void *arg)
{
	++*(unsigned *)arg;
}

static void test_deadlock(void)
{
	unsigned alive_calls = 0;
	uint64_t since = clock_ms();
	size_t n = 0, sum = 0;
	const char *data;
	char want[64];

	begin(play_flood);
	small_buffers(conn.fd);
	conn.alive = count_alive;
	conn.alive_arg = &alive_calls;
	while (conn.out.len + 20 < CONN_MAX_OUT && conn_put(&conn, "RETR 1234567890", NULL, &err) == 0)
		n++;
	EQUAL(n, 61680, "a megabyte of commands can be stored");
	for (; sum < FLOOD && conn_data(&conn, 1, &data, &len, &err) == 0; sum += len) {
		len = len < FLOOD - sum ? len : FLOOD - sum;
		conn_take(&conn, len);
	}
	EQUAL(sum, FLOOD, "a flood comes in while they wait to be sent");
	OK(alive_calls > 0 && alive_calls <= (clock_ms() - since) / 100 + 1, "the alive hook");
	snprintf(want, sizeof(want), "+OK %zu", n * 17);
	OK(reads(strlen(want)) && memcmp(heard_line, want, heard_len) == 0,
	   "the commands went out, all of them");
	part();
}

/* What was sent makes room for more, though there is always something unsent. */
static void test_room(void)
{
	static char big[60001];
	int n = 0, answers = 0;

	memset(big, 'x', sizeof(big) - 1);
	begin(play_echo);
	small_buffers(conn.fd);
	while (n < 30 && conn_put(&conn, big, NULL, &err) == 0)
		if (++n > 10)
			answers += reads(3);
	EQUAL(n, 30, "more commands than the buffer holds");
	while (answers < n && reads(3))
		answers++;
	EQUAL(answers, n, "all are answered");
	part();
}

static void test_put(void)
{
	char *big = xmalloc(CONN_MAX_OUT);

	meet(play_silence);
	OK(conn_put(&conn, "USER a\nDELE 1", NULL, &err) == -1 && err.kind == ERR_BUG, "LF within");
	OK(conn_put(&conn, "USER a\r", NULL, &err) == -1 && err.kind == ERR_BUG, "CR within");
	memset(big, 'x', CONN_MAX_OUT);
	big[CONN_MAX_OUT - 1] = '\0';
	OK(conn_put(&conn, big, NULL, &err) == -1 && err.kind == ERR_BUG, "more than may be stored");
	EQUAL(conn.out.len, 0, "nothing of them is stored");
	part();
	free(big);
}

/* Any bytes in any pieces, asked for and taken in any measure. */
static void test_data(void)
{
	size_t at = 0, wrong = 0, least = 1;
	const char *data;

	begin(play_pattern);
	while (at < PATTERN) {
		least = least * 5 % (CONN_IN_SIZE / 2) + 1;
		if (conn_data(&conn, least < PATTERN - at ? least : PATTERN - at, &data, &len, &err) == -1)
			break;
		wrong += len < least && len < PATTERN - at;
		len -= len > 2 ? len % 3 : 0; /* leave a few, as wire_undot does */
		for (size_t i = 0; i < len; i++)
			wrong += data[i] != PATTERN_AT(at + i);
		conn_take(&conn, len);
		at += len;
	}
	OK(at == PATTERN && wrong == 0, "data in any measure");
	OK(conn_data(&conn, 1, &data, &len, &err) == -1 && err.kind == ERR_TEMP, "its end");
	OK(conn_data(&conn, CONN_IN_SIZE, &data, &len, &err) == -1 && err.kind == ERR_BUG, "too much");
	part();
}

static void test_flights(void)
{
	begin(play_echo);
	for (unsigned flight = 1; flight <= 3; flight++) {
		for (int i = 0; i < 4; i++)
			conn_put(&conn, "NOOP", NULL, &err);
		OK(reads(3), "an answer");
		nap(20);
		OK(reads(3) && reads(3) && conn_ready(&conn), "and more that are ready");
		OK(reads(3) && !conn_ready(&conn), "until the last");
		EQUAL(conn.flights, flight, "four commands together, one flight");
	}
	part();
}

/* -- signals ------------------------------------------------------------------------------ */

/* sooner: the signal is pending before the wait begins. */
static void test_stop(bool sooner, const char *what)
{
	struct sigaction act = {.sa_handler = on_signal};
	uint64_t since = clock_ms();
	sigset_t set, old;

	sigaction(SIGTERM, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	begin(sooner ? play_silence : play_signal);
	if (sooner)
		raise(SIGTERM);
	OK(fails(ERR_STOP) && fails(ERR_STOP), what);
	OK(clock_ms() - since < 2000, "at once");
	stop_requested = 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	part();
}

/* -- the trace ---------------------------------------------------------------------------- */

static struct str notes = {.max = 1000};

static void collect(enum note_level level, const char *text)
{
	str_printf(&notes, "%d %s\n", (int)level, text);
}

static void test_trace(void)
{
	char want[200];

	note_hook = collect;
	note_limit = NOTE_TRACE;
	begin_script("+OK \033[2J\r\n", 10, 0);
	conn_put(&conn, "USER joe", NULL, &err);
	conn_put(&conn, "PASS sesame", "PASS ***", &err);
	conn_line(&conn, &heard_line, &heard_len, &err);
	snprintf(want, sizeof(want),
	         "1 connected to 127.0.0.1 (127.0.0.1) port %d\n"
	         "2 > USER joe\n2 > PASS ***\n2 < +OK \\x1b[2J\n",
	         (int)server.port);
	SAME(notes.s, want, "the trace");
	OK(!memmem(conn.out.s, strlen("USER joe  PASS sesame"), "sesame", 6), "what was sent is wiped");
	note_hook = NULL;
	note_limit = NOTE_WARN;
	str_free(&notes);
	part();
}

static void test_patience(void)
{
	uint64_t since;

	meet(play_silence);
	conn_be_patient(&conn, 1);
	conn_expect(&conn, "logging in");
	since = clock_ms();
	OK(fails(ERR_TEMP) && clock_ms() - since < 2000, "a span of its own while logging in");
	says("within 1 s while logging in");
	conn_be_patient(&conn, 0);
	conn_expect(&conn, "testing");
	OK(conn.deadline - clock_ms() > 4000, "then timeout again");
	part();
}

static void test_close(void)
{
	int before = fcntl(0, F_GETFD);

	conn_close(&(struct conn){0});
	EQUAL(fcntl(0, F_GETFD), before, "closing a zeroed connection leaves descriptor 0 alone");
	meet(play_silence);
	conn_close(&conn);
	part();
	OK(conn.fd == -1, "closing twice");
}

int main(void)
{
	static char host[] = "127.0.0.1";

	server = (struct server){.host = host, .tls = TLS_OFF, .timeout = 5, .connect_timeout = 5};
	test_lines();
	test_long_line(CONN_MAX_LINE, "\r\n", true, "the longest line");
	test_long_line(CONN_MAX_LINE, "\nx", true, "the longest line, LF");
	test_long_line(CONN_MAX_LINE + 1, "\r\n", false, "a longer line");
	test_long_line(999990, "xx", false, "a line without end");
	test_ends();
	test_silence(true, 1, 5, "no answer from 127.0.0.1 within 1 s while waiting for the greeting;");
	test_silence(false, 5, 1, "no answer from 127.0.0.1 within 1 s while connecting");
	test_spans();
	test_busy();
	test_deadlock();
	test_room();
	test_put();
	test_data();
	test_flights();
	test_stop(false, "a signal ends the wait");
	test_stop(true, "a signal that came sooner ends the wait");
	test_trace();
	test_patience();
	test_close();
	return tap_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * test_conn.c - the connection without TLS, against servers forked here.
 *
 * Each case names a function that plays the server on its accepted socket, in a child.  The
 * look-up of names is replaced, so that a host has whatever addresses a case wants.  What
 * does not answer is a listener whose queue is full: the kernel drops who knocks there.
 */
#include "config.h"

#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>

#include "loopback.h"

static const char *script; /* what play_script sends, in two parts */
static size_t script_len, script_cut;
static const char *line; /* what was read last */
static size_t len;

/* The next line has this length. */
static bool reads(size_t want)
{
	return conn_line(&conn, &line, &len, &err) == 0 && len == want;
}

/* There is no next line, and that is an error of this kind. */
static bool fails(enum error_kind kind)
{
	return conn_line(&conn, &line, &len, &err) == -1 && err.kind == kind;
}

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

/* Sends all its mail before it reads a word; then says how much it heard. */
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
			wrong += !reads(want_len[i]) || memcmp(line, want[i], len) != 0;
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
	char *data;

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
	char *data, want[64];

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
	OK(reads(strlen(want)) && memcmp(line, want, len) == 0, "the commands went out, all of them");
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
	char *data;

	begin(play_pattern);
	while (at < PATTERN) {
		least = least * 5 % (CONN_IN_SIZE / 2) + 1;
		if (conn_data(&conn, least < PATTERN - at ? least : PATTERN - at, &data, &len, &err) == -1)
			break;
		wrong += len < least && len < PATTERN - at;
		len -= len > 2 ? len % 3 : 0; /* leave a few, as wire_undot does */
		for (size_t i = 0; i < len; i++)
			wrong += data[i] != PATTERN_AT(at + i);
		memset(data, 0, len); /* writable */
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

static void on_signal(int sig)
{
	stop_requested = sig;
}

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
	conn_line(&conn, &line, &len, &err);
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

/* -- dialling ----------------------------------------------------------------------------- */

static const char *const *faked; /* the addresses a look-up gives; NULL: ask the system */
static int faked_rc, faked_calls, faked_family; /* family: what was asked for last */

/* One element of a list, as getaddrinfo makes them, but in one piece. */
static struct addrinfo *fake(const char *text, const char *port)
{
	struct piece {
		struct addrinfo ai;
		struct sockaddr_in6 six;
	} *piece = xcalloc(1, sizeof(*piece));
	struct sockaddr_in *four = (struct sockaddr_in *)&piece->six;
	bool is_six = strchr(text, ':');
	uint64_t num = 0;

	if (port)
		number_parse(port, strlen(port), UINT16_MAX, &num);
	piece->six.sin6_family = is_six ? AF_INET6 : AF_INET;
	piece->six.sin6_port = htons((uint16_t)num);
	inet_pton(piece->six.sin6_family, text,
	          is_six ? (void *)&piece->six.sin6_addr : &four->sin_addr);
	piece->ai = (struct addrinfo){.ai_family = piece->six.sin6_family,
	                              .ai_socktype = SOCK_STREAM,
	                              .ai_addrlen = is_six ? sizeof(piece->six) : sizeof(*four),
	                              .ai_addr = (struct sockaddr *)&piece->six};
	return &piece->ai;
}

/* These two stand in the place of the C library's. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **list)
{
	const char *const alone[] = {host, NULL};

	*list = NULL;
	if (hints->ai_flags & AI_NUMERICHOST) { /* an address to bind to */
		*list = fake(host, port);
		return 0;
	}
	faked_calls++;
	faked_family = hints->ai_family;
	if (faked_rc != 0 && (faked_rc != EAI_ADDRFAMILY || hints->ai_flags & AI_ADDRCONFIG))
		return faked_rc;
	for (const char *const *at = faked ? faked : alone; *at; list = &(*list)->ai_next, at++)
		*list = fake(*at, port);
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

static int dial(const char *const *addresses, int rc)
{
	faked = addresses;
	faked_rc = rc;
	faked_calls = 0;
	conn = (struct conn){0};
	err = (struct error){0};
	rc = conn_dial(&conn, &server, &err);
	faked = NULL;
	faked_rc = 0;
	return rc;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_look_up(void)
{
	static const struct {
		int rc;
		enum error_kind kind;
		int calls;
	} answers[] = {
		{EAI_NONAME, ERR_NOHOST, 2},
		{EAI_AGAIN, ERR_TEMP, 1},
		{EAI_FAIL, ERR_TEMP, 2},
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		OK(dial(NULL, answers[i].rc) == -1 && err.kind == answers[i].kind, "a failed look-up");
		EQUAL(faked_calls, answers[i].calls, "tried again without AI_ADDRCONFIG");
		OK(conn.fd == -1 && !conn.in, "nothing is left of it");
	}
}

static void test_addresses(void)
{
	int fd = listen_on_loopback();

	OK(dial(NULL, EAI_ADDRFAMILY) == 0, "an address that AI_ADDRCONFIG hides");
	conn_close(&conn);
	OK(dial(LIST("127.0.0.2", "::1", "127.0.0.1"), 0) == 0, "the third of three addresses");
	SAME(conn.peer, "127.0.0.1", "is the peer");
	OK(fcntl(conn.fd, F_GETFD) & FD_CLOEXEC && fcntl(conn.fd, F_GETFL) & O_NONBLOCK, "its flags");
	conn_close(&conn);
	close(fd);
	OK(dial(LIST("127.0.0.1", "127.0.0.2", "::1"), 0) == -1 && err.kind == ERR_UNAVAILABLE,
	   "all refuse: unavailable");
	says("(127.0.0.1: Connection refused, ::1: ");
	says(" port ");
	says(", 127.0.0.2: Connection refused)");
	OK(dial(LIST("127.0.0.1", "255.255.255.255"), 0) == -1 && err.kind == ERR_TEMP,
	   "not all refuse: try again later");
}

static int knocks[16];
static size_t knocked;

/* A listener on this address and port that drops who knocks from now on. */
static int play_dead(const char *address, uint64_t port)
{
	char text[8];
	struct addrinfo *ai;
	int fd;

	snprintf(text, sizeof(text), "%u", (unsigned)port);
	ai = fake(address, text);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || bind(fd, ai->ai_addr, ai->ai_addrlen) == -1 || listen(fd, 1) == -1) {
		printf("# %s port %s: %s\n", address, text, strerror(errno));
		close(fd);
		fd = -1;
	}
	for (size_t i = 0; fd != -1 && i < 4; i++) {
		int knock = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		connect(knock, ai->ai_addr, ai->ai_addrlen);
		knocks[knocked++] = knock;
	}
	nap(50);
	free(ai);
	return fd;
}

static void bury(int dead)
{
	while (knocked > 0)
		close(knocks[--knocked]);
	close(dead);
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static uint64_t dial_for(const char *const *addresses, int *rc)
{
	uint64_t since = clock_ms();

	*rc = dial(addresses, 0);
	return clock_ms() - since;
}

static void test_dead_address(void)
{
	int fd = listen_on_loopback(), rc;
	uint64_t port = server.port, took;

	close(fd);
	fd = play_dead("127.0.0.1", port);
	server.connect_timeout = 1;
	took = dial_for(NULL, &rc);
	OK(rc == -1 && err.kind == ERR_TEMP, "no answer to the dialling");
	says("(127.0.0.1: Connection timed out)");
	OK(took > 900 && took < 2000, "after connect_timeout");
	took = dial_for(LIST("127.0.0.1", "127.0.0.1"), &rc);
	OK(took > 900 && took < 2000, "which covers all addresses");
	server.connect_timeout = 5;
	bury(fd);
}

/* RFC 8305: what is dead costs a quarter of a second; what refuses costs nothing. */
static void test_race(void)
{
	int live = listen_on_loopback(), dead = play_dead("::1", server.port), rc;
	unsigned before = open_files();
	uint64_t took;

	listen(live, 16);
	took = dial_for(LIST("127.0.0.3", "127.0.0.2", "127.0.0.1"), &rc);
	OK(rc == 0 && took < 200, "addresses that refuse cost nothing");
	conn_close(&conn);
	if (dead == -1) {
		tap_ok(1, "a dead address # SKIP no IPv6 here", __FILE__, __LINE__);
	} else {
		took = dial_for(LIST("::1", "127.0.0.1"), &rc);
		OK(rc == 0 && took >= 240 && took < 500, "a dead IPv6 address costs a quarter of a second");
		printf("# it took %u ms\n", (unsigned)took);
		SAME(conn.peer, "127.0.0.1", "the peer is who has answered");
		conn_close(&conn);
		took = dial_for(LIST("::1", "::1", "::1", "127.0.0.1"), &rc);
		OK(rc == 0 && took < 500, "the families take turns: so do three");
		conn_close(&conn);
		server.connect_timeout = 1;
		took = dial_for(LIST("::1", "127.0.0.9"), &rc);
		OK(rc == -1 && err.kind == ERR_TEMP && took > 900 && took < 2000, "one dead, one refuses");
		says("127.0.0.9: Connection refused, ::1: Connection timed out");
		server.connect_timeout = 5;
	}
	EQUAL(open_files(), before, "no socket is left");
	bury(dead);
	close(live);
}

static void test_stop_dialling(void)
{
	struct sigaction act = {.sa_handler = on_signal};
	int fd = listen_on_loopback(), dead;
	sigset_t set, old;

	close(fd);
	dead = play_dead("127.0.0.1", server.port);
	sigaction(SIGTERM, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(SIGTERM);
	OK(dial(NULL, 0) == -1 && err.kind == ERR_STOP && conn.fd == -1, "a signal ends the dialling");
	stop_requested = 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	bury(dead);
}

static void test_wishes(void)
{
	static char nine[] = "127.0.0.9", far[] = "192.0.2.1", six[] = "::1";
	int fd = listen_on_loopback();
	struct sockaddr_in own;
	socklen_t len_own = sizeof(own);

	listen(fd, 16);
	dial(NULL, 0);
	EQUAL(faked_family, AF_UNSPEC, "any family");
	conn_close(&conn);
	server.family = FAMILY_4;
	dial(NULL, 0);
	EQUAL(faked_family, AF_INET, "family = 4");
	conn_close(&conn);
	server.family = FAMILY_6;
	OK(dial(NULL, EAI_NONAME) == -1 && err.kind == ERR_NOHOST && faked_family == AF_INET6,
	   "family = 6");
	says("or has no IPv6 address");
	server.family = FAMILY_ANY;
	server.source_address = nine;
	OK(dial(NULL, 0) == 0 && faked_family == AF_INET, "a source address has a family");
	getsockname(conn.fd, (struct sockaddr *)&own, &len_own);
	EQUAL(ntohl(own.sin_addr.s_addr), 0x7f000009, "and is where we come from");
	conn_close(&conn);
	server.source_address = far;
	OK(dial(NULL, 0) == -1 && err.kind == ERR_TEMP, "one that is not ours");
	says("from 192.0.2.1 (127.0.0.1: Cannot assign");
	server.source_address = six;
	dial(NULL, EAI_NONAME);
	EQUAL(faked_family, AF_INET6, "an IPv6 source address");
	server.source_address = NULL;
	close(fd);
}

/* -- through a proxy ---------------------------------------------------------------------- */

static const char *proxy_says; /* in octets of two digits; "|" waits for the client first */

static int play_proxy(int fd)
{
	unsigned char octet;
	char buf[1000];

	for (const char *at = proxy_says; *at; at++) {
		if (*at == '|') {
			if (read(fd, buf, sizeof(buf)) <= 0)
				return 1;
			continue;
		}
		octet = (unsigned char)((at[0] - '0') * 16 + at[1] - '0');
		say(fd, (char *)&octet, 1);
		at++;
	}
	return 0;
}

#define GREETING "2154420130"

static const struct {
	const char *what, *says;
	enum error_kind kind; /* ERR_NONE: a line follows */
	const char *said;
} routes[] = {
	{"a proxy", "|0500|05000001020304050607|", ERR_NONE, NULL},
	{"one that sends the greeting behind it",
     "|0500|05000001020304050607" GREETING, ERR_NONE, NULL},
	{"one that refuses",
     "|0500|05050001020304050607", ERR_UNAVAILABLE, "refused by the server (code 5)"},
	{"one that wants a login", "|0599", ERR_PROTOCOL, "not offered"},
	{"one that hangs up", "|0500|0500", ERR_TEMP, "it closed the connection"},
	{"one that hangs up at once", "", ERR_TEMP, "the proxy 127.0.0.1 does not connect us to pop"},
};

static void test_proxy(void)
{
	static char name[] = "pop.example", old[] = "127.0.0.1";
	char url[64], *data;

	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		int fd = listen_on_loopback();

		fflush(stdout);
		child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			signal(SIGPIPE, SIG_IGN);
			proxy_says = routes[i].says;
			_exit(play_proxy(accept(fd, NULL, NULL)));
		}
		close(fd);
		snprintf(url, sizeof(url), "socks5://127.0.0.1:%u", (unsigned)server.port);
		server.proxy = url;
		server.host = name;
		if (routes[i].kind) {
			OK(dial(NULL, 0) == -1 && err.kind == routes[i].kind, routes[i].what);
			says(routes[i].said);
		} else {
			OK(dial(NULL, 0) == 0, routes[i].what);
			SAME(conn.peer, "through a proxy", "the peer is not the proxy");
			if (strstr(routes[i].says, GREETING))
				OK(conn_data(&conn, 5, &data, &len, &err) == 0 && memcmp(data, "!TB\0010", 5) == 0,
				   "not an octet of it is lost");
		}
		part();
	}
	server.proxy = NULL;
	server.host = old;
}

/* -- through a tunnel --------------------------------------------------------------------- */

static bool open_tunnel(const char *command)
{
	static char text[500];

	snprintf(text, sizeof(text), "%s", command);
	server.tunnel = text;
	conn = (struct conn){0};
	err = (struct error){0};
	if (conn_dial(&conn, &server, &err) == -1)
		return false;
	conn_expect(&conn, "testing");
	return true;
}

/* Whether a process of this group is left. */
static bool is_gone(const char *file)
{
	FILE *in = fopen(file, "r");
	char text[32] = "";
	uint64_t pid = 0;

	if (in && fgets(text, sizeof(text), in))
		number_parse(text, strcspn(text, "\n"), INT32_MAX, &pid);
	if (in)
		fclose(in);
	return pid > 0 && kill((pid_t)pid, 0) == -1 && errno == ESRCH;
}

static void test_tunnel(void)
{
	char file[] = "/tmp/mailhaul-tunnel-XXXXXX", command[200];
	int fd = mkstemp(file);
	unsigned before = open_files();
	uint64_t since;

	OK(open_tunnel("echo \"+OK $MAILHAUL_HOST $MAILHAUL_PORT\"; exec cat"), "a tunnel");
	snprintf(command, sizeof(command), "+OK 127.0.0.1 %u", (unsigned)server.port);
	OK(reads(strlen(command)) && memcmp(line, command, len) == 0, "it knows the server");
	SAME(conn.peer, "through a tunnel", "the peer is nobody");
	OK(conn_put(&conn, "hello", NULL, &err) == 0 && reads(5), "both ways");
	since = clock_ms();
	conn_close(&conn);
	OK(clock_ms() - since < 400, "it ends with its input");

	OK(open_tunnel("exit 3"), "one that ends");
	OK(fails(ERR_TEMP), "is no connection");
	says("the tunnel to 127.0.0.1 ended (exit status 3) while testing");
	conn_close(&conn);

	snprintf(command, sizeof(command), "trap '' TERM; echo $$ > %s; echo; sleep 60; sleep 60",
	         file);
	OK(open_tunnel(command) && reads(0), "one that does not want to end");
	since = clock_ms();
	conn_close(&conn);
	since = clock_ms() - since;
	OK(since > 1000 && since < 3000 && is_gone(file), "is killed and reaped");

	snprintf(command, sizeof(command), "echo $$ > %s; echo; exec sleep 60", file);
	OK(open_tunnel(command) && reads(0), "one that is deaf");
	stop_requested = 1;
	since = clock_ms();
	conn_close(&conn);
	stop_requested = 0;
	OK(clock_ms() - since < 300 && is_gone(file), "gets no time where we are to stop");
	EQUAL(open_files(), before, "no descriptor is left");
	server.tunnel = NULL;
	close(fd);
	unlink(file);
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
	test_look_up();
	test_addresses();
	test_dead_address();
	test_race();
	test_stop_dialling();
	test_wishes();
	test_proxy();
	test_tunnel();
	test_patience();
	test_close();
	return tap_end();
}

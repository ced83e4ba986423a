/* SPDX-License-Identifier: MIT */
/*
 * test_conn.c - the connection without TLS, against servers forked here.
 *
 * Each case names a function that plays the server on its accepted socket, in a child.  The
 * look-up of names is replaced, so that a host has whatever addresses a case wants.
 */
#include "config.h"

#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static struct server server;   /* what conn_dial is given */
static struct conn conn;
static struct error err;
static pid_t child;
static const char *script;     /* what a server sends */
static size_t script_len, script_cut;

/* -- servers ------------------------------------------------------------------------------ */

static int listen_on_loopback(uint64_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&at, len) == -1 || listen(fd, 1) == -1 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) == -1)
		exit(99);
	*port = ntohs(at.sin_port);
	return fd;
}

/* Forks a server that plays once, and dials it. */
static int meet(void (*play)(int fd))
{
	int fd = listen_on_loopback(&server.port);

	fflush(stdout);
	child = fork();
	if (child == 0) {
		int peer = accept(fd, NULL, NULL);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		close(fd);
		play(peer);
		_exit(0);
	}
	close(fd);
	conn = (struct conn){0};
	err = (struct error){0};
	return conn_dial(&conn, &server, &err);
}

/* Hangs up and returns the server's exit status. */
static int part(void)
{
	int status = -1;

	conn_close(&conn);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void nap(int ms)
{
	poll(NULL, 0, ms);
}

/* Sends all, or ends the server. */
static void say(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n <= 0)
			_exit(1);
		bytes += n;
		len -= (size_t)n;
	}
}

/* Reads until the client hangs up; the number of bytes. */
static size_t hear_all(int fd)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += (size_t)n;
	return sum;
}

static void play_script(int fd)
{
	say(fd, script, script_cut);
	if (script_cut > 0 && script_cut < script_len)
		nap(2);
	say(fd, script + script_cut, script_len - script_cut);
}

static void play_silence(int fd)
{
	hear_all(fd);
}

static void play_reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	say(fd, "+OK half", 8);
	nap(20);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void play_last_word(int fd)
{
	char c;

	(void)!read(fd, &c, 1); /* what is left unread makes the kernel send a reset */
	say(fd, "-ERR [SYS/TEMP] going down\r\n", 28);
}

static void play_drip(int fd)
{
	for (int i = 0; i < 40; i++) {
		say(fd, "x", 1);
		nap(50);
	}
}

static void play_steady(int fd)
{
	char block[4096];

	memset(block, 'y', sizeof(block));
	for (int i = 0; i < 10; i++) {
		say(fd, block, sizeof(block));
		nap(200);
	}
}

#define FLOOD ((size_t)50 << 20)

/* Sends all its mail before it reads a word; then says how much it heard. */
static void play_flood(int fd)
{
	static char block[65536];
	struct timeval second = {.tv_sec = 1};
	char text[64];

	memset(block, 'z', sizeof(block));
	for (size_t i = 0; i < FLOOD; i += sizeof(block))
		say(fd, block, sizeof(block));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	say(fd, text, (size_t)snprintf(text, sizeof(text), "+OK %zu\r\n", hear_all(fd)));
}

#define PATTERN 1000000
static char pattern_at(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void play_pattern(int fd)
{
	char *all = malloc(PATTERN);

	for (size_t i = 0; i < PATTERN; i++)
		all[i] = pattern_at(i);
	for (size_t i = 0, n = 1; i < PATTERN; i += n, n = n * 3 % 40009 + 1)
		say(fd, all + i, n < PATTERN - i ? n : PATTERN - i);
	free(all);
}

/* Answers each line as it comes, three lines to every "multi". */
static void play_echo(int fd)
{
	FILE *in = fdopen(fd, "r");
	char line[100];

	while (in && fgets(line, sizeof(line), in))
		say(fd, line[0] == 'm' ? "1\r\n2\r\n3\r\n" : "+OK\r\n", line[0] == 'm' ? 9 : 5);
}

/* -- lines -------------------------------------------------------------------------------- */

/* Every cut of the input gives the same lines; the end is told apart from a line. */
static void test_lines(void)
{
	static const char text[] = "+OK hi\r\nlf only\n\r\n\n\rcr\r in\r\r\nNUL\0in\r\nrest";
	static const char *const want[] = {"+OK hi", "lf only", "", "", "\rcr\r in\r", "NUL\0in"};
	static const size_t want_len[] = {6, 7, 0, 0, 8, 6};
	size_t wrong = 0;
	const char *line;
	size_t len;

	script = text;
	script_len = sizeof(text) - 1;
	for (script_cut = 0; script_cut <= script_len; script_cut++) {
		wrong += meet(play_script) != 0;
		conn_expect(&conn, "testing");
		for (size_t i = 0; i < 6; i++)
			wrong += conn_line(&conn, &line, &len, &err) != 0 || len != want_len[i] ||
			         memcmp(line, want[i], len) != 0;
		wrong += conn_line(&conn, &line, &len, &err) != -1 || err.kind != ERR_TEMP;
		wrong += !strstr(err.text, "127.0.0.1 closed the connection while testing");
		part();
	}
	EQUAL(wrong, 0, "lines, cut at every byte");
}

static void test_long_line(size_t len, const char *end, int rc, const char *what)
{
	char *text = malloc(len + 3);
	const char *line;
	size_t got;

	memset(text, 'x', len);
	memcpy(text + len, end, strlen(end) + 1);
	script = text;
	script_len = len + strlen(end);
	script_cut = 0;
	meet(play_script);
	conn_expect(&conn, "testing");
	if (rc == 0)
		OK(conn_line(&conn, &line, &got, &err) == 0 && got == len, what);
	else
		OK(conn_line(&conn, &line, &got, &err) == -1 && err.kind == ERR_PROTOCOL, what);
	part();
	free(text);
}

static void test_ends(void)
{
	const char *line;
	size_t len;

	meet(play_reset);
	conn_expect(&conn, "testing");
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_TEMP &&
	       err.sys == ECONNRESET && strstr(err.text, "while testing"),
	   "a reset is ERR_TEMP");
	part();

	meet(play_last_word);
	conn_put(&conn, "STAT", NULL, &err);
	conn_expect(&conn, "testing");
	nap(50);
	OK(conn_line(&conn, &line, &len, &err) == 0 && len == 26, "the last word before a hang-up");
	conn_put(&conn, "QUIT", NULL, &err);
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_TEMP, "then the end");
	part();
}

/* -- the deadline ------------------------------------------------------------------------- */

static void test_silence(bool expect, uint64_t timeout, uint64_t connect_timeout, const char *said)
{
	uint64_t begin;
	const char *line;
	size_t len;

	server.timeout = timeout;
	server.connect_timeout = connect_timeout;
	meet(play_silence);
	begin = clock_ms();
	if (expect)
		conn_expect(&conn, "waiting for the greeting");
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_TEMP, "silence is ERR_TEMP");
	begin = clock_ms() - begin;
	OK(begin > 900 && begin < 2000, "after the span");
	if (!OK(strstr(err.text, said), said))
		printf("# %s\n", err.text);
	part();
	server.timeout = server.connect_timeout = 5;
}

static unsigned alive_calls;

static void count_alive(void *arg)
{
	++*(unsigned *)arg;
}

/* Takes bytes until the connection fails; returns how many came. */
static size_t take_all(size_t at_once)
{
	size_t sum = 0, len;
	char *data;

	while (conn_data(&conn, 1, &data, &len, &err) == 0) {
		len = len < at_once ? len : at_once;
		conn_take(&conn, len);
		sum += len;
	}
	return sum;
}

static void test_spans(void)
{
	uint64_t begin;
	size_t sum;

	server.timeout = 1;
	meet(play_drip);
	conn_expect(&conn, "testing");
	begin = clock_ms();
	sum = take_all(SIZE_MAX);
	OK(sum < 30 && clock_ms() - begin < 1900 && err.kind == ERR_TEMP, "a drip prolongs nothing");
	if (!OK(strstr(err.text, "sent only"), "and is told from silence"))
		printf("# %s\n", err.text);
	part();

	meet(play_steady);
	conn_expect(&conn, "testing");
	conn.alive = count_alive;
	conn.alive_arg = &alive_calls;
	begin = clock_ms();
	EQUAL(take_all(SIZE_MAX), 40960, "4 KiB at a time outlast the span");
	OK(alive_calls >= 5 && alive_calls <= (clock_ms() - begin) / 100 + 1, "the alive hook");
	EQUAL(conn.total_in, 40960, "bytes are counted");
	part();

	server.connect_timeout = 1;
	meet(play_steady);
	begin = clock_ms();
	sum = take_all(SIZE_MAX);
	OK(sum < 40960 && clock_ms() - begin < 1500 && err.kind == ERR_TEMP,
	   "before the first expectation nothing prolongs the span");
	part();
	server.timeout = server.connect_timeout = 5;
}

/* What came while the caller was busy itself is not late. */
static void test_busy(void)
{
	const char *line;
	size_t len;

	server.timeout = 1;
	script = "+OK\r\n";
	script_len = script_cut = 5;
	meet(play_script);
	conn_expect(&conn, "testing");
	nap(1200);
	OK(conn_line(&conn, &line, &len, &err) == 0 && len == 3, "a slow caller loses nothing");
	part();
	server.timeout = 5;
}

/* -- both ways ---------------------------------------------------------------------------- */

static void test_deadlock(void)
{
	size_t n = 0, len, sum = 0;
	const char *line;
	char *data, want[64];

	server.timeout = 20;
	meet(play_flood);
	conn_expect(&conn, "testing");
	while (conn.out.len + 20 < CONN_MAX_OUT && conn_put(&conn, "RETR 1234567890", NULL, &err) == 0)
		n++;
	EQUAL(n, 61680, "a megabyte of commands can be stored");
	for (; sum < FLOOD && conn_data(&conn, 1, &data, &len, &err) == 0; sum += len) {
		len = len < FLOOD - sum ? len : FLOOD - sum;
		conn_take(&conn, len);
	}
	EQUAL(sum, FLOOD, "a flood comes in while they wait to be sent");
	OK(conn_line(&conn, &line, &len, &err) == 0, "the commands went out");
	snprintf(want, sizeof(want), "+OK %zu", n * 17);
	OK(len == strlen(want) && memcmp(line, want, len) == 0, "all of them");
	part();
	server.timeout = 5;
}

static void test_put(void)
{
	char *big = malloc(CONN_MAX_OUT + 1);

	meet(play_silence);
	OK(conn_put(&conn, "USER a\r\nDELE 1", NULL, &err) == -1 && err.kind == ERR_BUG, "CRLF within");
	OK(conn_put(&conn, "USER a\n", NULL, &err) == -1 && err.kind == ERR_BUG, "LF within");
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
	size_t at = 0, wrong = 0, len, least = 1;
	char *data;

	meet(play_pattern);
	conn_expect(&conn, "testing");
	while (at < PATTERN) {
		least = least * 5 % (CONN_IN_SIZE / 2) + 1;
		if (conn_data(&conn, least < PATTERN - at ? least : PATTERN - at, &data, &len, &err) == -1)
			break;
		wrong += len < least && len < PATTERN - at;
		len -= len > 2 ? len % 3 : 0; /* leave a few, as wire_undot does */
		for (size_t i = 0; i < len; i++)
			wrong += data[i] != pattern_at(at + i);
		memset(data, 0, len); /* writable */
		conn_take(&conn, len);
		at += len;
	}
	OK(at == PATTERN && wrong == 0, "data in any measure");
	OK(conn_data(&conn, 1, &data, &len, &err) == -1 && err.kind == ERR_TEMP, "its end");
	OK(conn_data(&conn, CONN_IN_SIZE, &data, &len, &err) == -1 && err.kind == ERR_BUG, "too much");
	part();
}

static void put_and_take(const char *const *lines, size_t n, size_t answers)
{
	const char *line;
	size_t len;

	for (size_t i = 0; i < n; i++)
		conn_put(&conn, lines[i], NULL, &err);
	while (answers-- > 0 && conn_line(&conn, &line, &len, &err) == 0)
		;
}

static void test_flights(void)
{
	meet(play_echo);
	conn_expect(&conn, "testing");
	put_and_take((const char *[]){"a"}, 1, 1);
	EQUAL(conn.flights, 1, "one command, one flight");
	put_and_take((const char *[]){"a", "b", "multi", "c"}, 4, 3);
	nap(20);
	put_and_take(NULL, 0, 3);
	EQUAL(conn.flights, 2, "four commands together, one flight");
	OK(!conn_ready(&conn), "nothing is left");
	put_and_take((const char *[]){"multi"}, 1, 1);
	OK(conn_ready(&conn), "something is left");
	EQUAL(conn.flights, 3, "three flights");
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
	uint64_t begin = clock_ms();
	const char *line;
	sigset_t set, old;
	size_t len;
	pid_t killer = 0;

	sigaction(SIGTERM, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	meet(play_silence);
	conn_expect(&conn, "testing");
	if (sooner) {
		kill(getpid(), SIGTERM);
	} else if ((killer = fork()) == 0) {
		nap(200);
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_STOP, what);
	OK(clock_ms() - begin < 2000, "at once");
	OK(conn_line(&conn, &line, &len, &err) == -1 && err.kind == ERR_STOP, "and stays so");
	stop_requested = 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (killer > 0)
		waitpid(killer, NULL, 0);
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
	const char *line;
	char want[200];
	size_t len;

	note_hook = collect;
	note_limit = NOTE_TRACE;
	script = "+OK \033[2J\r\n";
	script_len = script_cut = 10;
	meet(play_script);
	conn_expect(&conn, "testing");
	conn_put(&conn, "USER joe", NULL, &err);
	conn_put(&conn, "PASS sesame", "PASS ***", &err);
	conn_line(&conn, &line, &len, &err);
	snprintf(want, sizeof(want),
	         "1 connected to 127.0.0.1 (127.0.0.1) port %d\n"
	         "2 > USER joe\n2 > PASS ***\n2 < +OK \\x1b[2J\n",
	         (int)server.port);
	SAME(notes.s, want, "the trace");
	OK(!conn.out.s || !memmem(conn.out.s, conn.out.cap, "sesame", 6), "what was sent is wiped");
	note_hook = NULL;
	note_limit = NOTE_WARN;
	str_free(&notes);
	part();
}

/* -- dialling ----------------------------------------------------------------------------- */

static const char *const *faked; /* the addresses a look-up gives; NULL: ask the system */
static int faked_rc, faked_calls;

/* Stand in the place of the C library's. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **list)
{
	faked_calls++;
	*list = NULL;
	if (faked_rc != 0 && (faked_rc != EAI_ADDRFAMILY || hints->ai_flags & AI_ADDRCONFIG))
		return faked_rc;
	for (size_t i = 0; faked ? faked[i] != NULL : i < 1; i++) {
		struct addrinfo *ai = calloc(1, sizeof(*ai)), **last = list;
		struct sockaddr_in6 *six = calloc(1, sizeof(*six));
		struct sockaddr_in *four = (struct sockaddr_in *)six;
		const char *text = faked ? faked[i] : host;
		uint64_t num = 0;

		while (*last)
			last = &(*last)->ai_next;
		*ai = (struct addrinfo){.ai_family = strchr(text, ':') ? AF_INET6 : AF_INET,
		                        .ai_socktype = SOCK_STREAM,
		                        .ai_addrlen = strchr(text, ':') ? sizeof(*six) : sizeof(*four),
		                        .ai_addr = (struct sockaddr *)six};
		six->sin6_family = (sa_family_t)ai->ai_family;
		number_parse(port, strlen(port), UINT16_MAX, &num);
		six->sin6_port = htons((uint16_t)num);
		inet_pton(ai->ai_family, text, strchr(text, ':') ? (void *)&six->sin6_addr : &four->sin_addr);
		*last = ai;
	}
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_addr);
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
		{EAI_NODATA, ERR_NOHOST, 2},
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
	int fd = listen_on_loopback(&server.port), stale;
	uint64_t other;

	OK(dial(NULL, EAI_ADDRFAMILY) == 0, "an address that AI_ADDRCONFIG hides");
	conn_close(&conn);
	OK(dial(LIST("127.0.0.2", "::1", "127.0.0.1"), 0) == 0, "the third of three addresses");
	SAME(conn.peer, "127.0.0.1", "is the peer");
	OK(fcntl(conn.fd, F_GETFD) & FD_CLOEXEC, "the socket is not inherited");
	OK(fcntl(conn.fd, F_GETFL) & O_NONBLOCK, "the socket does not block");
	conn_close(&conn);
	close(fd);

	stale = listen_on_loopback(&other);
	close(stale);
	server.port = other;
	OK(dial(LIST("127.0.0.1", "127.0.0.2", "::1"), 0) == -1 && err.kind == ERR_UNAVAILABLE,
	   "all refuse: unavailable");
	if (!OK(strstr(err.text, "127.0.0.1: Conn") && strstr(err.text, ", ::1: ") &&
	            strstr(err.text, ", ::1: ") < strstr(err.text, "127.0.0.2: "),
	        "the error names them as tried: the families by turns"))
		printf("# %s\n", err.text);
	OK(dial(LIST("127.0.0.1", "255.255.255.255"), 0) == -1 && err.kind == ERR_TEMP,
	   "not all refuse: try again later");
}

/* An address that does not answer: a listener whose queue is full drops what knocks. */
static void test_dead_address(void)
{
	int fd = listen_on_loopback(&server.port), knock[8];
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint64_t begin;

	at.sin_port = htons((uint16_t)server.port);
	for (size_t i = 0; i < 8; i++) {
		knock[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(knock[i], (struct sockaddr *)&at, sizeof(at));
	}
	nap(50);
	server.connect_timeout = 1;
	begin = clock_ms();
	OK(dial(NULL, 0) == -1 && err.kind == ERR_TEMP, "no answer to the dialling");
	begin = clock_ms() - begin;
	OK(begin > 900 && begin < 2000, "after connect_timeout");
	server.connect_timeout = 3;
	begin = clock_ms();
	dial(LIST("127.0.0.1", "127.0.0.1"), 0);
	begin = clock_ms() - begin;
	OK(begin > 2900 && begin < 4000, "which covers all addresses");
	server.connect_timeout = 5;
	for (size_t i = 0; i < 8; i++)
		close(knock[i]);
	close(fd);
}

static void test_close(void)
{
	struct conn zeroed = {0};
	int before = fcntl(0, F_GETFD);

	conn_close(&zeroed);
	EQUAL(fcntl(0, F_GETFD), before, "closing a zeroed connection leaves descriptor 0 alone");
	meet(play_silence);
	conn_close(&conn);
	conn_close(&conn);
	OK(conn.fd == -1, "closing twice");
	part();
}

int main(void)
{
	static char host[] = "127.0.0.1";

	server = (struct server){.host = host, .tls = TLS_OFF, .timeout = 5,
	                         .connect_timeout = 5};
	test_lines();
	test_long_line(CONN_MAX_LINE, "\r\n", 0, "the longest line");
	test_long_line(CONN_MAX_LINE, "\n", 0, "the longest line, LF");
	test_long_line(CONN_MAX_LINE + 1, "\r\n", -1, "a longer line");
	test_long_line(1000000, "", -1, "a line without end");
	test_ends();
	test_silence(true, 1, 5, "no answer from 127.0.0.1 within 1 s while waiting for the greeting; if");
	test_silence(false, 5, 1, "no answer from 127.0.0.1 within 1 s while connecting");
	test_spans();
	test_busy();
	test_deadlock();
	test_put();
	test_data();
	test_flights();
	test_stop(false, "a signal ends the wait");
	test_stop(true, "a signal that came sooner ends the wait");
	test_trace();
	test_look_up();
	test_addresses();
	test_dead_address();
	test_close();
	return tap_end();
}

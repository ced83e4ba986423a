/* SPDX-License-Identifier: MIT */
/*
 * test_dial.c - the ways to a server: its addresses in turn, a proxy, a tunnel.
 *
 * The look-up of names is replaced, so that a host has whatever addresses a case wants.  What
 * does not answer is a listener whose queue is full: the kernel drops who knocks there.
 */
#include "config.h"

#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>

#include "loopback.h"

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
	int before = tap_open_files();
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
	EQUAL(tap_open_files(), before, "no socket is left");
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
	const char *data;
	char url[64];

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
				OK(conn_data(&conn, 5, &data, &heard_len, &err) == 0 &&
				   memcmp(data, "!TB\0010", 5) == 0,
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
	int before = tap_open_files();
	uint64_t since;

	OK(open_tunnel("echo \"+OK $MAILHAUL_HOST $MAILHAUL_PORT\"; exec cat"), "a tunnel");
	snprintf(command, sizeof(command), "+OK 127.0.0.1 %u", (unsigned)server.port);
	OK(reads(strlen(command)) && memcmp(heard_line, command, heard_len) == 0,
	   "it knows the server");
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
	EQUAL(tap_open_files(), before, "no descriptor is left");
	server.tunnel = NULL;
	close(fd);
	unlink(file);
}

int main(void)
{
	static char host[] = "127.0.0.1";

	server = (struct server){.host = host, .tls = TLS_OFF, .timeout = 5, .connect_timeout = 5};
	test_look_up();
	test_addresses();
	test_dead_address();
	test_race();
	test_stop_dialling();
	test_wishes();
	test_proxy();
	test_tunnel();
	return tap_end();
}

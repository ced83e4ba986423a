/* SPDX-License-Identifier: MIT */
/*
 * load.c - a POP3 server that costs next to nothing: N messages of S bytes, made in memory.
 *
 *     load [-n MESSAGES] [-s BYTES] [-d MS] [-c DIR] [-P] [-a] -p PORTFILE -t TALLY
 *
 *   -a       at all addresses of the loopback, 127.x.x.x: so many hosts; else at 127.0.0.1
 *   -c DIR   TLS from the first byte, with DIR/server.pem and server.key; else in clear
 *   -d MS    a round trip takes so long: what the client sends is looked at MS milliseconds after
 *            it came in, by the clock, so that commands sent together are late together
 *   -P       PIPELINING is not offered, and a command that comes too early ends the session
 *   -p FILE  where the port is written once it listens
 *   -t FILE  where each session leaves a line: flights RETRs DELEs, milliseconds of CPU, and its
 *            end: "quit" or "cut"
 *
 * Every user and password is let in and finds the same mailbox; DELE is only counted.  A flight is
 * a wait: all that came in was answered, nothing is under way, and the client must speak; the one
 * behind the greeting is the first.  Input is taken while output is stuck, so no window of a client
 * can make both wait.
 *
 * A process for each session; it ends with its parent.  Used by bench.sh and tests/counts.t.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD 256              /* bytes of a message's header, the empty line included */
#define LINE 64               /* bytes of a line on the wire */
#define LINES 1024            /* of them repeat */
#define STUFFED 32            /* every so many lines one has a dot in front, doubled */
#define OUT (256 * 1024)      /* what gathers before it is sent */
#define RECORD 16384          /* of TLS */
#define RAW (1024 * 1024)     /* what may come in before it is looked at */
#define PIECES 8192
#define COMMAND 512
#define IDLE 120000           /* ms after which a silent client is left */

/* -- the mailbox -------------------------------------------------------------------------- */

static uint32_t count = 300;
static uint64_t lines;                /* of one message's body */
static char head[HEAD + 1];
static char *number;                  /* in head: 8 digits */
static char text[LINES * LINE];
static char *uidl, *list;             /* the whole answers */
static size_t uidl_len, list_len;
static unsigned delay;
static bool no_pipelining, all_loopback;
static gnutls_certificate_credentials_t credentials; /* NULL: in clear */
static gnutls_priority_t priorities;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t octets(void)
{
	return HEAD + lines * LINE - lines / STUFFED;
}

static char *make_list(bool uids, size_t *len)
{
	size_t size = (size_t)count * 40 + 64;
	char *to = malloc(size);

	if (to == NULL)
		die("memory");
	*len = (size_t)snprintf(to, size, "+OK\r\n");
	for (uint32_t i = 1; i <= count; i++)
		*len += uids ? (size_t)snprintf(to + *len, size - *len, "%u load%010u\r\n", i, i)
		             : (size_t)snprintf(to + *len, size - *len, "%u %llu\r\n", i,
		                                (unsigned long long)octets());
	*len += (size_t)snprintf(to + *len, size - *len, ".\r\n");
	return to;
}

static void make_mailbox(uint64_t size)
{
	static const char first[] = "From: load@example.org\r\nTo: joe@example.org\r\nSubject: number ";
	size_t n;

	lines = size > HEAD ? (size - HEAD) / LINE : 0;
	n = (size_t)snprintf(head, sizeof head, "%s", first);
	number = head + n;
	n += (size_t)snprintf(head + n, sizeof head - n, "00000000\r\nX-Filler: ");
	memset(head + n, 'f', HEAD - 4 - n);
	memcpy(head + HEAD - 4, "\r\n\r\n", 4);
	for (size_t i = 0; i < LINES; i++) {
		char *line = text + i * LINE;

		for (size_t k = 0; k < LINE - 2; k++)
			line[k] = (char)('a' + (i + k) % 26);
		if (i % STUFFED == STUFFED - 1)
			line[0] = line[1] = '.';
		line[LINE - 2] = '\r';
		line[LINE - 1] = '\n';
	}
	uidl = make_list(true, &uidl_len);
	list = make_list(false, &list_len);
}

/* -- one session -------------------------------------------------------------------------- */

struct session {
	int fd;
	gnutls_session_t tls;
	/* What came in, and when it may be looked at: the line with the delay in it. */
	char raw[RAW];
	size_t raw_at, raw_end;
	struct piece {
		uint64_t due;
		size_t end;
	} pieces[PIECES];
	size_t first, last;
	bool eof, greeted;
	/* Commands in clear. */
	char in[COMMAND * 64];
	size_t in_at, in_end;
	/* Answers in clear, and what goes out. */
	char out[OUT], wire[2 * OUT];
	size_t out_len, wire_at, wire_len;
	bool answered;                  /* since the last wait */
	unsigned long flights, retrs, deles;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const char *tally_path;

static _Noreturn void leave(struct session *s, bool quit)
{
	struct rusage used;
	char line[128];
	int fd = open(tally_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	long ms;
	int n;

	getrusage(RUSAGE_SELF, &used);
	ms = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
	     (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
	n = snprintf(line, sizeof line, "%lu %lu %lu %ld %s\n", s->flights, s->retrs, s->deles, ms,
	             quit ? "quit" : "cut");
	if (fd == -1 || write(fd, line, (size_t)n) != n)
		_exit(1);
	_exit(0);
}

/* Takes in what is there.  The first bytes come a round trip later: that is the connection's. */
static void take_in(struct session *s)
{
	ssize_t n;

	if (s->raw_at == s->raw_end)
		s->raw_at = s->raw_end = 0;
	n = recv(s->fd, s->raw + s->raw_end, RAW - s->raw_end, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		s->eof = true;
		return;
	}
	s->raw_end += (size_t)n;
	s->pieces[s->last++ % PIECES] = (struct piece){
		now_ms() + delay * (s->tls != NULL && !s->greeted ? 2u : 1u), s->raw_end};
	s->greeted = true;
}

/* Up to len bytes whose time has come; 0: none. */
static size_t due_bytes(struct session *s, char *to, size_t len)
{
	uint64_t now = delay > 0 ? now_ms() : UINT64_MAX;
	size_t end = s->raw_at;

	for (; s->first < s->last && s->pieces[s->first % PIECES].due <= now; s->first++) {
		end = s->pieces[s->first % PIECES].end;
		if (end - s->raw_at > len)
			break;
	}
	if (len > end - s->raw_at)
		len = end - s->raw_at;
	memcpy(to, s->raw + s->raw_at, len);
	s->raw_at += len;
	return len;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *to, size_t len)
{
	struct session *s = arg;
	size_t n = due_bytes(s, to, len);

	if (n > 0 || s->eof)
		return (ssize_t)n;
	gnutls_transport_set_errno(s->tls, EAGAIN);
	return -1;
}

static ssize_t push(gnutls_transport_ptr_t arg, const void *from, size_t len)
{
	struct session *s = arg;

	if (s->wire_len + len > sizeof s->wire)
		return -1;
	memcpy(s->wire + s->wire_len, from, len);
	s->wire_len += len;
	return (ssize_t)len;
}

/* Sends what is ready; whatever the client says meanwhile is taken. */
static void send_wire(struct session *s)
{
	while (s->wire_at < s->wire_len) {
		ssize_t n = send(s->fd, s->wire + s->wire_at, s->wire_len - s->wire_at,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd ready = {.fd = s->fd, .events = POLLOUT};

		if (n > 0) {
			s->wire_at += (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			leave(s, false);
		if (!s->eof && s->raw_end < RAW && s->last - s->first < PIECES)
			ready.events |= POLLIN;
		if (poll(&ready, 1, IDLE) == 0)
			leave(s, false);
		if (ready.revents & POLLIN)
			take_in(s);
	}
	s->wire_at = s->wire_len = 0;
}

static void flush(struct session *s)
{
	for (size_t at = 0, n; at < s->out_len; at += n) {
		n = s->out_len - at < RECORD ? s->out_len - at : RECORD;
		if (s->tls == NULL)
			push(s, s->out + at, n);
		else if (gnutls_record_send(s->tls, s->out + at, n) != (ssize_t)n)
			leave(s, false);
	}
	s->out_len = 0;
	send_wire(s);
}

static void put(struct session *s, const char *bytes, size_t len)
{
	while (len > 0) {
		size_t n = len < OUT - s->out_len ? len : OUT - s->out_len;

		memcpy(s->out + s->out_len, bytes, n);
		s->out_len += n;
		bytes += n;
		len -= n;
		if (s->out_len == OUT)
			flush(s);
	}
}

__attribute__((format(printf, 2, 3)))
static void say(struct session *s, const char *fmt, ...)
{
	char line[256];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	put(s, line, (size_t)n);
}

/* Waits until there is something to look at.  Whether that is a flight was decided by what had come
 * before the last answer went out: a quick client may have spoken again by now. */
static void await(struct session *s)
{
	struct pollfd ready = {.fd = s->fd, .events = POLLIN};
	int span = IDLE;

	send_wire(s); /* a handshake's */
	if (s->eof)
		leave(s, false);
	if (s->first < s->last) {
		uint64_t now = now_ms(), due = s->pieces[s->first % PIECES].due;

		span = due > now ? (int)(due - now) : 0;
	} else if (s->answered) {
		s->flights++;
		s->answered = false;
	}
	if (s->raw_end < RAW && poll(&ready, 1, span) > 0)
		take_in(s);
	else if (s->raw_end == RAW)
		poll(NULL, 0, span);
	else if (s->first == s->last)
		leave(s, false);
}

static void shake_hands(struct session *s)
{
	int rc;

	if (gnutls_init(&s->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_priority_set(s->tls, priorities) < 0 ||
	    gnutls_credentials_set(s->tls, GNUTLS_CRD_CERTIFICATE, credentials) < 0)
		leave(s, false);
	gnutls_transport_set_ptr(s->tls, s);
	gnutls_transport_set_pull_function(s->tls, pull);
	gnutls_transport_set_push_function(s->tls, push);
	while ((rc = gnutls_handshake(s->tls)) != 0) {
		if (gnutls_error_is_fatal(rc))
			leave(s, false);
		await(s);
	}
}

/* More of the commands in clear; waits where there is none. */
static void read_more(struct session *s)
{
	memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
	s->in_end -= s->in_at;
	s->in_at = 0;
	for (;;) {
		size_t room = sizeof s->in - s->in_end;
		ssize_t n = s->tls == NULL ? (ssize_t)due_bytes(s, s->in + s->in_end, room)
		                           : gnutls_record_recv(s->tls, s->in + s->in_end, room);

		if (n > 0) {
			s->in_end += (size_t)n;
			return;
		}
		if (s->tls != NULL && n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED)
			leave(s, false);
		if (s->first == s->last && s->raw_end < RAW)
			take_in(s);
		if (delay == 0 && s->first < s->last)
			continue;
		flush(s);
		await(s);
	}
}

/* The next command without its line end, NUL terminated. */
static char *next_command(struct session *s)
{
	char *line, *end;

	while ((end = memchr(s->in + s->in_at, '\n', s->in_end - s->in_at)) == NULL) {
		if (s->in_end - s->in_at >= COMMAND)
			leave(s, false);
		read_more(s);
	}
	line = s->in + s->in_at;
	s->in_at = (size_t)(end + 1 - s->in);
	if (end > line && end[-1] == '\r')
		end--;
	*end = '\0';
	return line;
}

static uint64_t read_number(const char **p)
{
	uint64_t n = 0;

	while (**p == ' ')
		++*p;
	for (; **p >= '0' && **p <= '9'; ++*p)
		n = n * 10 + (uint64_t)(**p - '0');
	return n;
}

/* RETR or TOP: so many lines of the body. */
static void put_message(struct session *s, uint64_t num, uint64_t most)
{
	uint64_t left = most < lines ? most : lines;

	if (num == 0 || num > count) {
		say(s, "-ERR no such message\r\n");
		return;
	}
	for (int i = 7; i >= 0; i--, num /= 10)
		number[i] = (char)('0' + num % 10);
	say(s, "+OK\r\n");
	put(s, head, HEAD);
	for (uint64_t n; left > 0; left -= n) {
		n = left < LINES ? left : LINES;
		put(s, text, (size_t)n * LINE);
	}
	say(s, ".\r\n");
}

static void say_capa(struct session *s)
{
	say(s, "+OK\r\nTOP\r\nUIDL\r\nUSER\r\nSASL PLAIN\r\nRESP-CODES\r\n%s.\r\n",
	    no_pipelining ? "" : "PIPELINING\r\n");
}

static void answer_list(struct session *s, const char *rest, bool uids)
{
	uint64_t num = read_number(&rest);

	if (num == 0)
		put(s, uids ? uidl : list, uids ? uidl_len : list_len);
	else if (num > count)
		say(s, "-ERR no such message\r\n");
	else if (uids)
		say(s, "+OK %llu load%010llu\r\n", (unsigned long long)num, (unsigned long long)num);
	else
		say(s, "+OK %llu %llu\r\n", (unsigned long long)num, (unsigned long long)octets());
}

static bool is(const char *line, const char *verb)
{
	size_t n = strlen(verb);

	return strncasecmp(line, verb, n) == 0 && (line[n] == '\0' || line[n] == ' ');
}

static void answer(struct session *s, const char *line)
{
	const char *rest = line + strcspn(line, " ");
	uint64_t num;

	s->answered = true;
	if (is(line, "RETR")) {
		s->retrs++;
		put_message(s, read_number(&rest), UINT64_MAX);
	} else if (is(line, "TOP")) {
		num = read_number(&rest);
		put_message(s, num, read_number(&rest));
	} else if (is(line, "DELE")) {
		s->deles++;
		say(s, "+OK\r\n");
	} else if (is(line, "CAPA")) {
		say_capa(s);
	} else if (is(line, "STAT")) {
		say(s, "+OK %u %llu\r\n", count, (unsigned long long)(count * octets()));
	} else if (is(line, "UIDL") || is(line, "LIST")) {
		answer_list(s, rest, is(line, "UIDL"));
	} else if (is(line, "AUTH") && *rest == '\0') {
		say(s, "+OK\r\nPLAIN\r\n.\r\n");
	} else if (is(line, "AUTH") && strchr(rest + 1, ' ') == NULL) {
		say(s, "+ \r\n");
		flush(s);
		next_command(s);
		say(s, "+OK\r\n");
	} else if (is(line, "AUTH") || is(line, "USER") || is(line, "PASS") || is(line, "NOOP") ||
	           is(line, "RSET")) {
		say(s, "+OK\r\n");
	} else if (is(line, "QUIT")) {
		say(s, "+OK\r\n");
		flush(s);
		leave(s, true);
	} else {
		say(s, "-ERR what?\r\n");
	}
	if (no_pipelining && s->in_at < s->in_end)
		leave(s, false);
}

static _Noreturn void serve(int fd)
{
	struct session *s = calloc(1, sizeof *s);
	int one = 1;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (s == NULL)
		_exit(1);
	s->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (credentials != NULL)
		shake_hands(s);
	else
		poll(NULL, 0, (int)delay);
	s->greeted = s->answered = true;
	say(s, "+OK load\r\n");
	for (;;)
		answer(s, next_command(s));
}

/* -- the door ----------------------------------------------------------------------------- */

static void load_certificate(const char *dir)
{
	char cert[4096], key[4096];

	snprintf(cert, sizeof cert, "%s/server.pem", dir);
	snprintf(key, sizeof key, "%s/server.key", dir);
	if (gnutls_certificate_allocate_credentials(&credentials) < 0 ||
	    gnutls_certificate_set_x509_key_file(credentials, cert, key, GNUTLS_X509_FMT_PEM) < 0 ||
	    gnutls_priority_init(&priorities, "NORMAL:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
	                         "%SERVER_PRECEDENCE", NULL) < 0) {
		fprintf(stderr, "load: the certificate in %s cannot be used\n", dir);
		exit(1);
	}
}

static int listen_on_loopback(const char *path)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *file;

	if (all_loopback)
		at.sin_addr.s_addr = htonl(INADDR_ANY);

	if (fd == -1 || bind(fd, (struct sockaddr *)&at, len) == -1 || listen(fd, 256) == -1 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) == -1)
		die("socket");
	file = fopen(path, "w");
	if (file == NULL || fprintf(file, "%u\n", ntohs(at.sin_port)) < 0 || fclose(file) != 0)
		die(path);
	return fd;
}

/* The next client; never one from outside. */
static int take_client(int door)
{
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	int fd;

	while ((fd = accept4(door, (struct sockaddr *)&from, &len, SOCK_CLOEXEC)) != -1 ||
	       errno == EINTR) {
		if (fd != -1 && ntohl(from.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
			return fd;
		if (fd != -1)
			close(fd);
		len = sizeof from;
	}
	die("accept");
	return -1;
}

int main(int argc, char **argv)
{
	const char *port_path = NULL, *certs = NULL;
	uint64_t size = 3000;
	int opt, door, fd;

	while ((opt = getopt(argc, argv, "n:s:d:c:Pap:t:")) != -1) {
		const char *arg = optarg;

		switch (opt) {
		case 'n': count = (uint32_t)read_number(&arg); break;
		case 's': size = read_number(&arg); break;
		case 'd': delay = (unsigned)read_number(&arg); break;
		case 'c': certs = arg; break;
		case 'P': no_pipelining = true; break;
		case 'a': all_loopback = true; break;
		case 'p': port_path = arg; break;
		case 't': tally_path = arg; break;
		default: return 2;
		}
	}
	if (port_path == NULL || tally_path == NULL) {
		fprintf(stderr, "usage: load [-n MESSAGES] [-s BYTES] [-d MS] [-c DIR] [-P] [-a] "
		                "-p PORTFILE -t TALLY\n");
		return 2;
	}
	make_mailbox(size);
	if (certs != NULL)
		load_certificate(certs);
	signal(SIGCHLD, SIG_IGN);
	door = listen_on_loopback(port_path);
	for (;;) {
		fd = take_client(door);
		if (fork() == 0)
			serve(fd);
		close(fd);
	}
}

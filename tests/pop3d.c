/* SPDX-License-Identifier: MIT */
/*
 * pop3d.c - the POP3 server of the test suite: a correct small mailbox, and a liar by script.
 *
 * pop3d [-p PORTFILE] [-t TRANSCRIPT] [-c CERTDIR] [-n CONNECTIONS] SCRIPT
 * pop3d -x DIRECTORY SCRIPT
 *
 * Listens on 127.0.0.1, a port of the kernel's choice, and serves connections one after another.
 * SCRIPT "-" is standard input.  It ends after CONNECTIONS of them, on SIGTERM or SIGINT, or
 * after an hour without any.  Exit status: 0, 1 the system refused something, 2 usage or script.
 *
 * -p  the port number goes into this file, at once and whole, when clients may come (else: stdout)
 * -t  every line received is appended here as it came, less its CRLF, passwords included, before
 *     its answer leaves; and "-- connect", "-- tls", "-- tls failed", "-- plaintext after STLS",
 *     "-- sent N" (octets of POP3, without TLS), "-- close (flights N)".  These two stand there
 *     before the client can know the end (and in front of lines that came too late), unless it
 *     is the client who leaves.  A flight is what the client sends without waiting: N is how often
 *     all that had come was answered, the greeting too, before the next command came; a
 *     lock-step session of n commands has n flights.  A client that takes up answers one by one
 *     while it sends makes more of them than round trips; "delay" makes both the same.
 *     The lines of parallel connections mix.
 * -c  where cert NAME finds NAME.pem and NAME.key (default: .); make-certs.sh makes them
 * -x  serve nothing; write each message into DIRECTORY/1, 2, ... as a client should store it: LF
 *
 * Input is read whenever there is some, whatever is being written: no client can deadlock it.
 * When it hangs up it lets the client close first, for a second at most.
 *
 * The script is read line by line; "#" and empty lines are passed over.  TEXT is the rest of its
 * line and knows \r \n \t \0 \\ \xNN, as UID, NAME and PASSWORD do; FILE is a path.  Without a
 * script line all is correct: USER, PASS, AUTH, CAPA, STLS, STAT, LIST, UIDL, RETR, TOP, DELE,
 * RSET, NOOP, QUIT, pipelining; APOP with the timestamp of the greeting.  What QUIT deletes is
 * gone for later connections.  AUTH knows PLAIN, LOGIN and those of sasld.h, whatever CAPA says;
 * a token is right if it is the password.
 *
 *   tls implicit|stls|off    default off; and: cert NAME (default server), tls-priority STRING
 *   user NAME PASSWORD       default joe secret; the password is the rest of the line
 *   greeting TEXT            what stands behind +OK
 *   capa LINE                one line of the list, instead of the default list; repeatable.
 *                            capa-tls, capa-login: other lists after TLS, after the login
 *   no-capa                  CAPA is an unknown command
 *   message UID FILE         a message; LF becomes CRLF.  UIDs may occur twice
 *   message UID raw FILE     its bytes are sent as they are
 *   message UID text TEXT    likewise
 *   message UID inline       the lines that follow up to "."; ".." at a line's start means "."
 *   message UID size N       generated: header and lines of 72 characters, N octets in all (or as
 *                            many as the header has); some lines begin with "." or "From "
 *   messages COUNT SIZE [P]  COUNT of these with the UIDs u1 u2 ... (P instead of u).  A generated
 *                            text depends on its place in the script and its size alone, and
 *                            costs no memory: beyond 4 GiB, or a million of them, is fine
 *   list-octets NUM TEXT     LIST lies about message NUM of the script (stands after it)
 *   stat TEXT                STAT lies: +OK TEXT
 *   next-password PASSWORD   from the second connection on
 *   scram-rounds N           default 4096; and: sasl-fault WORD (see sasld.h)
 *   persist FILE             a byte for each message: "." or, deleted, "D".  Outlives the server
 *   window N                 as Gmail: a session shows N messages, and what was RETRed before QUIT
 *                            is in no later one
 *   delay MS                 a round trip: no answer leaves before MS after its command came;
 *                            pipelined commands wait together
 *   no-stuffing  lf-only     no doubled dots; LF instead of CRLF in all that is sent
 *   broken-pipelining W      close|drop: with more commands behind one: hang up, or lose them
 *   parallel                 a process for each connection
 *   ipv6                     listen on ::1 too, same port
 *   cut-after N [HOW] [conn C]  end a connection when N octets of POP3 were sent in all, HOW:
 *                            fin (default; = tls) close_notify and FIN, notls no close_notify, rst
 *   on COMMAND [ARG] [nth K] [conn C] ACTION
 *                            COMMAND: GREETING TLS (the handshake) ANY CAPA STLS USER PASS AUTH
 *                            RESPONSE (a line answering a SASL challenge) APOP UTF8 STAT UIDL LIST
 *                            TOP RETR DELE NOOP RSET QUIT.  ANY is every line from the client.
 *                            ARG: its first argument, "-": it has none.  nth K: the K-th such
 *                            command of its connection.  conn C: the C-th connection.  Of
 *                            several rules the first that fits acts; all of them count
 *
 * Actions that take the command's place:            and those that change its normal answer:
 *   reply TEXT    TEXT and CRLF                       say TEXT       TEXT and CRLF instead of it
 *   raw TEXT      TEXT; so file FILE                  inject TEXT    TEXT behind, same segment
 *   accept        PASS, AUTH, RESPONSE: log in        slow MS        later
 *   stall         silence until the client leaves     drip MS        one octet every MS
 *   ignore        silence, go on                      split N        N octets at a time
 *   close         close_notify, FIN                   cut N          N octets, close_notify, FIN
 *   close-noapply the same                            cut-notls N    N octets, FIN
 *   reset         RST                                 cut-reset N    N octets, RST
 *   apply-close   QUIT: delete, then close
 *
 * The first kind leaves the command undone (reply +OK to DELE deletes nothing); with the second
 * it has its effect, whatever the client sees (cut 0 of QUIT deletes).  The answers to earlier
 * commands always go out whole.  "slow" holds up what comes after, too; "split" and "drip" send
 * each piece on its own (in TLS: as a record).
 * For TLS the octets are those of the handshake, and text goes out in the clear, then silence.
 * A reply to AUTH or RESPONSE that begins with "+ " makes the client's next line a RESPONSE.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pop3d.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IDLE = 3600 }; /* seconds without a connection */

struct pop3d srv = {.cert_dir = ".", .cert = "server", .priority = "NORMAL", .user = "joe",
	.password = "secret", .greeting = "pop3d ready", .sasl_fault = "", .rounds = 4096,
	.pipelining = PIPELINING_WORKS, .cut_after = NO_LIMIT, .log_fd = -1, .life = {-1, -1}};

volatile sig_atomic_t stop;

static int listeners[2] = {-1, -1}; /* IPv4, IPv6 */

static void close_listeners(void)
{
	for (int i = 0; i < 2; i++) {
		if (listeners[i] >= 0)
			close(listeners[i]);
		listeners[i] = -1;
	}
}

PRINTF(2, 3) _Noreturn void die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pop3d: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	exit(status);
}

void *need(void *p)
{
	if (!p)
		die(1, "out of memory");
	return p;
}

/* -x: as they should lie in a Maildir. */
static void extract(const char *dir)
{
	char path[4096];

	srv.lf_only = srv.no_stuffing = true;
	for (size_t i = 0; i < srv.n_messages; i++) {
		struct conn c = {.left = NO_LIMIT, .cut_left = NO_LIMIT};

		snprintf(path, sizeof path, "%s/%zu", dir, i + 1);
		c.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		net_put_message(&c, &srv.messages[i], srv.messages[i].octets);
		net_flush(&c);
		net_drain(&c, 0);
		if (c.end != END_NONE || close(c.fd) != 0)
			die(1, "%s: %s", path, strerror(errno));
		free(c.out.p);
		free(c.tx.p);
	}
}

static void load_certificate(void)
{
	char cert[4096], key[4096];
	int r;

	snprintf(cert, sizeof cert, "%s/%s.pem", srv.cert_dir, srv.cert);
	snprintf(key, sizeof key, "%s/%s.key", srv.cert_dir, srv.cert);
	if (gnutls_certificate_allocate_credentials(&srv.credentials) != 0)
		die(1, "out of memory");
	r = gnutls_certificate_set_x509_key_file(srv.credentials, cert, key, GNUTLS_X509_FMT_PEM);
	if (r < 0)
		die(2, "%s: %s", cert, gnutls_strerror(r));
	if ((r = gnutls_priority_init(&srv.priorities, srv.priority, NULL)) < 0)
		die(2, "tls-priority %s: %s", srv.priority, gnutls_strerror(r));
}

static int listen_on(struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 && address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (fd < 0 || bind(fd, address, len) != 0 || listen(fd, 128) != 0 ||
	    getsockname(fd, address, &len) != 0)
		die(1, "cannot listen: %s", strerror(errno));
	return fd;
}

static void tell_port(const char *path, unsigned port)
{
	char temp[4096];
	FILE *f;

	if (!path) {
		printf("%u\n", port);
		fflush(stdout);
		return;
	}
	snprintf(temp, sizeof temp, "%s.new", path);
	if (!(f = fopen(temp, "w")) || fprintf(f, "%u\n", port) < 0 || fclose(f) != 0 ||
	    rename(temp, path) != 0)
		die(1, "%s: %s", path, strerror(errno));
}

/* A client whose session ends with us, and who comes back at once, shall find nobody. */
static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
	close_listeners();
}

/* SIGTERM and SIGINT are let in by ppoll alone. */
static void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &srv.old_mask);
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The next client; -1 when there will be none. */
static int accept_next(void)
{
	struct pollfd p[2] = {{listeners[0], POLLIN, 0}, {listeners[1], POLLIN, 0}};
	int fd = -1;

	while (fd < 0) {
		if (ppoll(p, 2, &(struct timespec){IDLE, 0}, &srv.old_mask) == 0 || stop)
			return -1;
		for (int i = 0; i < 2 && fd < 0; i++)
			fd = accept4(listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	return fd;
}

/* Gives a connection a process of its own. */
static void serve_aside(int fd, uint64_t number)
{
	pid_t pid = fork();

	if (pid < 0)
		die(1, "fork: %s", strerror(errno));
	if (pid == 0) {
		close_listeners();
		close(srv.life[1]);
		session_serve(fd, number);
		exit(0);
	}
	close(fd);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void run(uint64_t limit)
{
	pid_t pid;

	if (srv.parallel && pipe2(srv.life, O_CLOEXEC) != 0)
		die(1, "pipe: %s", strerror(errno));
	for (uint64_t number = 1; !stop && (limit == 0 || number <= limit); number++) {
		int fd = accept_next();

		if (fd < 0)
			break;
		if (srv.parallel)
			serve_aside(fd, number);
		else
			session_serve(fd, number);
	}
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid == 0)
			net_wait_fd(-1, 0, now_us() + SECOND / 100);
		if (stop && srv.life[1] >= 0) {
			close(srv.life[1]); /* ends them */
			srv.life[1] = -1;
		}
	}
}

/* Listens on 127.0.0.1 and, if wanted, on the same port of ::1. */
static unsigned listen_all(void)
{
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listeners[0] = listen_on((struct sockaddr *)&four, sizeof four);
	six.sin6_port = four.sin_port;
	if (srv.ipv6)
		listeners[1] = listen_on((struct sockaddr *)&six, sizeof six);
	return ntohs(four.sin_port);
}

int main(int argc, char **argv)
{
	const char *port_file = NULL, *extract_to = NULL;
	uint64_t limit = 0;
	int option;

	while ((option = getopt(argc, argv, "p:t:c:n:x:")) != -1) {
		switch (option) {
		case 'p': port_file = optarg; break;
		case 't': srv.transcript = optarg; break;
		case 'c': srv.cert_dir = optarg; break;
		case 'x': extract_to = optarg; break;
		default:
			if (option != 'n' || !parse_number(optarg, &limit))
				die(2, "usage: pop3d [-p FILE] [-t FILE] [-c DIR] [-n N] "
				    "[-x DIR] SCRIPT");
		}
	}
	if (argc != optind + 1)
		die(2, "one script, please");
	script_read(argv[optind]);
	if (extract_to) {
		extract(extract_to);
		return 0;
	}
	if (srv.transcript)
		srv.log_fd = open(srv.transcript, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (srv.transcript && srv.log_fd < 0)
		die(1, "%s: %s", srv.transcript, strerror(errno));
	mailbox_map();
	if (srv.tls != TLS_OFF)
		load_certificate();
	catch_signals();
	tell_port(port_file, listen_all());
	run(limit);
	return 0;
}

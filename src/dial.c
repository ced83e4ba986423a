/* SPDX-License-Identifier: MIT */
/*
 * dial.c - look-up, Happy Eyeballs, and the way through a proxy.
 *
 * RFC 8305 in short: the addresses stand in the system's order (RFC 6724) but IPv6 and IPv4 by
 * turns; a new attempt begins 250 ms after the last one, or at once where that has failed; the
 * first to connect wins and the others are closed.  So an address that swallows everything
 * costs a quarter of a second, and not a time limit.
 *
 * Everything that waits goes through dial_wait, so that stop_requested is kept in one place.  A
 * worker blocks SIGTERM, SIGINT and SIGHUP; only ppoll lets them in.  So there is no instant
 * at which a signal could come too early to end the wait.
 *
 * getaddrinfo has no deadline of its own; the supervisor kills workers that are late.
 *
 * On failure no socket stays open.  Called by conn.c.
 */
#include "config.h"

#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proxy.h"

#define MAX_ADDRESSES 16 /* of one host that are tried */
#define STAGGER 250      /* ms; RFC 8305 section 8 */
#define RECEIVE_ROOM (4 << 20) /* bytes; less where tcp_rmem allows less */

static const char connecting[] = "connecting";

/* -- waiting ------------------------------------------------------------------------------ */

int dial_wait(struct pollfd *polls, size_t count, uint64_t until, const char *doing,
              struct error *err)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGTERM);
	sigdelset(&mask, SIGINT);
	sigdelset(&mask, SIGHUP);
	while (!stop_requested) {
		uint64_t now = clock_ms();
		uint64_t left = until > now ? until - now : 0;
		struct timespec span = {(time_t)(left / 1000), (long)(left % 1000) * 1000000};
		int n = left > 0 ? ppoll(polls, count, &span, &mask) : 0;

		if (n > 0 && !stop_requested)
			return 1;
		if (n == -1 && errno != EINTR)
			return error_sys(err, ERR_TEMP, "waiting, while %s", doing);
		if (left == 0 && !stop_requested)
			return 0;
	}
	return error_set(err, ERR_STOP, "stopped by a signal while %s", doing);
}

/* -- look-up ------------------------------------------------------------------------------ */

/* Where to, as the user calls it, and what is allowed. */
struct place {
	const char *host, *name; /* in messages, and for DNS */
	uint64_t port;
	int family;              /* AF_ */
	const char *source;      /* NULL: any address of ours */
	uint64_t until;
};

/* A source address allows its own family only. */
static int family_of(const struct server *server)
{
	if (server->source_address)
		return strchr(server->source_address, ':') ? AF_INET6 : AF_INET;
	return server->family == FAMILY_4   ? AF_INET
	       : server->family == FAMILY_6 ? AF_INET6
	                                    : AF_UNSPEC;
}

static int no_address(const struct place *to, int rc, struct error *err)
{
	const char *lack = to->family == AF_INET    ? ", or has no IPv4 address"
	                   : to->family == AF_INET6 ? ", or has no IPv6 address"
	                                            : "";

	if (rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_ADDRFAMILY) {
		error_set(err, ERR_NOHOST, "host %s is unknown%s", to->host, lack);
		err->outage = true; /* so says many a network that is not up yet, or a hotel's */
		return -1;
	}
	if (rc == EAI_SYSTEM)
		return error_sys(err, ERR_TEMP, "looking up %s", to->host);
	return error_set(err, ERR_TEMP, "looking up %s: %s", to->host, gai_strerror(rc));
}

/* AI_ADDRCONFIG spares useless attempts over IPv6; but it may hide literals and loopback names
 * on a machine without network, so a failure is checked without it. */
static int look_up(const struct place *to, struct addrinfo **list, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = to->family,
	                         .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
	char port[24];
	int rc;

	snprintf(port, sizeof(port), "%llu", (unsigned long long)to->port);
	rc = getaddrinfo(to->name, port, &hints, list);
	if (rc != 0 && rc != EAI_AGAIN) {
		hints.ai_flags &= ~AI_ADDRCONFIG;
		rc = getaddrinfo(to->name, port, &hints, list);
	}
	return rc == 0 ? 0 : no_address(to, rc, err);
}

static const struct addrinfo *next_of(const struct addrinfo *ai, int family, bool same)
{
	while (ai && (ai->ai_family == family) != same)
		ai = ai->ai_next;
	return ai;
}

/* Puts the addresses in the order of their trial.  Returns their number. */
static size_t take_turns(const struct addrinfo *list, const struct addrinfo **order)
{
	const struct addrinfo *own = list, *other = next_of(list, list->ai_family, false);
	size_t n = 0;

	while ((own || other) && n < MAX_ADDRESSES) {
		const struct addrinfo **from = (n % 2 == 0 && own) || !other ? &own : &other;

		order[n++] = *from;
		*from = next_of((*from)->ai_next, list->ai_family, from == &own);
	}
	return n;
}

/* -- Happy Eyeballs ----------------------------------------------------------------------- */

/* The attempts at one host; those from `begun` on have not begun. */
struct race {
	const struct place *to;
	const struct addrinfo *order[MAX_ADDRESSES];
	struct pollfd polls[MAX_ADDRESSES]; /* fd -1: failed */
	size_t count, begun, running;
	uint64_t next;                      /* when the next one begins, clock_ms */
	struct str tried;
	bool refused;                       /* by all so far */
};

static void address_text(const struct addrinfo *ai, char peer[DIAL_PEER])
{
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, peer, DIAL_PEER, NULL, 0, NI_NUMERICHOST) != 0)
		text_copy(peer, DIAL_PEER, "unknown address");
}

static void note_failure(struct race *race, size_t i, int sys)
{
	char peer[DIAL_PEER];

	address_text(race->order[i], peer);
	race->refused = race->refused && sys == ECONNREFUSED;
	str_printf(&race->tried, "%s%s: %s", race->tried.len ? ", " : "", peer, strerror(sys));
	if (race->polls[i].fd != -1) {
		close(race->polls[i].fd);
		race->running--;
	}
	race->polls[i].fd = -1;
	race->next = 0; /* do not wait for the next one's turn */
}

/* 0, or the errno. */
static int bind_source(int fd, const char *source, int family)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_family = family,
	                         .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int sys = EADDRNOTAVAIL;

	if (getaddrinfo(source, NULL, &hints, &list) == 0)
		sys = bind(fd, list->ai_addr, list->ai_addrlen) == 0 ? 0 : errno;
	if (list)
		freeaddrinfo(list);
	return sys;
}

/* Begins the next attempt. */
static void begin_one(struct race *race, uint64_t now)
{
	size_t i = race->begun++;
	const struct addrinfo *ai = race->order[i];
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	int sys = fd == -1 ? errno : 0;

	race->polls[i] = (struct pollfd){.fd = fd, .events = POLLOUT};
	race->running += fd != -1;
	race->next = now + STAGGER;
	if (sys == 0 && race->to->source)
		sys = bind_source(fd, race->to->source, ai->ai_family);
	if (sys == 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == -1 && errno != EINPROGRESS &&
	    errno != EINTR)
		sys = errno;
	if (sys != 0)
		note_failure(race, i, sys);
}

static int socket_error(int fd)
{
	int sys = 0;
	socklen_t len = sizeof(sys);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) == -1 ? errno : sys;
}

/* The first attempt that has connected, or -1; those that have failed are noted. */
static int find_winner(struct race *race)
{
	for (size_t i = 0; i < race->begun; i++) {
		int sys;

		if (race->polls[i].fd == -1 || race->polls[i].revents == 0)
			continue;
		sys = socket_error(race->polls[i].fd);
		if (sys == 0)
			return (int)i;
		note_failure(race, i, sys);
	}
	return -1;
}

/* Runs to the first success: its index, or -1 with *err.  All that still runs stays open. */
static int run(struct race *race, struct error *err)
{
	const struct place *to = race->to;
	int winner = -1;

	while (winner == -1) {
		uint64_t now = clock_ms(), until = to->until;
		int rc;

		while (race->begun < race->count && (race->running == 0 || now >= race->next) &&
		       now < to->until)
			begin_one(race, now);
		if (race->begun < race->count && race->next < until)
			until = race->next;
		if (race->running == 0)
			break;
		rc = dial_wait(race->polls, race->begun, until, connecting, err);
		if (rc == -1)
			return -1;
		if (rc == 1)
			winner = find_winner(race);
		else if (until == to->until)
			break;
	}
	for (size_t i = 0; winner == -1 && i < race->begun; i++)
		if (race->polls[i].fd != -1)
			note_failure(race, i, ETIMEDOUT);
	if (winner == -1) {
		error_set(err, race->refused && race->tried.len ? ERR_UNAVAILABLE : ERR_TEMP,
		          "cannot connect to %s port %llu%s%s (%s)", to->host,
		          (unsigned long long)to->port, to->source ? " from " : "",
		          to->source ? to->source : "", race->tried.len ? race->tried.s : "no time left");
		err->outage = true;
	}
	return winner;
}

/* Where any of this fails it costs time, not correctness.  The buffer: with room for what comes
 * faster than it is written the kernel need not tell the server of each piece that was taken.
 * SO_RCVBUF would cut it to rmem_max and end the kernel's own fitting (tcp(7)); for SO_RCVLOWAT it
 * makes room for so much, and goes on from there. */
static void tune(int fd)
{
	int room = RECEIVE_ROOM, one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
}

/* A connected socket, or -1. */
static int reach(const struct place *to, char peer[DIAL_PEER], struct error *err)
{
	struct race race = {.to = to, .tried = {.max = 320}, .refused = true};
	struct addrinfo *list = NULL;
	int winner = -1, fd = -1;

	if (look_up(to, &list, err) == 0) {
		race.count = take_turns(list, race.order);
		winner = run(&race, err);
	}
	for (size_t i = 0; i < race.begun; i++)
		if ((int)i == winner)
			fd = race.polls[i].fd;
		else if (race.polls[i].fd != -1)
			close(race.polls[i].fd);
	if (fd != -1) {
		address_text(race.order[winner], peer);
		tune(fd);
	}
	if (list)
		freeaddrinfo(list);
	str_free(&race.tried);
	return fd;
}

/* -- through a proxy ---------------------------------------------------------------------- */

/* Moves len bytes, out or in.  The proxy's answers are tiny: no buffer is worth its trouble. */
static int move(int fd, bool out, unsigned char *bytes, size_t len, uint64_t until,
                struct error *err)
{
	for (size_t at = 0; at < len;) {
		struct pollfd pfd = {.fd = fd, .events = out ? POLLOUT : POLLIN};
		ssize_t n = out ? send(fd, bytes + at, len - at, MSG_NOSIGNAL)
		                : recv(fd, bytes + at, len - at, 0);
		int rc;

		if (n > 0) {
			at += (size_t)n;
			continue;
		}
		if (n == 0)
			return error_set(err, ERR_TEMP, "it closed the connection");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return error_sys(err, ERR_TEMP, "speaking to it");
		rc = dial_wait(&pfd, 1, until, "waiting for the proxy", err);
		if (rc != 1)
			return rc == 0 ? error_set(err, ERR_TEMP, "no answer in time") : -1;
	}
	return 0;
}

/* The conversation of proxy.c, on the wire. */
static int talk_to(int fd, const struct proxy *proxy, const struct place *to, struct error *err)
{
	unsigned char in[PROXY_MAX_IN];
	struct proxy_talk talk = {0};
	struct str out = {.max = 1024};
	int rc;

	while ((rc = proxy_next(&talk, proxy, to->name, to->port, in, &out, err)) == 1) {
		rc = move(fd, true, (unsigned char *)out.s, out.len, to->until, err);
		if (out.len > 0)
			explicit_bzero(out.s, out.len);
		str_cut(&out, 0);
		if (rc == 0)
			rc = move(fd, false, in, talk.need, to->until, err);
		if (rc == -1)
			break;
	}
	str_wipe(&out);
	return rc;
}

/* Dials the proxy and asks it for the server.  Its address must not be taken for the server's:
 * what may be said to a server on this machine may not be said to one behind a proxy on it. */
static int reach_through(const struct server *server, const struct place *to,
                         char peer[DIAL_PEER], struct error *err)
{
	struct proxy proxy;
	struct place first = *to;
	int fd = -1;

	if (proxy_parse(&proxy, server->proxy, err) == 0) {
		first.host = first.name = proxy.host;
		first.port = proxy.port;
		fd = reach(&first, peer, err);
	}
	if (fd != -1 && talk_to(fd, &proxy, to, err) == -1) {
		close(fd);
		fd = -1;
		if (err->kind != ERR_STOP)
			error_wrap(err, "the proxy %s does not connect us to %s port %llu", proxy.host,
			           to->host, (unsigned long long)to->port);
	} else if (fd == -1 && err->kind != ERR_STOP) {
		error_wrap(err, "proxy");
	}
	proxy_free(&proxy);
	text_copy(peer, DIAL_PEER, "through a proxy");
	return fd;
}

int dial_server(const struct server *server, const char *name, uint64_t until,
                char peer[DIAL_PEER], struct error *err)
{
	struct place to = {server->host, name, server->port, family_of(server),
	                    server->source_address, until};

	return server->proxy ? reach_through(server, &to, peer, err) : reach(&to, peer, err);
}

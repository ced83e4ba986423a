/* SPDX-License-Identifier: MIT */
/*
 * relay.c - the ways to a server that the tests take: a tunnel's far end, and a SOCKS5 proxy.
 *
 * relay tcp HOST PORT
 *     carries standard input to that port and back, until either side ends.
 * relay socks [-a USER PASSWORD] [-r CODE] [-l LOG] [-m NAME HOST] [-x HOW] PORTFILE
 *     a proxy on 127.0.0.1; its port goes into PORTFILE, at once and whole.  One process for each
 *     client; it ends on a signal, or after an hour.
 *
 * -a  demands this login (RFC 1929); a wrong one is refused
 * -r  answers every request with this code (RFC 1928 section 6)
 * -l  appends one line for each request: the kind of address, the address, the port, and the login
 * -m  NAME is known to this proxy alone, and means HOST
 * -x  misbehaves: mute (says nothing), close (hangs up on the request), http (speaks HTTP),
 *     drip (its answers come octet by octet), half (hangs up within an answer)
 *
 * Exit status: 0, 1 the system refused something, 2 usage.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *user, *password, *code, *log_name, *known_name, *known_host, *manner = "";

static _Noreturn void die(int status, const char *why)
{
	fprintf(stderr, "relay: %s\n", why);
	exit(status);
}

/* -- bytes -------------------------------------------------------------------------------- */

static bool put(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static void get(int fd, unsigned char *to, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, to, len);

		if (n <= 0)
			exit(0);
		to += n;
		len -= (size_t)n;
	}
}

/* What comes from one goes to the other; until either ends. */
static void carry(int in, int out, int socket)
{
	static char buf[65536];
	struct pollfd polls[] = {{.fd = in, .events = POLLIN}, {.fd = socket, .events = POLLIN}};

	while (poll(polls, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (!polls[i].revents)
				continue;
			n = read(polls[i].fd, buf, sizeof(buf));
			if (n <= 0 || !put(i == 0 ? socket : out, buf, (size_t)n))
				return;
		}
}

static int reach(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *ai;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -1;
	for (ai = list; ai && fd == -1; ai = ai->ai_next) {
		fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
		if (fd != -1 && connect(fd, ai->ai_addr, ai->ai_addrlen) == -1) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

/* -- SOCKS5 ------------------------------------------------------------------------------- */

static void answer(int fd, const void *bytes, size_t len)
{
	if (strcmp(manner, "drip") != 0) {
		put(fd, bytes, strcmp(manner, "half") == 0 && len > 2 ? 3 : len);
		if (strcmp(manner, "half") == 0 && len > 2)
			exit(0);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		put(fd, (const char *)bytes + i, 1);
		poll(NULL, 0, 5);
	}
}

static void note(const char *kind, const char *host, unsigned port, const char *login)
{
	FILE *file = log_name ? fopen(log_name, "a") : NULL;

	if (file)
		fprintf(file, "%s %s %u %s\n", kind, host, port, login);
	if (file)
		fclose(file);
}

/* Returns what the client logged in as. */
static const char *greet(int fd)
{
	static unsigned char name[256], word[256];
	unsigned char head[2], methods[255], want = user ? 2 : 0;

	get(fd, head, 2);
	get(fd, methods, head[1]);
	if (head[0] != 5 || !memchr(methods, want, head[1])) {
		answer(fd, "\x05\xff", 2);
		exit(0);
	}
	answer(fd, want ? "\x05\x02" : "\x05\x00", 2);
	if (!user)
		return "nobody";
	get(fd, head, 2);
	get(fd, name, head[1]);
	get(fd, head, 1);
	get(fd, word, head[0]);
	if (strcmp((char *)name, user) != 0 || strcmp((char *)word, password) != 0) {
		answer(fd, "\x01\x01", 2);
		exit(0);
	}
	answer(fd, "\x01\x00", 2);
	return (char *)name;
}

static void serve(int fd)
{
	unsigned char head[4], address[256] = {0}, port[2], reply[] = {5, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	char host[300], port_text[8];
	const char *login, *kind;
	int to;

	if (strcmp(manner, "mute") == 0)
		poll(NULL, 0, 600000);
	if (strcmp(manner, "http") == 0)
		put(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	login = greet(fd);
	get(fd, head, 4);
	kind = head[3] == 1 ? "ipv4" : head[3] == 4 ? "ipv6" : "name";
	if (head[3] == 3) {
		get(fd, port, 1);
		get(fd, address, port[0]);
		snprintf(host, sizeof(host), "%s", (char *)address);
	} else {
		get(fd, address, head[3] == 1 ? 4 : 16);
		inet_ntop(head[3] == 1 ? AF_INET : AF_INET6, address, host, sizeof(host));
	}
	get(fd, port, 2);
	note(kind, host, port[0] * 256u + port[1], login);
	if (strcmp(manner, "close") == 0)
		exit(0);
	if (code) {
		reply[1] = (unsigned char)(code[0] - '0');
		answer(fd, reply, sizeof(reply));
		exit(0);
	}
	snprintf(port_text, sizeof(port_text), "%u", port[0] * 256u + port[1]);
	to = reach(known_name && strcmp(host, known_name) == 0 ? known_host : host, port_text);
	reply[1] = to == -1 ? 4 : 0;
	answer(fd, reply, sizeof(reply));
	if (to != -1)
		carry(fd, fd, to);
	exit(0);
}

static int listen_on_loopback(const char *file)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char temp[4096];
	FILE *out;

	if (fd == -1 || bind(fd, (struct sockaddr *)&at, len) == -1 || listen(fd, 16) == -1 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) == -1)
		die(1, "no socket on loopback");
	snprintf(temp, sizeof(temp), "%s.new", file);
	out = fopen(temp, "w");
	if (!out || fprintf(out, "%u\n", (unsigned)ntohs(at.sin_port)) < 0 || fclose(out) == EOF ||
	    rename(temp, file) == -1)
		die(1, "cannot write the port");
	return fd;
}

static _Noreturn void be_proxy(const char *file)
{
	int fd = listen_on_loopback(file);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	signal(SIGCHLD, SIG_IGN);
	while (poll(&pfd, 1, 3600000) > 0) {
		int client = accept(fd, NULL, NULL);

		if (client != -1 && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(client);
		}
		close(client);
	}
	exit(0);
}

int main(int argc, char **argv)
{
	int c, fd;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && strcmp(argv[1], "tcp") == 0) {
		fd = reach(argv[2], argv[3]);
		if (fd == -1)
			die(1, "cannot connect");
		carry(0, 1, fd);
		return 0;
	}
	if (argc < 3 || strcmp(argv[1], "socks") != 0)
		die(2, "usage: relay tcp HOST PORT | relay socks [OPTIONS] PORTFILE");
	argv++;
	argc--;
	while ((c = getopt(argc, argv, "+a:l:m:r:x:")) != -1) {
		const char **second = c == 'a' ? &password : c == 'm' ? &known_host : NULL;

		*(c == 'a' ? &user : c == 'l' ? &log_name : c == 'm' ? &known_name
		  : c == 'r' ? &code : &manner) = optarg;
		if (second && optind < argc)
			*second = argv[optind++];
	}
	if (optind + 1 != argc)
		die(2, "it takes one PORTFILE");
	be_proxy(argv[optind]);
}

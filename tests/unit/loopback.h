/* SPDX-License-Identifier: MIT */
/*
 * loopback.h - servers for the tests of the connection: one process each, one client, on loopback.
 *
 * A test names a function that plays the server on the accepted socket; what it returns is the
 * exit status that part() gives back.  There is one connection at a time.
 */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn.h"
#include "tap.h"

static struct server server; /* what conn_dial is given */
static struct conn conn;
static struct error err;
static pid_t child;
static const char *heard_line; /* the line that was read last */
static size_t heard_len;

static inline void nap(int ms)
{
	poll(NULL, 0, ms);
}

/* A listener on a port of the kernel's choice; ends the test where there is none to be had. */
static inline int listen_on_loopback(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&at, len) == -1 || listen(fd, 1) == -1 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) == -1) {
		printf("Bail out! no socket on loopback\n");
		exit(99);
	}
	server.port = ntohs(at.sin_port);
	return fd;
}

/* Gives a socket buffers so small that a deadlock has no room to hide. */
static inline void small_buffers(int fd)
{
	int size = 65536;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Sends all, or ends the server: the client has had enough. */
static inline void say(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n <= 0)
			_exit(0);
		bytes += n;
		len -= (size_t)n;
	}
}

/* Reads to the end, or as long as SO_RCVTIMEO allows; the number of bytes. */
static inline size_t hear_all(int fd)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += (size_t)n;
	return sum;
}

/* Forks a server that plays once, and dials it. */
static inline int meet(int (*play)(int fd))
{
	int fd = listen_on_loopback(), rc;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		_exit(play(accept(fd, NULL, NULL)));
	}
	close(fd);
	conn = (struct conn){0};
	err = (struct error){0};
	rc = conn_dial(&conn, &server, &err);
	if (rc == -1) {
		printf("# %s\n", err.text);
		kill(child, SIGKILL);
	}
	return rc;
}

/* Meets, and expects an answer. */
static inline void begin(int (*play)(int fd))
{
	if (meet(play) == 0)
		conn_expect(&conn, "testing");
}

/* Checks that the error says this. */
static inline void says(const char *words)
{
	if (!OK(strstr(err.text, words), words))
		printf("# it says: %s\n", err.text);
}

/* Hangs up; the server's exit status, or -1. */
static inline int part(void)
{
	int status = -1;

	conn_close(&conn);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The next line has this length. */
static inline bool reads(size_t want)
{
	return conn_line(&conn, &heard_line, &heard_len, &err) == 0 && heard_len == want;
}

/* There is no next line, and that is an error of this kind. */
static inline bool fails(enum error_kind kind)
{
	return conn_line(&conn, &heard_line, &heard_len, &err) == -1 && err.kind == kind;
}

/* For sigaction: what main has. */
static inline void on_signal(int sig)
{
	stop_requested = sig;
}

#endif

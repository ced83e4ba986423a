/* SPDX-License-Identifier: MIT */
/*
 * tunnel.c - the connection by way of a command of the user.
 *
 * The command has one end of a socket pair as its standard input and output.  It is started
 * before a byte of the server's is read, from the configuration alone: nothing is put into its
 * words, the server's name stands in the environment.  What ssh has to say on standard error is
 * seen on the terminal, or is a part of the error.
 *
 * It ends with the session.  Even where this process is killed, its end of the pair goes with it,
 * and a tunnel reads the end of its input.
 *
 * On failure nothing runs.  Called by conn.c.
 */
#include "config.h"

#include "tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"

#define LOOK_MS 10   /* between two looks at a command */
#define SOON_MS 300  /* from the end of its output to its own */
#define LEAVE_MS 500 /* from the end of its input to SIGTERM */
#define FIRM_MS 1000 /* from there to SIGKILL, and to giving up */

struct tunnel {
	struct child child;
	bool over;
	int status; /* of waitpid, once it is over */
};

/* Nobody but the command wants these. */
static int set_environment(const struct server *server, struct error *err)
{
	char port[24];

	snprintf(port, sizeof(port), "%llu", (unsigned long long)server->port);
	if (setenv("MAILHAUL_HOST", server->host, 1) == -1 || setenv("MAILHAUL_PORT", port, 1) == -1)
		return error_sys(err, ERR_TEMP, "the environment of the tunnel");
	return 0;
}

int tunnel_open(struct tunnel **tunnel, const struct server *server, struct error *err)
{
	char sh[] = "/bin/sh", flag[] = "-c";
	char *argv[] = {sh, flag, server->tunnel, NULL};
	struct tunnel *t;
	int ends[2], rc = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return error_sys(err, error_kind_of(errno), "cannot make a pair of sockets");
	t = xcalloc(1, sizeof(*t));
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1) /* ours alone: commands do not expect it */
		error_sys(err, ERR_BUG, "fcntl");
	else if (set_environment(server, err) == 0)
		rc = child_start(&t->child, &(struct child_spec){.argv = argv, .stdin_fd = ends[1],
		                 .stdout_fd = ends[1], .keep_stderr = isatty(STDERR_FILENO)}, err);
	close(ends[1]);
	if (rc == -1) {
		close(ends[0]);
		free(t);
		return error_wrap(err, "tunnel");
	}
	*tunnel = t;
	return ends[0];
}

/* Waits for its end, ms at most. */
static bool is_over(struct tunnel *t, uint64_t ms)
{
	uint64_t until = clock_ms() + ms;

	while (!t->over && !(t->over = child_reap(&t->child, &t->status)) && clock_ms() < until) {
		child_listen(&t->child);
		poll(NULL, 0, LOOK_MS);
	}
	return t->over;
}

int tunnel_ear(const struct tunnel *tunnel)
{
	return tunnel && !tunnel->over ? tunnel->child.ear : -1;
}

void tunnel_listen(struct tunnel *tunnel)
{
	child_listen(&tunnel->child);
}

bool tunnel_ended(struct tunnel *tunnel, char text[TUNNEL_WORDS])
{
	char how[64], words[200];

	if (!is_over(tunnel, SOON_MS))
		return false;
	child_last_words(&tunnel->child, words, sizeof(words));
	snprintf(text, TUNNEL_WORDS, "%s%s%s", child_status_text(how, sizeof(how), tunnel->status),
	         words[0] ? ": " : "", words);
	return true;
}

void tunnel_close(struct tunnel **tunnel)
{
	struct tunnel *t = *tunnel;

	if (!t)
		return;
	if (!is_over(t, stop_asked() ? 0 : LEAVE_MS)) {
		child_signal(&t->child, SIGTERM);
		if (!is_over(t, FIRM_MS)) {
			child_signal(&t->child, SIGKILL);
			is_over(t, FIRM_MS);
		}
	}
	if (!t->over && t->child.ear != -1) /* stuck in the kernel */
		close(t->child.ear);
	free(t);
	*tunnel = NULL;
}

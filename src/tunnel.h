/* SPDX-License-Identifier: MIT */
/*
 * tunnel.h - a command whose standard input and output are the connection: `ssh -W`, or whatever
 * else knows the way.
 */
#ifndef TUNNEL_H
#define TUNNEL_H

#include "account.h"
#include "base.h"

struct tunnel;

#define TUNNEL_WORDS 280 /* room for how it ended */

/* Starts server->tunnel by /bin/sh, with the server in MAILHAUL_HOST and MAILHAUL_PORT.  Its
 * standard error is ours where that is a terminal.  Returns our end, non-blocking and the caller's
 * to close, or -1 with ERR_IO. */
int tunnel_open(struct tunnel **tunnel, const struct server *server, struct error *err);

/* Where it is heard while the connection is waited for (POLLIN), and then it is.  -1: nowhere. */
int tunnel_ear(const struct tunnel *tunnel);
void tunnel_listen(struct tunnel *tunnel);

/* True where the command is over, or is so soon after its end of the connection was closed; text
 * says how it ended, and what it said last if that was not seen on a terminal. */
bool tunnel_ended(struct tunnel *tunnel, char text[TUNNEL_WORDS]);

/* Ends it, after our end was closed, and frees: it has half a second, or none where we are to stop
 * ourselves, then SIGTERM, then SIGKILL.  NULL is fine. */
void tunnel_close(struct tunnel **tunnel);

#endif

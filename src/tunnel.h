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

/* Starts server->tunnel by /bin/sh, with the server in MAILHAUL_HOST and MAILHAUL_PORT and with our
 * standard error.  Returns our end, non-blocking and the caller's to close, or -1 with ERR_IO. */
int tunnel_open(struct tunnel **tunnel, const struct server *server, struct error *err);

/* True where the command is over, or is so soon after its end of the connection was closed; text
 * says how it ended. */
bool tunnel_ended(struct tunnel *tunnel, char *text, size_t size);

/* Ends it, after our end was closed, and frees: it has half a second, or none where we are to stop
 * ourselves, then SIGTERM, then SIGKILL.  NULL is fine. */
void tunnel_close(struct tunnel **tunnel);

#endif

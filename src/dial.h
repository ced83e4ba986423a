/* SPDX-License-Identifier: MIT */
/*
 * dial.h - from a host name to a connected socket: over IPv6 and IPv4 (RFC 8305), from an address
 * of one's choice, through a SOCKS5 proxy; and the one way to wait.
 */
#ifndef DIAL_H
#define DIAL_H

#include <poll.h>

#include "account.h"
#include "base.h"

#define DIAL_PEER 64 /* room for a numeric address */

/* Waits until something happens to one of these descriptors, or until a time of clock_ms has
 * come: 1, 0 for the time, -1 when we are asked to stop (ERR_STOP, "... while DOING").  Lets in
 * the signals that a worker blocks elsewhere. */
int dial_wait(struct pollfd *polls, size_t count, uint64_t until, const char *doing,
              struct error *err);

/* Connects to the server, or to its proxy and through that, at the latest by `until`.  name: its
 * host as DNS wants it.  Returns a non-blocking socket, with in peer the numeric address of the
 * server, or words where a proxy hides it; or -1.  ERR_NOHOST: the name does not exist;
 * ERR_TEMP: look-up failed for now, timed out; ERR_UNAVAILABLE: every address refused, the
 * proxy did. */
int dial_server(const struct server *server, const char *name, uint64_t until,
                char peer[DIAL_PEER], struct error *err);

#endif

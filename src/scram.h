/* SPDX-License-Identifier: MIT */
/*
 * scram.h - SCRAM-SHA-1 and SCRAM-SHA-256 as the client speaks them (RFC 5802, RFC 7677), with
 * and without channel binding.  Messages are given and made without base64.  No I/O.
 *
 * Calling order: scram_begin, scram_first, scram_final with the server's first message,
 * scram_check with its last.  Only after that is it known who the server is.
 */
#ifndef SCRAM_H
#define SCRAM_H

#include "base.h"

#define SCRAM_MAX_HASH 32

struct scram {
	bool sha256;                /* else SHA-1 */
	char nonce[37];             /* ours */
	struct str first;           /* our first message without the GS2 header */
	struct str binding;         /* the GS2 header and the channel's bytes */
	size_t header;              /* of these, the header */
	unsigned char proof_of_server[SCRAM_MAX_HASH]; /* what its last message must hold */
	bool proven;                /* it did */
};

/* user: by the bytes.  name, bytes, len: the channel binding, or NULL and the server is told that
 * we know of none (GS2 flag "n").  scram_free in any case. */
void scram_begin(struct scram *scram, bool sha256, const char *user, const char *name,
                 const void *bytes, size_t len);

/* Adds the client's first message to `to`. */
int scram_first(const struct scram *scram, struct str *to);

/* Reads the server's first message and adds the client's final one.  ERR_PROTOCOL: it makes no
 * sense (a nonce that is not ours, an extension, a count of rounds that is too small to protect
 * the password or too large to be done). */
int scram_final(struct scram *scram, const char *password, const char *said, size_t len,
                struct str *to, struct error *err);

/* Judges the server's last message.  ERR_AUTH: it does not know the password. */
int scram_check(struct scram *scram, const char *said, size_t len, struct error *err);

/* Wipes and frees.  A zeroed one is fine. */
void scram_free(struct scram *scram);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * tls.h - TLS by GnuTLS; no GnuTLS type leaves tls.c.
 *
 * TLS 1.2 is the least.  The certificate and the host name are judged inside the handshake, so
 * no byte of ours follows a certificate that was not accepted.  The descriptor is non-blocking
 * and no call here waits: conn.c polls, under its one deadline.
 */
#ifndef TLS_H
#define TLS_H

#include "account.h"
#include "base.h"
#include "cert.h"

struct tls_trust; /* whom we trust, and who we are: loaded once, for any number of sessions */
struct tls;       /* one session */

enum tls_want { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE };

/* What tls_read and tls_write answer instead of a count. */
#define TLS_AGAIN (-2) /* poll for *want and call again */

/* LOOK accepts every certificate and only remembers what is wrong with it; our own is not shown
 * then.  It is for showing what a server offers: nothing secret may be said in such a session. */
enum tls_trust_use { TLS_JUDGE, TLS_LOOK };

/* Loads what the server's tls_ options name: pins, or tls_ca_file, or the system's store (about 16
 * ms); our own certificate; priorities.  NULL: ERR_UNAVAILABLE for an empty or missing system
 * store, ERR_CONFIG for what cannot be read or used. */
struct tls_trust *tls_trust_load(const struct server *server, enum tls_trust_use use,
                                 struct error *err);
void tls_trust_free(struct tls_trust **trust);

/* A client session on a connected non-blocking socket.  host is copied; it is checked against
 * the certificate, and sent as SNI unless it is an IP address.  trust must outlive it.  NULL:
 * ERR_UNAVAILABLE. */
struct tls *tls_open(int fd, const char *host, const struct tls_trust *trust, struct error *err);

/* One step of the handshake.  0: *want says how it stands.  -1: ERR_UNAVAILABLE for a
 * certificate that is not accepted (the text says why and what can be done) or a server that
 * does not speak TLS here. */
int tls_handshake(struct tls *tls, enum tls_want *want, struct error *err);

/* Like recv and send: bytes moved, 0 for the end that was announced by close_notify, TLS_AGAIN,
 * or -1 (an end without close_notify is ERR_TEMP "connection cut").  After TLS_AGAIN the next
 * tls_write sends the bytes of the call that met it, which must stand first again, and returns
 * their number; the buffer may have moved or grown behind them. */
long tls_read(struct tls *tls, char *buf, size_t size, enum tls_want *want, struct error *err);
long tls_write(struct tls *tls, const char *buf, size_t len, enum tls_want *want,
               struct error *err);

/* Bytes that are decrypted already: poll would not tell. */
bool tls_pending(const struct tls *tls);

/* The server's certificate, once the handshake is complete. */
const struct cert *tls_cert(const struct tls *tls);

/* What was wrong with it: ERR_NONE but for TLS_LOOK. */
const struct error *tls_fault(const struct tls *tls);

/* What ties a login to this very session (RFC 5056): "tls-exporter" and 32 bytes for TLS 1.3 (RFC
 * 9266), "tls-unique" for TLS 1.2 (RFC 5929).  *name is static.  false: there is none that is
 * safe; TLS 1.2 needs the extended master secret for it (RFC 7627). */
#define TLS_MAX_BINDING 64
bool tls_binding(const struct tls *tls, const char **name, unsigned char data[TLS_MAX_BINDING],
                 size_t *len);

/* "TLS1.3 ECDHE-... AES-256-GCM" for -v; the caller frees it. */
char *tls_describe(const struct tls *tls);

/* host as DNS wants it: an international name in its xn-- form, any other as it is.  (AI_IDN of
 * getaddrinfo would ask the locale, which is never set here.)  The caller frees it. */
char *tls_host_ascii(const char *host);

/* Says goodbye without waiting for an answer, frees.  NULL is fine. */
void tls_close(struct tls **tls);

#endif

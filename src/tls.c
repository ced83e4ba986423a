/* SPDX-License-Identifier: MIT */
/*
 * tls.c - TLS sessions by GnuTLS, in steps that never wait.
 *
 * The certificate is judged inside the handshake: where it is refused, the server gets the alert
 * and not one byte of ours, our own certificate neither.  Either by authority, name, dates and
 * purpose (gnutls_session_set_verify_cert2), or where the user has pinned keys by these alone.
 * TLS 1.2 is the least, by appending to the default priorities, so that a distribution's policy
 * stays in force.  Renegotiation is refused: no POP3 server needs it, and it has a history of
 * attacks.  No tickets across runs.
 *
 * Our own certificate may be in a token (PKCS#11).  Its PIN comes with the URL, GnuTLS tries it
 * once, and nobody is asked for another: a token is locked after three.
 *
 * Errors stick: after a fatal one GnuTLS only says "invalid session", so the first is remembered
 * and told again.
 *
 * Called by conn.c (sessions) and worker.c (the trust).
 */
#include "config.h"

#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file.h"

#define RAW_SIZE 65536 /* GnuTLS alone asks the kernel twice a record, which is 16 KiB or less */
#define PLACES 1021 /* of certificates; a system has 150 */
#define NO_OLD "-VERS-TLS1.0:-VERS-TLS1.1:-VERS-DTLS-ALL"

struct tls_trust {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priorities; /* NULL: the library's, less NO_OLD */
	char *pins;                   /* NULL: authorities decide */
	bool own;                     /* we have a certificate of our own */
	bool looks;                   /* and judges nothing */
	unsigned pin_flags;           /* of the last question for a token's PIN; 0: there was none */
};

struct tls {
	gnutls_session_t session;
	const struct tls_trust *trust; /* foreign */
	char *host;
	gnutls_typed_vdata_st demands[2]; /* on the certificate: foreign to GnuTLS while it lives */
	struct cert cert;    /* the server's */
	struct error fault;  /* what is wrong with it, where the trust only looks */
	bool up;      /* the handshake is complete */
	bool sending; /* GnuTLS holds a record of ours that is not all sent */
	int dead;     /* the fatal error that ended the session, or 0 */
	int fd;
	bool fresh;             /* nothing was taken from the socket in this step */
	size_t raw_at, raw_end; /* what came and GnuTLS did not take yet */
	char raw[RAW_SIZE];
};

/* -- trust -------------------------------------------------------------------------------- */

static bool is_token(const char *name)
{
	return strncmp(name, "pkcs11:", 7) == 0;
}

/* GnuTLS does not say why a file cannot be read, so it is opened here once for the reason.
 * secret: and nobody else may read it. */
static int try_file(const char *option, const char *path, bool secret, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (fd == -1)
		return error_sys(err, ERR_CONFIG, "%s %s", option, path);
	if (secret)
		rc = file_is_private(fd, path, err);
	close(fd);
	return rc == 0 ? 0 : error_wrap(err, "%s", option);
}

/* Into a list where most have a place for themselves: those that share one are compared, which in
 * GnuTLS's own is a quarter of a run with nothing to do.  A missing bundle is zero certificates. */
static int load_authorities(struct tls_trust *trust, const char *path, struct error *err)
{
	gnutls_x509_trust_list_t list;
	int rc = gnutls_x509_trust_list_init(&list, PLACES);

	if (rc < 0)
		return error_set(err, ERR_TEMP, "cannot prepare TLS: %s", gnutls_strerror(rc));
	gnutls_certificate_set_trust_list(trust->credentials, list, 0); /* it owns the list now */
	if (path && try_file("tls_ca_file", path, false, err) == -1)
		return -1;
	rc = path ? gnutls_x509_trust_list_add_trust_file(list, path, NULL, GNUTLS_X509_FMT_PEM, 0, 0)
	          : gnutls_x509_trust_list_add_system_trust(list, 0, 0);
	if (rc > 0)
		return 0;
	if (!path)
		return error_set(err, ERR_UNAVAILABLE, "no system CA certificates found (Debian: install "
		                 "ca-certificates, or set tls_ca_file)");
	return error_set(err, ERR_CONFIG, "tls_ca_file %s: %s", path,
	                 rc == 0 ? "there is no certificate in it" : gnutls_strerror(rc));
}

/* GnuTLS asks when the URL has no PIN, or a wrong one; a file's key when it is encrypted. */
static int know_no_pin(void *arg, int attempt, const char *url, const char *label, unsigned flags,
                       char *pin, size_t size)
{
	struct tls_trust *trust = arg;

	(void)url;
	(void)label;
	(void)pin;
	(void)size;
	trust->pin_flags = flags | GNUTLS_PIN_USER | (attempt > 0 ? GNUTLS_PIN_WRONG : 0);
	return -1;
}

/* Why our own certificate cannot be used.  The name may hold a PIN: it is shown up to its query,
 * where that stands. */
static int own_failed(const struct tls_trust *trust, const char *cert, int rc, struct error *err)
{
	char shown[160];
	bool token = is_token(cert);

	printable(shown, sizeof(shown), cert, token ? strcspn(cert, "?") : strlen(cert));
	if (rc == GNUTLS_E_PKCS11_PIN_LOCKED)
		return error_set(err, ERR_CONFIG, "tls_cert %s: the token is locked", shown);
	if ((trust->pin_flags & GNUTLS_PIN_WRONG) ||
	    (rc == GNUTLS_E_PKCS11_PIN_ERROR && !trust->pin_flags))
		return error_set(err, ERR_CONFIG, "tls_cert %s: the token refused the PIN, which was tried "
		                 "once and is not tried again", shown);
	if (trust->pin_flags && token)
		return error_set(err, ERR_CONFIG, "tls_cert %s: the token wants a PIN; add "
		                 "?pin-source=/PATH of a file that holds it to the URL of the key", shown);
	if (trust->pin_flags || rc == GNUTLS_E_DECRYPTION_FAILED)
		return error_set(err, ERR_CONFIG, "tls_cert %s: the key is encrypted; store it without a "
		                 "password, readable by you only, or in a token", shown);
	if (rc == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return error_set(err, ERR_CONFIG, "tls_cert %s: tls_key is not the key of this certificate",
		                 shown);
	return error_set(err, ERR_CONFIG, "tls_cert %s: %s", shown, gnutls_strerror(rc));
}

static int load_own(struct tls_trust *trust, const struct server *server, struct error *err)
{
	const char *cert = server->tls_cert, *key = server->tls_key ? server->tls_key : cert;
	int rc;

	if ((!is_token(cert) && try_file("tls_cert", cert, false, err) == -1) ||
	    (!is_token(key) && try_file("tls_key", key, true, err) == -1))
		return -1;
	gnutls_certificate_set_pin_function(trust->credentials, know_no_pin, trust);
	rc = gnutls_certificate_set_x509_key_file2(trust->credentials, cert, key, GNUTLS_X509_FMT_PEM,
	                                           NULL, 0);
	trust->own = rc >= 0;
	return rc >= 0 ? 0 : own_failed(trust, cert, rc, err);
}

/* Who names versions gets those; else a string like NORMAL would bring old ones back. */
static int load_priorities(struct tls_trust *trust, const char *text, struct error *err)
{
	struct str all = {.max = 8192};
	const char *at = NULL;
	char shown[64];
	int rc;

	str_printf(&all, strstr(text, "VERS-") ? "%s" : "%s:" NO_OLD, text);
	rc = gnutls_priority_init(&trust->priorities, all.s, &at);
	if (rc != 0 && at >= all.s && at < all.s + strlen(text))
		error_set(err, ERR_CONFIG, "tls_priorities: cannot be read from character %zu on: '%s'",
		          (size_t)(at - all.s) + 1, printable(shown, sizeof(shown), text + (at - all.s),
		                                              strlen(text) - (size_t)(at - all.s)));
	else if (rc != 0)
		error_set(err, ERR_CONFIG, "tls_priorities: %s", gnutls_strerror(rc));
	if (rc != 0)
		trust->priorities = NULL;
	str_free(&all);
	return rc == 0 ? 0 : -1;
}

static int load(struct tls_trust *trust, const struct server *server, struct error *err)
{
	int rc = gnutls_certificate_allocate_credentials(&trust->credentials);

	if (rc < 0)
		return error_set(err, ERR_TEMP, "cannot prepare TLS: %s", gnutls_strerror(rc));
	if (server->tls_priorities && load_priorities(trust, server->tls_priorities, err) == -1)
		return -1;
	if (server->tls_cert && !trust->looks && load_own(trust, server, err) == -1)
		return -1;
	if (server->tls_pin) {
		trust->pins = xstrdup(server->tls_pin);
		return 0;
	}
	return load_authorities(trust, server->tls_ca_file, err);
}

struct tls_trust *tls_trust_load(const struct server *server, enum tls_trust_use use,
                                 struct error *err)
{
	struct tls_trust *trust = xcalloc(1, sizeof(*trust));

	trust->looks = use == TLS_LOOK;
	if (load(trust, server, err) == -1)
		tls_trust_free(&trust);
	return trust;
}

void tls_trust_free(struct tls_trust **trust)
{
	if (!*trust)
		return;
	if ((*trust)->credentials)
		gnutls_certificate_free_credentials((*trust)->credentials);
	if ((*trust)->priorities)
		gnutls_priority_deinit((*trust)->priorities);
	free((*trust)->pins);
	free(*trust);
	*trust = NULL;
}

/* -- the server's certificate ------------------------------------------------------------- */

/* False: there is none, or it cannot be read. */
static bool read_certificate(struct tls *tls)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls->session, &n);

	return n > 0 && cert_read(chain[0].data, chain[0].size, &tls->cert);
}

static int unreadable(struct error *err)
{
	return error_set(err, ERR_UNAVAILABLE, "the certificate was refused: it cannot be read");
}

/* Whether GnuTLS's verdict, or the pins', is that all is well: 0, -1 with *err. */
static int judge(struct tls *tls, struct error *err)
{
	unsigned status = GNUTLS_CERT_INVALID;

	if (!read_certificate(tls))
		return unreadable(err);
	if (tls->trust->pins)
		return pin_matches(tls->trust->pins, tls->cert.pin)
		           ? 0 : cert_not_pinned(&tls->cert, tls->host, err);
	if (gnutls_certificate_verify_peers(tls->session, tls->demands, 2, &status) == 0 && status == 0)
		return 0;
	return cert_refused(&tls->cert, tls->host, status, err);
}

/* GnuTLS calls these within the handshake, once the server has shown its certificate. */
static int look_at_it(gnutls_session_t session)
{
	struct tls *tls = gnutls_session_get_ptr(session);

	judge(tls, &tls->fault);
	return 0;
}

static int insist_on_pins(gnutls_session_t session)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	struct error ignored;

	return judge(tls, &ignored);
}

/* The error for a certificate that was refused. */
static int refuse_certificate(struct tls *tls, struct error *err)
{
	if (!read_certificate(tls))
		return unreadable(err);
	if (tls->trust->pins)
		return cert_not_pinned(&tls->cert, tls->host, err);
	return cert_refused(&tls->cert, tls->host, gnutls_session_get_verify_cert_status(tls->session),
	                    err);
}

/* -- a session ---------------------------------------------------------------------------- */

static enum tls_want wanted(const struct tls *tls)
{
	return gnutls_record_get_direction(tls->session) ? TLS_WANT_WRITE : TLS_WANT_READ;
}

/* RFC 6066 section 3 forbids addresses in SNI. */
static bool is_address(const char *host)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* The certificate must be for this host, and for servers: set_verify_cert alone would take one
 * that was issued for clients.  Pins stand for all of that. */
static void demand(struct tls *tls)
{
	static unsigned char purpose[] = GNUTLS_KP_TLS_WWW_SERVER;

	tls->demands[0].type = GNUTLS_DT_DNS_HOSTNAME;
	tls->demands[0].data = (unsigned char *)tls->host;
	tls->demands[1].type = GNUTLS_DT_KEY_PURPOSE_OID;
	tls->demands[1].data = purpose;
	gnutls_session_set_ptr(tls->session, tls);
	if (tls->trust->looks)
		gnutls_session_set_verify_function(tls->session, look_at_it);
	else if (tls->trust->pins)
		gnutls_session_set_verify_function(tls->session, insist_on_pins);
	else
		gnutls_session_set_verify_cert2(tls->session, tls->demands, 2, 0);
}

/* Reads for GnuTLS, several records at once.  Once in a step at most: so who sends nothing but
 * records without text cannot keep us from the deadline. */
static ssize_t pull(gnutls_transport_ptr_t own, void *buf, size_t size)
{
	struct tls *tls = own;
	size_t n = tls->raw_end - tls->raw_at;
	ssize_t got;

	if (n == 0) {
		errno = EAGAIN;
		got = tls->fresh ? recv(tls->fd, tls->raw, sizeof tls->raw, 0) : -1;
		if (got <= 0)
			return got;
		tls->fresh = false;
		tls->raw_at = 0;
		tls->raw_end = n = (size_t)got;
	}
	n = n < size ? n : size;
	memcpy(buf, tls->raw + tls->raw_at, n);
	tls->raw_at += n;
	return (ssize_t)n;
}

/* True where a step ended early, as behind a record without text, and bytes are left of which no
 * poll would tell.  It takes them unless it waits for room to send. */
static bool is_cut_short(const struct tls *tls, ssize_t code)
{
	return code < 0 && !gnutls_error_is_fatal((int)code) && code != GNUTLS_E_REHANDSHAKE &&
	       tls->raw_at < tls->raw_end && wanted(tls) == TLS_WANT_READ;
}

/* The settings of a fresh session; a GnuTLS code. */
static int prepare(struct tls *tls, int fd)
{
	const struct tls_trust *trust = tls->trust;
	int rc = trust->priorities
	             ? gnutls_priority_set(tls->session, trust->priorities)
	             : gnutls_set_default_priority_append(tls->session, NO_OLD, NULL, 0);

	if (rc == 0)
		rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, trust->credentials);
	if (rc == 0 && !is_address(tls->host))
		rc = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->host, strlen(tls->host));
	demand(tls);
	tls->fd = fd;
	gnutls_transport_set_ptr2(tls->session, tls, (gnutls_transport_ptr_t)(intptr_t)fd);
	gnutls_transport_set_pull_function(tls->session, pull);
	return rc;
}

struct tls *tls_open(int fd, const char *host, const struct tls_trust *trust, struct error *err)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	size_t len = strlen(host);
	int rc;

	if (len > 1 && host[len - 1] == '.') /* the root's dot is for DNS; certificates omit it */
		len--;
	tls->trust = trust;
	tls->host = xmemdup0(host, len);
	rc = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	if (rc == 0)
		rc = prepare(tls, fd);
	if (rc < 0) {
		error_set(err, ERR_UNAVAILABLE, "cannot prepare TLS: %s", gnutls_strerror(rc));
		tls_close(&tls);
	}
	return tls;
}

/* True for the alerts by which a server may mean our own certificate. */
static bool is_about_ours(gnutls_alert_description_t alert)
{
	return (alert >= GNUTLS_A_BAD_CERTIFICATE && alert <= GNUTLS_A_CERTIFICATE_UNKNOWN) ||
	       alert == GNUTLS_A_UNKNOWN_CA || alert == GNUTLS_A_ACCESS_DENIED;
}

/* The peer's fatal alert.  kind: what it means where it says nothing special. */
static int alerted(struct tls *tls, enum error_kind kind, struct error *err)
{
	gnutls_alert_description_t alert = gnutls_alert_get(tls->session);
	const char *name = gnutls_alert_get_name(alert);
	bool asked = !tls->up && gnutls_certificate_client_get_request_status(tls->session);

	if (alert == GNUTLS_A_PROTOCOL_VERSION)
		return error_set(err, ERR_UNAVAILABLE, "the server does not offer TLS 1.2 or later");
	if ((alert == GNUTLS_A_CERTIFICATE_REQUIRED || asked) && !tls->trust->own)
		return error_set(err, ERR_UNAVAILABLE,
		                 "the server demands a client certificate: set tls_cert and tls_key");
	if (alert == GNUTLS_A_CERTIFICATE_REQUIRED)
		return error_set(err, ERR_UNAVAILABLE, "the server demands a client certificate of other "
		                 "issuers than that of tls_cert");
	if (is_about_ours(alert) && tls->trust->own)
		return error_set(err, ERR_UNAVAILABLE, "the server does not accept our certificate "
		                 "(tls_cert): %s", name ? name : "unknown alert");
	return error_set(err, kind, "the server ended TLS: %s", name ? name : "unknown alert");
}

/* GnuTLS has one code for a record of a wrong length and one that the end of the connection cut
 * in two; only the first is nonsense. */
static bool is_at_end(const struct tls *tls)
{
	char c;

	return tls->raw_at == tls->raw_end && recv(tls->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The error for a GnuTLS code that ended the session; remembers it.  A session that was cut may
 * be whole next time; all else of an established session is nonsense. */
static int died(struct tls *tls, int code, struct error *err)
{
	if (code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH && is_at_end(tls))
		code = GNUTLS_E_PREMATURE_TERMINATION;
	tls->dead = code;
	switch (code) {
	case GNUTLS_E_PREMATURE_TERMINATION:
		return error_set(err, ERR_TEMP, "connection cut (no goodbye of TLS)");
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
		return error_set(err, ERR_TEMP, "connection lost");
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return alerted(tls, tls->up ? ERR_TEMP : ERR_UNAVAILABLE, err);
	case GNUTLS_E_REHANDSHAKE:
		return error_set(err, ERR_PROTOCOL, "the server asks to renegotiate TLS: refused");
	default:
		return error_set(err, tls->up ? ERR_PROTOCOL : ERR_UNAVAILABLE, "TLS failed: %s",
		                 gnutls_strerror(code));
	}
}

/* A warning alert is no fatal code: it ends the step as if we had to wait, and the caller's
 * deadline bounds how many there are. */
int tls_handshake(struct tls *tls, enum tls_want *want, struct error *err)
{
	int rc;

	tls->fresh = true;
	do
		rc = gnutls_handshake(tls->session);
	while (is_cut_short(tls, rc));
	tls->up = rc == 0;
	if (rc == 0 && !tls->cert.until && !read_certificate(tls))
		return unreadable(err);
	*want = rc == 0 ? TLS_DONE : wanted(tls);
	if (rc == 0 || !gnutls_error_is_fatal(rc))
		return 0;
	tls->dead = rc;
	switch (rc) {
	case GNUTLS_E_CERTIFICATE_ERROR:
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
		gnutls_alert_send_appropriate(tls->session, rc);
		return refuse_certificate(tls, err);
	case GNUTLS_E_UNEXPECTED_PACKET:
		return error_set(err, ERR_UNAVAILABLE,
		                 "the server speaks plain text here; where tls = implicit, "
		                 "try tls = stls");
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
		gnutls_alert_send_appropriate(tls->session, rc);
		return error_set(err, ERR_UNAVAILABLE, "the server does not offer TLS 1.2 or later");
	default:
		return died(tls, rc, err);
	}
}

long tls_read(struct tls *tls, char *buf, size_t size, enum tls_want *want, struct error *err)
{
	ssize_t n;

	if (tls->dead)
		return died(tls, tls->dead, err);
	tls->fresh = true;
	do
		n = gnutls_record_recv(tls->session, buf, size);
	while (is_cut_short(tls, n));
	if (n >= 0)
		return n;
	if (gnutls_error_is_fatal((int)n) || n == GNUTLS_E_REHANDSHAKE)
		return died(tls, (int)n, err);
	*want = wanted(tls); /* also after a session ticket or a warning: neither is text */
	return TLS_AGAIN;
}

/* A record that could not be sent whole stays, encrypted, in GnuTLS, and the second call must not
 * encrypt it again.  (NULL, 0) is the documented way to say "the same as before": so the
 * caller's buffer may have moved meanwhile, and the answer is still the first call's length. */
long tls_write(struct tls *tls, const char *buf, size_t len, enum tls_want *want,
               struct error *err)
{
	ssize_t n;

	if (tls->dead)
		return died(tls, tls->dead, err);
	n = tls->sending ? gnutls_record_send(tls->session, NULL, 0)
	                 : gnutls_record_send(tls->session, buf, len);
	tls->sending = n < 0 && !gnutls_error_is_fatal((int)n);
	if (n >= 0)
		return n;
	if (!tls->sending)
		return died(tls, (int)n, err);
	*want = wanted(tls);
	return TLS_AGAIN;
}

bool tls_pending(const struct tls *tls)
{
	return gnutls_record_check_pending(tls->session) > 0;
}

bool tls_binding(const struct tls *tls, const char **name, unsigned char data[TLS_MAX_BINDING],
                 size_t *len)
{
	bool exporter = gnutls_protocol_get_version(tls->session) >= GNUTLS_TLS1_3;
	gnutls_datum_t bytes = {0};
	bool fits;

	*name = exporter ? "tls-exporter" : "tls-unique";
	*len = 0;
	if (!tls->up || (!exporter && !gnutls_session_ext_master_secret_status(tls->session)) ||
	    gnutls_session_channel_binding(tls->session,
	                                   exporter ? GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE,
	                                   &bytes) != 0)
		return false;
	fits = bytes.size > 0 && bytes.size <= TLS_MAX_BINDING;
	if (fits)
		memcpy(data, bytes.data, *len = bytes.size);
	gnutls_free(bytes.data);
	return fits;
}

const struct cert *tls_cert(const struct tls *tls)
{
	return &tls->cert;
}

const struct error *tls_fault(const struct tls *tls)
{
	return &tls->fault;
}

char *tls_describe(const struct tls *tls)
{
	char *desc = gnutls_session_get_desc(tls->session); /* "(TLS1.3)-(ECDHE-X25519)-(...)" */
	char *text = xstrdup(desc ? desc : "TLS"), *to = text;

	for (const char *from = text; *from; from++) {
		if (*from == ')' && from[1] == '-')
			*to++ = ' ', from++;
		else if (*from != '(' && *from != ')')
			*to++ = *from;
	}
	*to = '\0';
	gnutls_free(desc);
	return text;
}

char *tls_host_ascii(const char *host)
{
	gnutls_datum_t mapped = {0};
	char *ascii;

	if (gnutls_idna_map(host, (unsigned)strlen(host), &mapped, 0) < 0)
		return xstrdup(host);
	ascii = xmemdup0((const char *)mapped.data, mapped.size);
	gnutls_free(mapped.data);
	return ascii;
}

void tls_close(struct tls **tls)
{
	if (!*tls)
		return;
	if ((*tls)->up && !(*tls)->dead)
		gnutls_bye((*tls)->session, GNUTLS_SHUT_WR); /* once: who does not take it misses it */
	if ((*tls)->session)
		gnutls_deinit((*tls)->session);
	free((*tls)->host);
	free(*tls);
	*tls = NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * tls.c - TLS sessions by GnuTLS, in steps that never wait.
 *
 * The certificate is judged by gnutls_session_set_verify_cert2, inside the handshake: where it is
 * refused, the server gets the alert and not one byte of ours.  TLS 1.2 is the least, by
 * appending to the default priorities, so that a distribution's policy stays in force.
 * Renegotiation is refused: no POP3 server needs it, and it has a history of attacks.
 *
 * What this does not: pins, client certificates, tickets across runs.
 *
 * Errors stick: after a fatal one GnuTLS only says "invalid session", so the first is remembered
 * and told again.  Names out of certificates are a stranger's bytes and go through printable().
 *
 * Called by conn.c (sessions) and worker.c (the trust store).
 */
#include "config.h"

#include "tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PRIORITIES "-VERS-TLS1.0:-VERS-TLS1.1:-VERS-DTLS-ALL"
#define MAX_NAMES 4 /* of a refused certificate that are shown */

struct tls_trust {
	gnutls_certificate_credentials_t credentials;
};

struct tls {
	gnutls_session_t session;
	char *host;
	gnutls_typed_vdata_st demands[2]; /* on the certificate: foreign to GnuTLS while it lives */
	bool up;      /* the handshake is complete */
	bool sending; /* GnuTLS holds a record of ours that is not all sent */
	int dead;     /* the fatal error that ended the session, or 0 */
};

/* -- trust -------------------------------------------------------------------------------- */

/* GnuTLS does not say why a file cannot be read, so it is opened here once for the reason. */
static int load_file(struct tls_trust *trust, const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd == -1)
		return error_sys(err, ERR_CONFIG, "tls_ca_file %s", path);
	close(fd);
	rc = gnutls_certificate_set_x509_trust_file(trust->credentials, path, GNUTLS_X509_FMT_PEM);
	if (rc > 0)
		return 0;
	return error_set(err, ERR_CONFIG, "tls_ca_file %s: %s", path,
	                 rc == 0 ? "there is no certificate in it" : gnutls_strerror(rc));
}

/* A missing bundle counts as zero certificates and not as an error, hence <= 0. */
static int load_system(struct tls_trust *trust, struct error *err)
{
	if (gnutls_certificate_set_x509_system_trust(trust->credentials) > 0)
		return 0;
	return error_set(err, ERR_UNAVAILABLE,
	                 "no system CA certificates found (Debian: install ca-certificates, "
	                 "or set tls_ca_file)");
}

struct tls_trust *tls_trust_load(const char *ca_file, struct error *err)
{
	struct tls_trust *trust = xcalloc(1, sizeof(*trust));
	int rc = gnutls_certificate_allocate_credentials(&trust->credentials);

	if (rc < 0)
		error_set(err, ERR_TEMP, "cannot prepare TLS: %s", gnutls_strerror(rc));
	else
		rc = ca_file ? load_file(trust, ca_file, err) : load_system(trust, err);
	if (rc < 0)
		tls_trust_free(&trust);
	return trust;
}

void tls_trust_free(struct tls_trust **trust)
{
	if (*trust && (*trust)->credentials)
		gnutls_certificate_free_credentials((*trust)->credentials);
	free(*trust);
	*trust = NULL;
}

/* -- a certificate that is not accepted --------------------------------------------------- */

/* What is wrong, in words, and what can be done.  The gravest stands first: its advice is given. */
static const struct {
	unsigned flag;
	const char *why, *advice;
} faults[] = {
	{GNUTLS_CERT_REVOKED, "it was revoked", "tell the provider"},
	{GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong",
     "somebody may stand between you and the server"},
	{GNUTLS_CERT_UNEXPECTED_OWNER, "it is not for this host",
     "set host to a name that the certificate bears"},
	{GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is unknown",
     "if you trust the issuer, save its certificate to a file and set tls_ca_file"},
	{GNUTLS_CERT_SIGNER_NOT_CA, "its issuer may not issue certificates", "tell the provider"},
	{GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "its issuer may not issue this certificate",
     "tell the provider"},
	{GNUTLS_CERT_NOT_ACTIVATED, "it is not valid yet", "check the clock of this machine"},
	{GNUTLS_CERT_EXPIRED, "it has expired",
     "the provider must renew it, or the clock of this machine is wrong"},
	{GNUTLS_CERT_INSECURE_ALGORITHM, "it is signed by a method that is not safe any more",
     "the provider must renew it"},
	{GNUTLS_CERT_PURPOSE_MISMATCH, "it is not meant for servers", "tell the provider"},
};

/* Adds ", " and the bytes made printable.  What does not fit is left out: it is but an error's
 * text. */
static void add_shown(struct str *to, const void *bytes, size_t len)
{
	char shown[80];

	str_printf(to, "%s%s", to->len > 0 ? ", " : "", printable(shown, sizeof(shown), bytes, len));
}

/* Adds one alternative name; other kinds than hosts and addresses are passed over. */
static void add_name(struct str *to, int type, const void *bytes, size_t len)
{
	char address[INET6_ADDRSTRLEN];
	int family = len == 4 ? AF_INET : AF_INET6;

	if (type == GNUTLS_SAN_DNSNAME)
		add_shown(to, bytes, len);
	else if (type == GNUTLS_SAN_IPADDRESS && (len == 4 || len == 16) &&
	         inet_ntop(family, bytes, address, sizeof(address)))
		add_shown(to, address, strlen(address));
}

/* For whom the certificate is: its alternative names, else its common name. */
static void add_names(struct str *to, gnutls_x509_crt_t crt)
{
	char name[256];
	size_t size = sizeof(name);

	for (unsigned i = 0; i <= MAX_NAMES; i++, size = sizeof(name)) {
		int type = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &size, NULL);

		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (i == MAX_NAMES)
			add_shown(to, "...", 3);
		else
			add_name(to, type, name, size);
	}
	size = sizeof(name);
	if (to->len == 0 &&
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) == 0)
		add_shown(to, name, size);
}

static void add_day(struct str *to, time_t when)
{
	char day[16];
	struct tm tm;

	if (gmtime_r(&when, &tm) && strftime(day, sizeof(day), "%Y-%m-%d", &tm) > 0)
		str_printf(to, " (%s)", day);
}

/* All that is wrong, in words.  Returns the advice for the first of it. */
static const char *add_faults(struct str *to, unsigned status, gnutls_x509_crt_t crt)
{
	const char *advice = NULL;
	gnutls_datum_t words = {0};

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		if (!(status & faults[i].flag))
			continue;
		add_shown(to, faults[i].why, strlen(faults[i].why));
		if (faults[i].flag == GNUTLS_CERT_EXPIRED)
			add_day(to, gnutls_x509_crt_get_expiration_time(crt));
		if (faults[i].flag == GNUTLS_CERT_NOT_ACTIVATED)
			add_day(to, gnutls_x509_crt_get_activation_time(crt));
		if (!advice)
			advice = faults[i].advice;
	}
	if (advice)
		return advice;
	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0) == 0)
		str_printf(to, "%s", (const char *)words.data);
	gnutls_free(words.data);
	return "tell the provider";
}

/* The error for a certificate that was refused, from the certificate itself. */
static int explain(struct tls *tls, gnutls_x509_crt_t crt, struct error *err)
{
	struct str why = {.max = 160}, names = {.max = 160};
	gnutls_datum_t dn = {0};
	char issuer[96];
	const char *advice;

	advice = add_faults(&why, gnutls_session_get_verify_cert_status(tls->session), crt);
	add_names(&names, crt);
	if (gnutls_x509_crt_get_issuer_dn3(crt, &dn, 0) < 0)
		dn.size = 0;
	printable(issuer, sizeof(issuer), (const char *)dn.data, dn.size);
	error_set(err, ERR_UNAVAILABLE,
	          "the certificate was refused for %.100s: %s; it is for %s, %s %s; %s", tls->host,
	          why.len ? why.s : "no reason known", names.len ? names.s : "nobody",
	          gnutls_x509_crt_check_issuer(crt, crt) ? "self-signed by" : "issued by",
	          issuer[0] ? issuer : "nobody", advice);
	gnutls_free(dn.data);
	str_free(&why);
	str_free(&names);
	return -1;
}

static int refuse_certificate(struct tls *tls, struct error *err)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls->session, &n);
	gnutls_x509_crt_t crt = NULL;

	if (n > 0 && gnutls_x509_crt_init(&crt) == 0 &&
	    gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) == 0)
		explain(tls, crt, err);
	else
		error_set(err, ERR_UNAVAILABLE, "the certificate was refused: it cannot be read");
	if (crt)
		gnutls_x509_crt_deinit(crt);
	return -1;
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
 * that was issued for clients. */
static void demand(struct tls *tls)
{
	static unsigned char purpose[] = GNUTLS_KP_TLS_WWW_SERVER;

	tls->demands[0].type = GNUTLS_DT_DNS_HOSTNAME;
	tls->demands[0].data = (unsigned char *)tls->host;
	tls->demands[1].type = GNUTLS_DT_KEY_PURPOSE_OID;
	tls->demands[1].data = purpose;
	gnutls_session_set_verify_cert2(tls->session, tls->demands, 2, 0);
}

/* The settings of a fresh session; a GnuTLS code. */
static int prepare(struct tls *tls, int fd, const struct tls_trust *trust)
{
	int rc = gnutls_set_default_priority_append(tls->session, PRIORITIES, NULL, 0);

	if (rc == 0)
		rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, trust->credentials);
	if (rc == 0 && !is_address(tls->host))
		rc = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->host, strlen(tls->host));
	demand(tls);
	gnutls_transport_set_int(tls->session, fd);
	return rc;
}

struct tls *tls_open(int fd, const char *host, const struct tls_trust *trust, struct error *err)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	size_t len = strlen(host);
	int rc;

	if (len > 1 && host[len - 1] == '.') /* the root's dot is for DNS; certificates omit it */
		len--;
	tls->host = xmemdup0(host, len);
	rc = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	if (rc == 0)
		rc = prepare(tls, fd, trust);
	if (rc < 0) {
		error_set(err, ERR_UNAVAILABLE, "cannot prepare TLS: %s", gnutls_strerror(rc));
		tls_close(&tls);
	}
	return tls;
}

/* The peer's fatal alert.  kind: what it means where it says nothing special. */
static int alerted(struct tls *tls, enum error_kind kind, struct error *err)
{
	gnutls_alert_description_t alert = gnutls_alert_get(tls->session);
	const char *name = gnutls_alert_get_name(alert);

	if (alert == GNUTLS_A_PROTOCOL_VERSION)
		return error_set(err, ERR_UNAVAILABLE, "the server does not offer TLS 1.2 or later");
	if (alert == GNUTLS_A_CERTIFICATE_REQUIRED)
		return error_set(err, ERR_UNAVAILABLE, "the server demands a client certificate");
	return error_set(err, kind, "the server ended TLS: %s", name ? name : "unknown alert");
}

/* GnuTLS has one code for a record of a wrong length and one that the end of the connection cut
 * in two; only the first is nonsense. */
static bool is_at_end(const struct tls *tls)
{
	char c;

	return recv(gnutls_transport_get_int(tls->session), &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
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
	int rc = gnutls_handshake(tls->session);

	tls->up = rc == 0;
	*want = rc == 0 ? TLS_DONE : wanted(tls);
	if (rc == 0 || !gnutls_error_is_fatal(rc))
		return 0;
	tls->dead = rc;
	switch (rc) {
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
	n = gnutls_record_recv(tls->session, buf, size);
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

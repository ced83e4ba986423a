/* SPDX-License-Identifier: MIT */
/*
 * cert.c - certificates in words.
 *
 * An error about a certificate is read by somebody whose mail does not come: it names the host
 * that was expected, the names that are offered, the issuer, the key, what is wrong and the
 * option that would mend it, in that order of shortness; the text's end is what a long name may
 * push out.
 *
 * Decides nothing.  No I/O.  Called by tls.c, and by inspect.c for showing.
 */
#include "config.h"

#include "cert.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#define MAX_NAMES 64 /* of a certificate that are looked at */

/* -- reading ------------------------------------------------------------------------------ */

/* Adds ", " and the bytes made printable; what does not fit is left out. */
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
static void read_names(gnutls_x509_crt_t crt, struct cert *cert)
{
	struct str names = {.max = sizeof(cert->names) - 1};
	char name[256];
	size_t size;
	int type;

	for (unsigned i = 0; i < MAX_NAMES; i++) {
		size = sizeof(name);
		type = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &size, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (type >= 0)
			add_name(&names, type, name, size);
	}
	size = sizeof(name);
	if (names.len == 0 &&
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) == 0)
		add_shown(&names, name, size);
	text_copy(cert->names, sizeof(cert->names), names.s ? names.s : "");
	str_free(&names);
}

static bool read_all(gnutls_x509_crt_t crt, struct cert *cert)
{
	gnutls_datum_t dn = {0};
	size_t size = PIN_SIZE;

	read_names(crt, cert);
	if (gnutls_x509_crt_get_issuer_dn3(crt, &dn, 0) == 0)
		printable(cert->issuer, sizeof(cert->issuer), (const char *)dn.data, dn.size);
	gnutls_free(dn.data);
	cert->self_signed = gnutls_x509_crt_check_issuer(crt, crt);
	cert->from = gnutls_x509_crt_get_activation_time(crt);
	cert->until = gnutls_x509_crt_get_expiration_time(crt);
	return gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, cert->pin, &size) == 0 &&
	       size == PIN_SIZE;
}

bool cert_read(const void *der, size_t len, struct cert *cert)
{
	gnutls_datum_t bytes = {(unsigned char *)der, (unsigned)len};
	gnutls_x509_crt_t crt;
	bool fine = false;

	*cert = (struct cert){0};
	if (gnutls_x509_crt_init(&crt) != 0)
		return false;
	if (gnutls_x509_crt_import(crt, &bytes, GNUTLS_X509_FMT_DER) == 0)
		fine = read_all(crt, cert);
	gnutls_x509_crt_deinit(crt);
	if (!fine)
		*cert = (struct cert){0};
	return fine;
}

/* -- refusing ----------------------------------------------------------------------------- */

/* What is wrong, in words, and what can be done.  The gravest stands first: its advice is given. */
static const struct {
	unsigned flag;
	const char *why, *advice;
} faults[] = {
	{GNUTLS_CERT_REVOKED, "it was revoked", "tell the provider"},
	{GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong",
     "somebody may stand between you and the server"},
	{GNUTLS_CERT_UNEXPECTED_OWNER, "it is not for this host",
     "set host, or tls_host, to a name that the certificate bears"},
	{GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is unknown",
     "if you trust it, set tls_pin to its key, or tls_ca_file to its issuer's certificate"},
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

char *cert_day(char to[16], int64_t when)
{
	time_t clock = (time_t)when;
	struct tm tm;

	if (!gmtime_r(&clock, &tm) || strftime(to, 16, "%Y-%m-%d", &tm) == 0)
		text_copy(to, 16, "?");
	return to;
}

/* All that is wrong, in words.  Returns the advice for the first of it. */
static const char *add_faults(struct str *to, unsigned status, const struct cert *cert)
{
	const char *advice = NULL;
	gnutls_datum_t words = {0};
	char day[16];

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		if (!(status & faults[i].flag))
			continue;
		add_shown(to, faults[i].why, strlen(faults[i].why));
		if (faults[i].flag == GNUTLS_CERT_EXPIRED)
			str_printf(to, " (%s)", cert_day(day, cert->until));
		if (faults[i].flag == GNUTLS_CERT_NOT_ACTIVATED)
			str_printf(to, " (%s)", cert_day(day, cert->from));
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

/* "it is for a, b, issued by C, its key is sha256//..." */
static void add_facts(struct str *to, const struct cert *cert)
{
	char names[104], issuer[80], pin[PIN_TEXT];

	str_printf(to, "it is for %s, %s %s, its key is %s",
	           cert->names[0] ? printable(names, sizeof(names), cert->names, strlen(cert->names))
	                          : "nobody",
	           cert->self_signed ? "self-signed by" : "issued by",
	           cert->issuer[0] ? printable(issuer, sizeof(issuer), cert->issuer,
	                                       strlen(cert->issuer))
	                           : "nobody",
	           pin_show(pin, cert->pin));
}

int cert_refused(const struct cert *cert, const char *host, unsigned status, struct error *err)
{
	struct str why = {.max = 120}, facts = {.max = 320};
	const char *advice = add_faults(&why, status, cert);

	add_facts(&facts, cert);
	error_set(err, ERR_UNAVAILABLE, "the certificate was refused for %.64s: %s; %s; %s", host,
	          why.len ? why.s : "no reason known", facts.s, advice);
	str_free(&why);
	str_free(&facts);
	return -1;
}

int cert_not_pinned(const struct cert *cert, const char *host, struct error *err)
{
	struct str facts = {.max = 320};

	add_facts(&facts, cert);
	error_set(err, ERR_UNAVAILABLE, "the certificate was refused for %.64s: its key is not one of "
	          "tls_pin; %s; if the provider confirms that key, add it to tls_pin", host, facts.s);
	str_free(&facts);
	return -1;
}

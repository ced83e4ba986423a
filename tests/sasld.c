/* SPDX-License-Identifier: MIT */
/*
 * sasld.c - the server's side of the login mechanisms, for pop3d.
 *
 * Everything is computed anew from the password at each step: there is no store.  What the client
 * says is bounded by the sizes of sasld.h; longer is wrong.  Called by pop3d.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sasld.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CRAM_MD5, SCRAM_1, SCRAM_256, SCRAM_1_PLUS, SCRAM_256_PLUS, EXTERNAL, XOAUTH2, OAUTHBEARER };

static const char *const words[] = {
	"CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS",
	"EXTERNAL", "XOAUTH2", "OAUTHBEARER", NULL,
};

#define CHALLENGE "<1896.697170952@pop3d.example>"
#define OURS "3rfcNHYJY1ZVvWVs7j"
#define SALT "salt-of-pop3d"
#define MAX_WORDS (256u << 10)

bool sasld_begin(struct sasld *s, const char *word)
{
	*s = (struct sasld){0};
	while (words[s->mech] && strcasecmp(words[s->mech], word) != 0)
		s->mech++;
	return words[s->mech] != NULL;
}

/* -- bytes -------------------------------------------------------------------------------- */

static void encode(char *out, size_t size, const void *bytes, size_t len)
{
	gnutls_datum_t raw = {(unsigned char *)bytes, (unsigned)len}, coded = {0};

	out[0] = '\0';
	if (len > 0 && gnutls_base64_encode2(&raw, &coded) == 0)
		snprintf(out, size, "%s", (char *)coded.data);
	gnutls_free(coded.data);
}

/* A string (NUL behind it) that the caller frees; NULL where it is no base64. */
static char *decode(const char *line, size_t *len)
{
	gnutls_datum_t coded = {(unsigned char *)line, (unsigned)strlen(line)}, raw = {0};
	char *text = NULL;

	if (coded.size > 0 && (coded.size > MAX_WORDS || gnutls_base64_decode2(&coded, &raw) != 0))
		return NULL;
	text = calloc(1, raw.size + 1);
	if (text && raw.size > 0)
		memcpy(text, raw.data, raw.size);
	*len = raw.size;
	gnutls_free(raw.data);
	return text;
}

static void hex(char *out, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* -- the small ones ----------------------------------------------------------------------- */

bool sasld_apop(const struct sasld_world *w, const char *arg)
{
	const char *open = strchr(w->greeting, '<');
	unsigned char digest[16];
	char text[1024], want[1200], sum[33];

	if (!open || !strchr(open, '>'))
		return false;
	snprintf(text, sizeof text, "%.*s%s", (int)(strchr(open, '>') + 1 - open), open, w->password);
	gnutls_hash_fast(GNUTLS_DIG_MD5, text, strlen(text), digest);
	hex(sum, digest, sizeof digest);
	snprintf(want, sizeof want, "%s %s", w->user, sum);
	return strcmp(arg, want) == 0;
}

static bool cram_is_right(const struct sasld_world *w, const char *said)
{
	unsigned char digest[16];
	char want[1200], sum[33];

	gnutls_hmac_fast(GNUTLS_MAC_MD5, w->password, strlen(w->password), CHALLENGE,
	    strlen(CHALLENGE), digest);
	hex(sum, digest, sizeof digest);
	snprintf(want, sizeof want, "%s %s", w->user, sum);
	return strcmp(said, want) == 0;
}

static bool token_is_right(int mech, const struct sasld_world *w, const char *said)
{
	size_t size = strlen(w->user) + strlen(w->password) + 64;
	char *want = malloc(size);
	bool is;

	if (!want)
		return false;
	if (mech == XOAUTH2) {
		snprintf(want, size, "user=%s\1auth=Bearer %s\1\1", w->user, w->password);
		is = strcmp(said, want) == 0;
	} else {
		const char *auth = strstr(said, "\1auth=");

		snprintf(want, size, "n,a=%s,\1host=", w->user);
		is = strncmp(said, want, strlen(want)) == 0 && strstr(said, "\1port=");
		snprintf(want, size, "\1auth=Bearer %s\1\1", w->password);
		is = is && auth && strcmp(auth, want) == 0;
	}
	free(want);
	return is;
}

/* -- SCRAM -------------------------------------------------------------------------------- */

static gnutls_mac_algorithm_t mac_of(const struct sasld *s)
{
	return s->mech == SCRAM_1 || s->mech == SCRAM_1_PLUS ? GNUTLS_MAC_SHA1 : GNUTLS_MAC_SHA256;
}

/* "n,,n=USER,r=NONCE": keeps its parts and makes the answer. */
static bool scram_hear_first(struct sasld *s, const struct sasld_world *w, const char *said)
{
	const char *bare = strstr(said, ",,"), *nonce = strstr(said, ",r=");
	bool plus = s->mech == SCRAM_1_PLUS || s->mech == SCRAM_256_PLUS;
	char name[300], salt[64];

	if (!bare || !nonce || strlen(said) > 900 || strchr("np", said[0]) == NULL ||
	    plus != (said[0] == 'p'))
		return false;
	snprintf(s->header, sizeof s->header, "%.*s", (int)(bare + 2 - said), said);
	snprintf(s->first, sizeof s->first, "%s", bare + 2);
	snprintf(name, sizeof name, "n=%s,", w->user);
	if (strncmp(s->first, name, strlen(name)) != 0)
		return false;
	snprintf(s->nonce, sizeof s->nonce, "%s" OURS,
	    strcmp(w->fault, "nonce") == 0 ? "another" : nonce + 3);
	encode(salt, sizeof salt, SALT, strlen(SALT));
	snprintf(s->server, sizeof s->server, "%sr=%s,s=%s,i=%u",
	    strcmp(w->fault, "extension") == 0 ? "m=x," : "", s->nonce, salt, w->rounds);
	return true;
}

/* What c= must say: the header, and with -PLUS the channel. */
static bool bound_right(const struct sasld *s, const struct sasld_world *w, const char *final)
{
	gnutls_datum_t channel = {0};
	unsigned char bytes[400];
	size_t len = strlen(s->header);
	char coded[600], want[1000];

	memcpy(bytes, s->header, len);
	if (s->header[0] == 'p') {
		int kind = strncmp(s->header, "p=tls-exporter,", 15) == 0 ? GNUTLS_CB_TLS_EXPORTER
		                                                           : GNUTLS_CB_TLS_UNIQUE;

		if (!w->tls || gnutls_session_channel_binding(w->tls,
		        (gnutls_channel_binding_t)kind, &channel) != 0 || channel.size > 64)
			return false;
		memcpy(bytes + len, channel.data, channel.size);
		len += channel.size;
		gnutls_free(channel.data);
	}
	encode(coded, sizeof coded, bytes, len);
	snprintf(want, sizeof want, "c=%s,r=%s,p=", coded, s->nonce);
	return strncmp(final, want, strlen(want)) == 0;
}

/* Judges the final message; out gets "v=..." . */
static bool scram_hear_final(struct sasld *s, const struct sasld_world *w, const char *said,
                             char *out, size_t size)
{
	gnutls_mac_algorithm_t mac = mac_of(s);
	size_t n = mac == GNUTLS_MAC_SHA1 ? 20 : 32;
	gnutls_datum_t key = {(unsigned char *)w->password, (unsigned)strlen(w->password)};
	gnutls_datum_t salt = {(unsigned char *)SALT, sizeof SALT - 1};
	unsigned char salted[32], client[32], stored[32], sum[32];
	const char *proof = strstr(said, ",p=");
	char talk[4096], coded[64];

	if (!proof || strlen(said) > 1500 || !bound_right(s, w, said))
		return false;
	snprintf(talk, sizeof talk, "%s,%s,%.*s", s->first, s->server, (int)(proof - said), said);
	gnutls_pbkdf2(mac, &key, &salt, w->rounds, salted, n);
	gnutls_hmac_fast(mac, salted, n, "Client Key", 10, client);
	gnutls_hash_fast(mac == GNUTLS_MAC_SHA1 ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256, client, n,
	    stored);
	gnutls_hmac_fast(mac, stored, n, talk, strlen(talk), sum);
	for (size_t i = 0; i < n; i++)
		sum[i] ^= client[i];
	encode(coded, sizeof coded, sum, n);
	if (strcmp(proof + 3, coded) != 0)
		return false;
	gnutls_hmac_fast(mac, salted, n, "Server Key", 10, client);
	gnutls_hmac_fast(mac, client, n, talk, strlen(talk), sum);
	sum[0] ^= strcmp(w->fault, "signature") == 0;
	encode(coded, sizeof coded, sum, n);
	snprintf(out, size, "v=%s", coded);
	return true;
}

static enum sasld_answer scram_step(struct sasld *s, const struct sasld_world *w, const char *said,
                                    char *out, size_t size)
{
	char text[256];

	switch (s->step++) {
	case 1:
		if (!scram_hear_first(s, w, said))
			return SASLD_NO;
		encode(out, size, s->server, strlen(s->server));
		if (strcmp(w->fault, "rubbish") == 0)
			snprintf(out, size, "!rubbish!");
		return SASLD_ASK;
	case 2:
		if (!scram_hear_final(s, w, said, text, sizeof text))
			return SASLD_NO;
		encode(out, size, text, strlen(text));
		return strcmp(w->fault, "trust") == 0 ? SASLD_YES : SASLD_ASK;
	default:
		return *said == '\0' ? SASLD_YES : SASLD_NO;
	}
}

/* -- any ---------------------------------------------------------------------------------- */

/* Step 0 is what comes before the client's first words. */
static enum sasld_answer any_step(struct sasld *s, const struct sasld_world *w, const char *said,
                                  char *out, size_t size)
{
	static const char why[] = "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}";

	if (s->mech >= SCRAM_1 && s->mech <= SCRAM_256_PLUS)
		return scram_step(s, w, said, out, size);
	if (s->mech == CRAM_MD5)
		return cram_is_right(w, said) ? SASLD_YES : SASLD_NO;
	if (s->mech == EXTERNAL)
		return *said == '\0' ? SASLD_YES : SASLD_NO;
	if (s->refused || token_is_right(s->mech, w, said))
		return s->refused ? SASLD_NO : SASLD_YES;
	s->refused = true;
	encode(out, size, why, sizeof why - 1);
	return SASLD_ASK;
}

enum sasld_answer sasld_step(struct sasld *s, const struct sasld_world *w, const char *line,
                             char *out, size_t size)
{
	enum sasld_answer answer;
	char *said;
	size_t len;

	out[0] = '\0';
	if (!line) {
		s->step = 1;
		if (s->mech == CRAM_MD5)
			encode(out, size, CHALLENGE, strlen(CHALLENGE));
		return SASLD_ASK;
	}
	s->step += s->step == 0; /* it came with the command */
	said = decode(strcmp(line, "=") == 0 ? "" : line, &len);
	answer = said && strlen(said) == len ? any_step(s, w, said, out, size) : SASLD_NO;
	free(said);
	return answer;
}

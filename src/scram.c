/* SPDX-License-Identifier: MIT */
/*
 * scram.c - SCRAM-SHA-1 and SCRAM-SHA-256: both sides prove that they know the password, and
 * neither says it.
 *
 * The proof is only as good as what is insisted on here.  The server's nonce extends ours, so an
 * old conversation cannot be played again.  It may not ask for fewer than 4096 rounds, which
 * would make the password cheap to guess from our proof, nor for more than ten million, which is
 * two seconds of work.  Its signature is compared at the end, so a server that let us in without
 * knowing the password is found out.
 *
 * The password is normalised as RFC 8265 has it where it is UTF-8, and taken as it is elsewhere;
 * for ASCII that is the same.
 *
 * On failure nothing was added and the exchange can only be given up.  Called by auth.c.
 */
#include "config.h"

#include "scram.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "sasl.h"

#define LEAST_ROUNDS 4096u     /* RFC 5802 section 5.1, RFC 7677 section 4 */
#define MOST_ROUNDS 10000000u
#define MAX_MESSAGE 4096       /* of the server */
#define MAX_SALT 1024

/* The server's first message. */
struct challenge {
	const char *nonce, *salt;
	size_t nonce_len, salt_len;
	uint64_t rounds;
};

static gnutls_mac_algorithm_t mac_of(const struct scram *scram)
{
	return scram->sha256 ? GNUTLS_MAC_SHA256 : GNUTLS_MAC_SHA1;
}

static size_t size_of(const struct scram *scram)
{
	return scram->sha256 ? 32 : 20;
}

/* -- the first message -------------------------------------------------------------------- */

/* RFC 5802 section 5.1: saslname. */
static void add_name(struct str *to, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == '=' || *name == ',')
			str_puts(to, *name == '=' ? "=3D" : "=2C");
		else
			str_add(to, name, 1);
	}
}

void scram_begin(struct scram *scram, bool sha256, const char *user, const char *name,
                 const void *bytes, size_t len)
{
	*scram = (struct scram){.sha256 = sha256, .first = {.max = 1u << 20}, .binding = {.max = 4096}};
	random_hex(scram->nonce, sizeof(scram->nonce) / 2);
	str_puts(&scram->first, "n=");
	add_name(&scram->first, user);
	if (name != NULL)
		str_printf(&scram->binding, "p=%s,,", name);
	else
		str_puts(&scram->binding, "n,,");
	scram->header = scram->binding.len;
	if (name != NULL)
		str_add(&scram->binding, bytes, len);
}

int scram_first(const struct scram *scram, struct str *to)
{
	if (str_add(to, scram->binding.s, scram->header) == -1)
		return -1;
	return str_printf(to, "%s,r=%s", scram->first.s, scram->nonce);
}

/* -- the server's first message ----------------------------------------------------------- */

/* The value of attribute `name` if that is what comes next; a comma ends it. */
static bool take(const char **at, const char *end, char name, const char **value, size_t *len)
{
	const char *comma;

	if (end - *at < 2 || **at != name || (*at)[1] != '=')
		return false;
	*value = *at + 2;
	comma = memchr(*value, ',', (size_t)(end - *value));
	*len = (size_t)((comma != NULL ? comma : end) - *value);
	*at = comma != NULL ? comma + 1 : end;
	return *len > 0;
}

static int read_challenge(const struct scram *scram, const char *said, size_t len,
                          struct challenge *c, struct error *err)
{
	const char *end = said + len, *rounds;
	size_t ours = strlen(scram->nonce), digits;

	if (len > MAX_MESSAGE)
		return error_set(err, ERR_PROTOCOL, "the server's SCRAM message is too long");
	if (len > 1 && said[0] == 'm' && said[1] == '=')
		return error_set(err, ERR_PROTOCOL, "the server demands an extension of SCRAM that "
		                 "mailhaul does not know");
	if (!take(&said, end, 'r', &c->nonce, &c->nonce_len) ||
	    !take(&said, end, 's', &c->salt, &c->salt_len) ||
	    !take(&said, end, 'i', &rounds, &digits) ||
	    !number_parse(rounds, digits, UINT32_MAX, &c->rounds))
		return error_set(err, ERR_PROTOCOL, "the server's SCRAM message makes no sense");
	if (c->nonce_len <= ours || memcmp(c->nonce, scram->nonce, ours) != 0)
		return error_set(err, ERR_PROTOCOL, "the server's SCRAM nonce does not extend ours: an "
		                 "answer to somebody else, or an attack");
	if (c->rounds < LEAST_ROUNDS || c->rounds > MOST_ROUNDS)
		return error_set(err, ERR_PROTOCOL, "the server asks for %llu rounds of SCRAM; only %u to "
		                 "%u are done", (unsigned long long)c->rounds, LEAST_ROUNDS, MOST_ROUNDS);
	return 0;
}

/* -- the proof ---------------------------------------------------------------------------- */

/* SaltedPassword of RFC 5802 section 3.  A GnuTLS code. */
static int salt_password(const struct scram *scram, const char *password, const struct str *salt,
                         unsigned rounds, unsigned char *salted)
{
	gnutls_datum_t key = {0};
	gnutls_datum_t grains = {(unsigned char *)salt->s, (unsigned)salt->len};
	bool normal = gnutls_utf8_password_normalize((const unsigned char *)password,
	                                             (unsigned)strlen(password), &key, 0) == 0;
	gnutls_datum_t plain = {(unsigned char *)password, (unsigned)strlen(password)};
	int rc = gnutls_pbkdf2(mac_of(scram), normal ? &key : &plain, &grains, rounds, salted,
	                       size_of(scram));

	if (key.data != NULL)
		explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	return rc;
}

/* HMAC(key, text). */
static int sign(const struct scram *scram, const unsigned char *key, const struct str *text,
                unsigned char *to)
{
	return gnutls_hmac_fast(mac_of(scram), key, size_of(scram), text->s, text->len, to);
}

/* From the salted password and the AuthMessage: our proof, and the one we expect.  A GnuTLS
 * code. */
static int prove(struct scram *scram, const unsigned char *salted, const struct str *talk,
                 unsigned char *proof)
{
	struct str client = {.s = (char[]){"Client Key"}, .len = 10};
	struct str server = {.s = (char[]){"Server Key"}, .len = 10};
	unsigned char key[SCRAM_MAX_HASH], stored[SCRAM_MAX_HASH];
	gnutls_digest_algorithm_t hash = scram->sha256 ? GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA1;
	int rc = sign(scram, salted, &client, proof);

	if (rc == 0)
		rc = gnutls_hash_fast(hash, proof, size_of(scram), stored);
	if (rc == 0)
		rc = sign(scram, stored, talk, key);
	for (size_t i = 0; i < size_of(scram) && rc == 0; i++)
		proof[i] ^= key[i];
	if (rc == 0)
		rc = sign(scram, salted, &server, key);
	if (rc == 0)
		rc = sign(scram, key, talk, scram->proof_of_server);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(stored, sizeof(stored));
	return rc;
}

/* The final message without its proof, and in front of it, in talk, all that was said before. */
static int compose(const struct scram *scram, const struct challenge *c, const char *said,
                   size_t len, struct str *talk, struct str *final)
{
	if (str_puts(final, "c=") == -1 ||
	    sasl_base64(final, scram->binding.s, scram->binding.len) == -1 ||
	    str_puts(final, ",r=") == -1 || str_add(final, c->nonce, c->nonce_len) == -1)
		return -1;
	if (str_printf(talk, "%s,r=%s,", scram->first.s, scram->nonce) == -1 ||
	    str_add(talk, said, len) == -1 || str_puts(talk, ",") == -1)
		return -1;
	return str_add(talk, final->s, final->len);
}

int scram_final(struct scram *scram, const char *password, const char *said, size_t len,
                struct str *to, struct error *err)
{
	struct str salt = {.max = MAX_SALT}, talk = {.max = 2u << 20}, final = {.max = 1u << 16};
	unsigned char salted[SCRAM_MAX_HASH], proof[SCRAM_MAX_HASH];
	struct challenge c;
	int rc = read_challenge(scram, said, len, &c, err);

	if (rc == 0 && !sasl_unbase64(&salt, c.salt, c.salt_len))
		rc = error_set(err, ERR_PROTOCOL, "the server's SCRAM salt is no base64");
	if (rc == -1)
		goto out;
	rc = compose(scram, &c, said, len, &talk, &final);
	if (rc == 0)
		rc = salt_password(scram, password, &salt, (unsigned)c.rounds, salted);
	if (rc == 0)
		rc = prove(scram, salted, &talk, proof);
	if (rc == 0 && str_puts(&final, ",p=") == 0 &&
	    sasl_base64(&final, (char *)proof, size_of(scram)) == 0)
		rc = str_add(to, final.s, final.len);
	if (rc != 0)
		rc = error_set(err, ERR_UNAVAILABLE, "this machine's GnuTLS cannot do SCRAM");
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(proof, sizeof(proof));
out:
	str_free(&salt);
	str_wipe(&talk);
	str_wipe(&final);
	return rc;
}

/* -- the server's proof ------------------------------------------------------------------- */

int scram_check(struct scram *scram, const char *said, size_t len, struct error *err)
{
	struct str signature = {.max = 64};
	const char *end = said + len, *value;
	size_t value_len;
	char shown[128];

	if (take(&said, end, 'e', &value, &value_len))
		return error_set(err, ERR_AUTH, "login refused: %s",
		                 printable(shown, sizeof(shown), value, value_len));
	scram->proven = take(&said, end, 'v', &value, &value_len) &&
	                sasl_unbase64(&signature, value, value_len) &&
	                signature.len == size_of(scram) &&
	                gnutls_memcmp(signature.s, scram->proof_of_server, signature.len) == 0;
	str_free(&signature);
	if (scram->proven)
		return 0;
	return error_set(err, ERR_AUTH, "the server does not know the password: somebody else may have "
	                 "answered in its place; nothing was fetched");
}

void scram_free(struct scram *scram)
{
	str_wipe(&scram->first);
	str_wipe(&scram->binding);
	explicit_bzero(scram, sizeof(*scram));
}

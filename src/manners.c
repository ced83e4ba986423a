/* SPDX-License-Identifier: MIT */
/*
 * manners.c - when it is time to log in.
 *
 * To know whether a refused login is tried again, the login is marked: a random salt and a hash of
 * all that is said at the login, the password among it.  A stranger who reads the journal shall not
 * get the password from it, so the hash is slow (PBKDF2) and cut to twelve bits: a million likely
 * passwords still leave hundreds that fit.  A new password that happens to have the same mark, one
 * of 4096, waits for its hour.
 *
 * X-GOOGLE-RICO: Gmail announces LOGIN-DELAY 300 and does not mind; since it shows its mailbox in
 * windows of a session each, to obey the announcement would take days.  What it enforces is obeyed.
 *
 * Called by the worker, before it dials and after each session.
 */
#include "config.h"

#include "manners.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#define SALT_BYTES 8
#define SALT_DIGITS 16
#define MARK_DIGITS 3
#define ROUNDS 20000          /* about 4 ms */
#define LONGEST_PAUSE 86400u  /* s; a longer one is not believed */
#define USUAL_PAUSE 60u       /* s, where [LOGIN-DELAY] came without a number */
#define DAY 86400u

/* The mark of a login under this salt.  mark has the size of memory_login's. */
static void make_mark(char *mark, size_t size, const char *salt, const struct account *account,
                      const char *secret)
{
	const struct login *login = &account->login;
	struct str grains = {.max = 8192};
	gnutls_datum_t key = {(unsigned char *)secret, (unsigned)strlen(secret)}, data;
	unsigned char hash[32] = {0};

	str_printf(&grains, "%.16s\n%s\n%llu\n%s\n%d", salt, account->server.host,
	           (unsigned long long)account->server.port, login->user != NULL ? login->user : "",
	           login->auth);
	data = (gnutls_datum_t){(unsigned char *)grains.s, (unsigned)grains.len};
	gnutls_pbkdf2(GNUTLS_MAC_SHA256, &key, &data, ROUNDS, hash, sizeof hash);
	snprintf(mark, size, "%.16s%02x%x", salt, hash[0], hash[1] & 0xfu);
	explicit_bzero(hash, sizeof hash);
	str_free(&grains);
}

/* True where this is the login that was refused last. */
static bool is_same(const struct memory_login *known, const struct account *account,
                    const char *secret)
{
	char mark[sizeof known->mark];

	if (strlen(known->mark) != SALT_DIGITS + MARK_DIGITS)
		return false;
	make_mark(mark, sizeof mark, known->mark, account, secret);
	return strcmp(mark, known->mark) == 0;
}

int manners_may_dial(const struct seen *seen, uint64_t now, struct error *err)
{
	const struct memory_login *known = seen_login(seen);

	if (known->pause == 0 || now < known->last || now >= known->last + known->pause)
		return 0;
	error_set(err, ERR_TEMP, "the server wants %llu seconds from login to login; the next may be "
	          "in %llu", (unsigned long long)known->pause,
	          (unsigned long long)(known->last + known->pause - now));
	err->waiting = true;
	return -1;
}

int manners_may_try(const struct seen *seen, const struct account *account, const char *secret,
                    uint64_t now, struct error *err)
{
	const struct memory_login *known = seen_login(seen);

	if (known->refused < MANNERS_REFUSALS || now < known->refused_at ||
	    now >= known->refused_at + MANNERS_HOUR || !is_same(known, account, secret))
		return 0;
	error_set(err, ERR_AUTH, "the server has refused this login %llu times in a row; lest the "
	          "account be locked it is tried again in %llu minutes, or as soon as the password or "
	          "the user is another", (unsigned long long)known->refused,
	          (unsigned long long)(known->refused_at + MANNERS_HOUR - now + 59) / 60);
	err->waiting = true;
	return -1;
}

/* What CAPA said about mail that stays. */
static void tell_expiry(const struct wire_capa *capa, const struct policy *policy)
{
	if (!capa->expire || capa->expire_days >= policy->keep / DAY || policy->keep == 0)
		return;
	if (capa->expire_days == 0)
		note(NOTE_INFO, "the server announces (EXPIRE 0) that it may delete mail as soon as it was "
		     "fetched, whatever keep says");
	else
		note(NOTE_INFO, "the server announces (EXPIRE) that it deletes mail after %llu days, "
		     "whatever keep says", (unsigned long long)capa->expire_days);
}

/* The pause that counts from now on. */
static uint64_t pause_of(const struct memory_login *known, const struct pop3 *pop3)
{
	uint64_t pause = pop3->capa.login_delay;

	if (pop3->too_soon)
		pause = pause > 0 ? pause : known->pause > 0 ? known->pause : USUAL_PAUSE;
	else if (pop3->capa.windows)
		pause = 0;
	return pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE;
}

int manners_learn(struct seen *seen, const struct account *account, const char *secret,
                  const struct pop3 *pop3, uint64_t now, struct error *err)
{
	const struct memory_login *known = seen_login(seen);
	char salt[SALT_DIGITS + 1], mark[sizeof known->mark];

	if (pop3->refused) {
		random_hex(salt, SALT_BYTES);
		make_mark(mark, sizeof mark, is_same(known, account, secret) ? known->mark : salt, account,
		          secret);
		return seen_refused(seen, mark, now, err);
	}
	if (pop3->in) {
		tell_expiry(&pop3->capa, &account->policy);
		if (seen_admitted(seen, err) == -1)
			return -1;
	}
	return pop3->in || pop3->too_soon ? seen_pause(seen, pause_of(known, pop3), now, err) : 0;
}

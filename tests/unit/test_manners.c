/* SPDX-License-Identifier: MIT */
/*
 * test_manners.c - pauses between logins and refused ones, by a clock that is told.
 */
#include "config.h"

#include "manners.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define NOW 1800000000u

static char dir[64];
static struct seen *seen;
static struct error err;
static struct account account = {.server = {.host = (char *)"h", .port = 995},
                                 .login = {.user = (char *)"joe"}};

static void reopen(void)
{
	if (seen)
		seen_close(&seen, true);
	err = (struct error){0};
	if (seen_open(&seen, dir, false, &err) == -1)
		printf("Bail out! %s\n", err.text);
}

static int learn(const char *secret, struct pop3 pop3, uint64_t now)
{
	return manners_learn(seen, &account, secret, &pop3, now, &err);
}

static bool may_try(const char *secret, uint64_t now)
{
	return manners_may_try(seen, &account, secret, now, &err) == 0;
}

static bool may_dial(uint64_t now)
{
	return manners_may_dial(seen, now, &err) == 0;
}

static bool journal_has(const char *text)
{
	char path[96], bytes[20000] = "";
	FILE *f;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/journal", dir);
	if ((f = fopen(path, "r"))) {
		n = fread(bytes, 1, sizeof(bytes) - 1, f);
		fclose(f);
	}
	return memmem(bytes, n, text, strlen(text)) != NULL;
}

static void test_refusals(void)
{
	static const struct pop3 refused = {.refused = true}, in = {.in = true};
	int same = 0;

	reopen();
	OK(may_try("sesame", NOW), "nothing is known yet");
	for (int i = 0; i < 3; i++) {
		OK(may_try("sesame", NOW + 1), "not refused three times yet");
		OK(learn("sesame", refused, NOW) == 0, "refused");
	}
	OK(!may_try("sesame", NOW + 1) && err.kind == ERR_AUTH && strstr(err.text, "3 times"),
	   "refused three times");
	reopen();
	OK(!may_try("sesame", NOW + 3599), "which outlives the run");
	OK(may_try("sesame", NOW + 3600), "an hour later");
	OK(may_try("sesame", NOW - 1), "a clock that went back keeps nobody out");
	OK(may_try("other", NOW + 1), "another password");
	account.login.user = (char *)"ann";
	OK(may_try("sesame", NOW + 1), "another user");
	account.login.user = (char *)"joe";
	account.login.auth = AUTH_LOGIN;
	OK(may_try("sesame", NOW + 1), "another mechanism");
	account.login.auth = AUTH_AUTO;
	account.server.host = (char *)"g";
	OK(may_try("sesame", NOW + 1), "another server");
	account.server.host = (char *)"h";
	OK(!journal_has("sesame") && journal_has(" A 3 1800000000 "), "the journal has a mark only");
	for (int i = 0; i < 100; i++) {
		char password[16];

		snprintf(password, sizeof(password), "pw%d", i);
		same += !may_try(password, NOW + 1);
	}
	OK(same <= 2, "few passwords have the same mark");
	OK(learn("sesame", refused, NOW + 4000) == 0 && !may_try("sesame", NOW + 4001),
	   "refused once more after the hour: another hour");
	OK(learn("other", refused, NOW + 5000) == 0 && may_try("other", NOW + 5001) &&
	       may_try("sesame", NOW + 5001),
	   "another login begins to count anew");
	OK(learn("sesame", in, NOW) == 0 && seen_login(seen)->refused == 0, "success clears the count");
	OK(learn("sesame", (struct pop3){0}, NOW) == 0 && seen_login(seen)->refused == 0,
	   "a session that never came to the login teaches nothing");
}

static void test_pauses(void)
{
	struct pop3 in = {.in = true, .capa = {.login_delay = 300}};

	reopen();
	OK(may_dial(NOW), "nothing is known yet");
	OK(learn("x", in, NOW) == 0 && !may_dial(NOW) && err.kind == ERR_TEMP, "the announced pause");
	reopen();
	OK(!may_dial(NOW + 299) && may_dial(NOW + 300) && may_dial(NOW - 1), "outlives the run");
	in.capa.windows = true;
	OK(learn("x", in, NOW + 300) == 0 && may_dial(NOW + 301), "Gmail's is not meant");
	OK(learn("x", (struct pop3){.too_soon = true, .capa = in.capa}, NOW) == 0 &&
	       !may_dial(NOW + 299) && may_dial(NOW + 300),
	   "unless it is");
	OK(learn("x", (struct pop3){.in = true}, NOW) == 0 && may_dial(NOW), "no pause any more");
	OK(learn("x", (struct pop3){.too_soon = true}, NOW) == 0 && !may_dial(NOW + 59) &&
	       may_dial(NOW + 60),
	   "one that was not announced");
	in = (struct pop3){.in = true, .capa = {.login_delay = UINT32_MAX}};
	OK(learn("x", in, NOW) == 0 && !may_dial(NOW + 86399) && may_dial(NOW + 86400),
	   "no pause is longer than a day");
	OK(learn("x", (struct pop3){0}, NOW + 1) == 0 && !may_dial(NOW + 86399), "nothing learned");
}

int main(void)
{
	char command[96];

	snprintf(dir, sizeof(dir), "%.40s/mannersXXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir))
		return 1;
	test_refusals();
	test_pauses();
	seen_close(&seen, true);
	snprintf(command, sizeof(command), "%s/journal", dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/lock", dir);
	unlink(command);
	rmdir(dir);
	return tap_end();
}

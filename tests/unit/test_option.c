/* SPDX-License-Identifier: MIT */
/*
 * test_option.c - the option table itself, the reading and showing of values, who wins among
 * several sources, and the judgement of the whole account.
 */
#include "config.h"

#include "option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *what_of(const char *a, const char *b)
{
	static char text[200];

	snprintf(text, sizeof(text), "%.60s: %.120s", a, b ? b : "(null)");
	return text;
}

/* -- the table ---------------------------------------------------------------------------- */

static void test_table(void)
{
	bool names = true, words = true, helps = true, limits = true, unique = true, places = true;

	for (size_t i = 0; i < options_count; i++) {
		const struct option *row = &options[i];
		size_t len = strlen(row->name);

		names &= len > 0 && len <= 24 && strspn(row->name, "abcdefghijklmnopqrstuvwxyz_") == len;
		words &= (row->type == OPTION_WORD) == (row->words != NULL);
		helps &= row->help && row->help[0] && row->arg && row->arg[0] && strlen(row->help) <= 64;
		limits &= row->min <= row->max;
		for (size_t j = 0; j < i; j++) {
			unique &= strcmp(row->name, options[j].name) != 0;
			places &= row->run != options[j].run || row->offset != options[j].offset;
		}
		OK(option_find(row->name, row->run) == row, what_of(row->name, "is found"));
		OK(!option_find(row->name, !row->run), what_of(row->name, "is not found elsewhere"));
	}
	OK(names, "names are short, lower case, without blanks");
	OK(words, "words where they belong");
	OK(helps, "each row has its help and the name of its argument");
	OK(limits, "no row's limits exclude everything");
	OK(unique, "names are unique, also between run and account");
	OK(places, "no two rows share a field");
	OK(!option_find("Host", false), "names are found in lower case only");
}

static void test_fallbacks(void)
{
	struct account account;
	struct run_options run;

	account_init(&account, "work");
	run_options_init(&run);
	for (size_t i = 0; i < options_count; i++) {
		struct str text = {.max = 200};
		bool shown = options[i].run ? option_show_run(&run, &options[i], &text)
		                            : option_show(&account, &options[i], &text);
		struct error err = {0};

		EQUAL(shown, options[i].fallback != NULL, what_of(options[i].name, "shown by default"));
		if (options[i].fallback && !options[i].run)
			EQUAL(option_set(&account, options[i].name, options[i].fallback, ORIGIN_COMMAND, &err),
			      0, what_of(options[i].name, "the fallback can be read"));
		str_free(&text);
	}
	SAME(account.name, "work", "the name");
	OK(account.automatic && account.target.received && !account.target.to_stdout, "yes and no");
	EQUAL(account.policy.keep, 0, "nothing is kept");
	EQUAL(account.server.timeout, 60, "timeout");
	EQUAL(account.server.connect_timeout, 30, "connect_timeout");
	EQUAL(account.target.mda_timeout, 300, "mda_timeout");
	EQUAL(account.server.tls, TLS_BY_PORT, "tls");
	EQUAL(run.jobs, 8, "jobs");
	account_free(&account);
	account_free(&account);
	OK(!account.name && !account.origin, "freed twice");
}

/* -- values ------------------------------------------------------------------------------- */

/* shown: by option_show after it was set. */
static const struct {
	const char *name, *value, *shown;
} good[] = {
	{"host", "pop.example.org", "pop.example.org"},
	{"host", "::1", "::1"},
	{"host", "fe80::1%eth0", "fe80::1%eth0"},
	{"host", "b\303\274cher.example", "b\303\274cher.example"},
	{"user", "joe@example.org", "joe@example.org"},
	{"user", "joe average", "joe average"},
	{"user", " joe", "\" joe\""},
	{"user", "joe ", "\"joe \""},
	{"user", "a#b", "\"a#b\""},
	{"user", "a;b\"c", "'a;b\"c'"},
	{"user", "'joe", "\"'joe\""},
	{"user", "\"joe\"", "'\"joe\"'"},
	{"user", "jo\"e", "jo\"e"},
	{"user", "DOM\\joe", "DOM\\joe"},
	{"password", "#s3;cret\"'\\", "***"},
	{"password_command", "pass show work", "pass show work"},
	{"password_file", "$CREDENTIALS_DIRECTORY/work", "$CREDENTIALS_DIRECTORY/work"},
	{"password_file", "/etc/pw", "/etc/pw"},
	{"tls_ca_file", "~/ca.pem", "/home/joe/ca.pem"},
	{"maildir", "~", "/home/joe"},
	{"maildir", "~/", "/home/joe"},
	{"maildir", "~/Mail/work//", "/home/joe/Mail/work"},
	{"maildir", "/", "/"},
	{"maildir", "/my mail", "/my mail"},
	{"mbox", "/var/mail/joe", "/var/mail/joe"},
	{"mda", "procmail -t -f %F", "procmail -t -f %F"},
	{"mda", "\"/opt/my mda\" -f", "'\"/opt/my mda\" -f'"},
	{"mda", "a\tb", "a\tb"},
	{"mda_shell", "a; b", "\"a; b\""},
	{"stdout", "yes", "yes"},
	{"stdout", "no", "no"},
	{"port", "1", "1"},
	{"port", "65535", "65535"},
	{"port", "0110", "110"},
	{"allow_cleartext", "YES", "yes"},
	{"allow_cleartext", "true", "yes"},
	{"allow_cleartext", "On", "yes"},
	{"allow_cleartext", "1", "yes"},
	{"received", "no", "no"},
	{"received", "false", "no"},
	{"received", "off", "no"},
	{"received", "0", "no"},
	{"auth", "auto", "auto"},
	{"auth", "user", "user"},
	{"auth", "PLAIN", "plain"},
	{"auth", "login", "login"},
	{"tls", "auto", "auto"},
	{"tls", "implicit", "implicit"},
	{"tls", "stls", "stls"},
	{"tls", "Off", "off"},
	{"pipelining", "on", "on"},
	{"pipelining", "off", "off"},
	{"timeout", "90", "90s"},
	{"timeout", "90s", "90s"},
	{"timeout", "120s", "2m"},
	{"timeout", "5m", "5m"},
	{"timeout", "2h", "2h"},
	{"timeout", "24h", "1d"},
	{"timeout", "3w", "21d"},
	{"timeout", "1", "1s"},
	{"timeout", "36525d", "36525d"},
	{"timeout", "3155760000", "36525d"},
	{"complain_after", "0", "0"},
	{"complain_after", "5", "5"},
	{"complain_after", "3600", "3600"},
	{"complain_after", "3600s", "1h"},
	{"complain_after", "1d", "1d"},
	{"keep", "yes", "yes"},
	{"keep", "on", "yes"},
	{"keep", "true", "yes"},
	{"keep", "no", "no"},
	{"keep", "OFF", "no"},
	{"keep", "false", "no"},
	{"keep", "30d", "30d"},
	{"keep", "2w", "14d"},
	{"keep", "90s", "90s"},
	{"max_size", "0", "0"},
	{"max_size", "500", "500"},
	{"max_size", "1024", "1k"},
	{"max_size", "500k", "500k"},
	{"max_size", "10M", "10M"},
	{"max_size", "10m", "10M"},
	{"max_size", "2G", "2G"},
	{"max_size", "2g", "2G"},
	{"max_size", "1025K", "1025k"},
	{"max_size", "8589934591G", "8589934591G"},
	{"max_size", "9223372036854775807", "9223372036854775807"},
	{"oversize", "leave", "leave"},
	{"oversize", "headers", "headers"},
	{"oversize", "delete", "delete"},
	{"filter", "sift --from %F 'a b'", "sift --from %F 'a b'"},
	{"mda_jobs", "1", "1"},
	{"mda_jobs", "16", "16"},
	{"mda_drop_status", "0", "0"},
	{"mda_drop_status", "1", "1"},
	{"mda_drop_status", "255", "255"},
	{"limit", "0", "0"},
	{"limit", "4294967295", "4294967295"},
	{"auto", "no", "no"},
};

/* said: part of the error, which always begins with the name. */
static const struct {
	const char *name, *value, *said;
} bad[] = {
	{"host", "", "empty"},
	{"host", "a b", "'a b' is not a host name"},
	{"host", "a/b", "not a host name"},
	{"host", "joe@a", "not a host name"},
	{"host", "a\x01" "b", "control character"},
	{"host", "a\nb", "control character"},
	{"host", "a\tb", "not a host name"},
	{"host", "pop.example.org:995", "the port is an option of its own"},
	{"host", "[::1]", "without brackets"},
	{"user", "", "empty"},
	{"user", "joe\r\nDELE 1", "control character"},
	{"user", "joe\r", "control character"},
	{"user", "joe\x7f", "control character"},
	{"password", "se\x1b[cret", "control character"},
	{"password", "", "empty"},
	{"tls_ca_file", "~joe/ca.pem", "~name is not read"},
	{"maildir", "$HOME/Mail", "$HOME is not read; write ~/ or the whole path"},
	{"mbox", "$MAIL", "$MAIL is not read; write ~/ or the whole path"},
	{"tls_key", "${HOME}/key.pem", "${HOME} is not read"},
	{"password_file", "$HOME/pw", "$HOME is not read"},
	{"maildir", "$CREDENTIALS_DIRECTORY/box", "$CREDENTIALS_DIRECTORY is not read"},
	{"maildir", "", "empty"},
	{"mbox", "/var/mail/", "use maildir"},
	{"mda", "", "empty"},
	{"mda", "a\nb", "control character"},
	{"port", "0", "'0' is not a number (1 to 65535)"},
	{"port", "65536", "1 to 65535"},
	{"port", "", "1 to 65535"},
	{"port", "pop3", "1 to 65535"},
	{"port", "-1", "1 to 65535"},
	{"port", "+1", "1 to 65535"},
	{"port", " 1", "1 to 65535"},
	{"port", "1 ", "1 to 65535"},
	{"port", "0x6e", "1 to 65535"},
	{"port", "11o", "1 to 65535"},
	{"port", "99999999999999999999", "1 to 65535"},
	{"port", "1d", "1 to 65535"},
	{"stdout", "ture", "'ture' is not yes or no"},
	{"stdout", "", "not yes or no"},
	{"stdout", "y", "not yes or no"},
	{"stdout", "2", "not yes or no"},
	{"stdout", "00", "not yes or no"},
	{"stdout", "tomorrow", "not yes or no"},
	{"auth", "cram", "'cram' is not one of auto, user, plain, login"},
	{"auth", "", "not one of"},
	{"auth", "palin", "; did you mean plain?"},
	{"auth", "oauth2", "; did you mean xoauth2?"},
	{"auth", "on", "; did you mean auto?"},
	{"tls", "on", "off; did you mean implicit?"},
	{"tls", "no", "off; did you mean off?"},
	{"tls", "STARTTLS", "off; did you mean stls?"},
	{"tls", "yes", "auto, implicit, stls, off"},
	{"tls", "ssl", "auto, implicit, stls, off; did you mean implicit?"},
	{"pipelining", "yes", "auto, on, off; did you mean on?"},
	{"family", "ipv6", "any, 4, 6"},
	{"timeout", "0", "1s to 36525d"},
	{"timeout", "0s", "1s to 36525d"},
	{"timeout", "", "90s, 5m, 2h or 30d"},
	{"timeout", "s", "90s, 5m"},
	{"timeout", "5 m", "90s, 5m"},
	{"timeout", "5M", "90s, 5m"},
	{"timeout", "5min", "90s, 5m"},
	{"timeout", "1h30m", "90s, 5m"},
	{"timeout", "1.5h", "90s, 5m"},
	{"timeout", "-5m", "90s, 5m"},
	{"timeout", "36526d", "36525d"},
	{"timeout", "3155760001", "36525d"},
	{"timeout", "99999999999999999999w", "36525d"},
	{"timeout", "213503982334602d", "36525d"},
	{"timeout", "yes", "90s, 5m"},
	{"mda_timeout", "forever", "90s, 5m"},
	{"complain_after", "no",
	 "'no' is not a number of failures, or a time such as 2h (0 to 36525d)"},
	{"complain_after", "-1", "a number of failures"},
	{"complain_after", "36526d", "a number of failures"},
	{"complain_after", "9223372036854775809", "a number of failures"},
	{"complain_after", "", "a number of failures"},
	{"keep", "", "yes, no or a time with its unit such as 30d"},
	{"keep", "1", "with its unit"},
	{"keep", "0", "with its unit"},
	{"keep", "30", "'30' is not yes, no or a time with its unit"},
	{"keep", "0d", "with its unit"},
	{"keep", "y", "with its unit"},
	{"keep", "nope", "with its unit"},
	{"keep", "forever", "with its unit"},
	{"keep", "30 d", "with its unit"},
	{"keep", "d", "with its unit"},
	{"keep", "36526d", "with its unit"},
	{"max_size", "-1", "500k, 10M or 2G"},
	{"max_size", "10MB", "500k, 10M or 2G"},
	{"max_size", "10 M", "500k, 10M or 2G"},
	{"max_size", "M", "500k, 10M or 2G"},
	{"max_size", "1e6", "500k, 10M or 2G"},
	{"max_size", "9223372036854775808", "500k, 10M or 2G"},
	{"max_size", "8589934592G", "500k, 10M or 2G"},
	{"max_size", "18014398509481985k", "500k, 10M or 2G"},
	{"oversize", "header", "leave, headers, delete"},
	{"oversize", "yes", "leave, headers, delete"},
	{"filter", "", "empty"},
	{"mda_jobs", "0", "1 to 16"},
	{"mda_jobs", "17", "1 to 16"},
	{"mda_drop_status", "256", "0 to 255"},
	{"mda_drop_status", "-1", "0 to 255"},
	{"mda_drop_status", "99,100", "0 to 255"},
	{"limit", "4294967296", "0 to 4294967295"},
	{"limit", "k", "0 to 4294967295"},
	{"auto", "maybe", "yes or no"},
	{"passwrod", "x", "did you mean 'password'?"},
	{"frobnicate", "x", "there is no such option"},
	{"jobs", "4", "an option of the run"},
	{"\033[2J", "x", "\\x1b[2J: there is no such option"},
};

static void test_good(void)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct account account;
		struct error err = {0};
		struct str text = {.max = 8192};
		const char *what = what_of(good[i].name, good[i].value);

		account_init(&account, "work");
		if (OK(!option_set(&account, good[i].name, good[i].value, ORIGIN_ACCOUNT, &err), what)) {
			OK(option_show(&account, option_find(good[i].name, false), &text), "it is shown");
			SAME(text.s, good[i].shown, what_of(good[i].name, "how it is shown"));
		} else {
			printf("# %s\n", err.text);
		}
		str_free(&text);
		account_free(&account);
	}
}

static void test_bad(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct account account;
		struct error err = {0};
		const char *what = what_of(bad[i].name, bad[i].value);
		bool known = option_find(bad[i].name, false) != NULL;

		account_init(&account, "work");
		OK(option_set(&account, bad[i].name, bad[i].value, ORIGIN_ACCOUNT, &err) == -1, what);
		EQUAL(err.kind, ERR_CONFIG, "its kind");
		if (!OK(strstr(err.text, bad[i].said) &&
		        (!known || strncmp(err.text, bad[i].name, strlen(bad[i].name)) == 0), err.text))
			printf("# want: %s\n", bad[i].said);
		for (size_t j = 0; j < options_count; j++)
			if (account.origin[j] != ORIGIN_NONE)
				OK(0, "nothing was set");
		account_free(&account);
	}
}

static void test_run(void)
{
	static const char *const refused[] = {"0", "257", "", "x", "8k", "-1"};
	struct run_options run;
	struct error err = {0};

	run_options_init(&run);
	EQUAL(option_set_run(&run, "jobs", "256", &err), 0, "jobs = 256");
	EQUAL(run.jobs, 256, "it is set");
	for (size_t i = 0; i < COUNT(refused); i++)
		OK(option_set_run(&run, "jobs", refused[i], &err) == -1, what_of("jobs", refused[i]));
	EQUAL(run.jobs, 256, "what is refused changes nothing");
	OK(option_set_run(&run, "host", "a", &err) == -1 && strstr(err.text, "of an account"),
	   "an account's option for the run");
	OK(option_set_run(&run, "job", "1", &err) == -1 && strstr(err.text, "did you mean 'jobs'?"),
	   "did you mean jobs");
}

static void test_long(void)
{
	static const struct {
		const char *name;
		size_t most;
	} most[] = {{"host", 255}, {"user", 4000}, {"maildir", 4000}, {"password", 65536},
	            {"mda", 65536}};

	for (size_t i = 0; i < COUNT(most); i++) {
		struct account account;
		struct error err = {0};
		char *value = xmalloc(most[i].most + 2);

		account_init(&account, "work");
		memset(value, 'x', most[i].most + 1);
		value[0] = '/' + (strcmp(most[i].name, "maildir") != 0);
		value[most[i].most + 1] = '\0';
		OK(option_set(&account, most[i].name, value, ORIGIN_ACCOUNT, &err) == -1 &&
		   strstr(err.text, "too long"), what_of(most[i].name, "too long"));
		value[most[i].most] = '\0';
		EQUAL(option_set(&account, most[i].name, value, ORIGIN_ACCOUNT, &err), 0,
		      what_of(most[i].name, "just not too long"));
		free(value);
		account_free(&account);
	}
}

static void test_paths(void)
{
	struct account account;
	struct error err = {0};
	char here[3000], want[3100];

	account_init(&account, "work");
	OK(getcwd(here, sizeof(here)) != NULL, "the current directory");
	snprintf(want, sizeof(want), "%s/Mail", here);
	option_set(&account, "maildir", "Mail/", ORIGIN_ACCOUNT, &err);
	SAME(account.target.maildir, want, "a relative path becomes absolute");
	setenv("HOME", "nowhere", 1);
	OK(option_set(&account, "tls_ca_file", "~/ca", ORIGIN_ACCOUNT, &err) == -1 &&
	   strstr(err.text, "HOME"), "a relative HOME is none");
	unsetenv("HOME");
	OK(option_set(&account, "tls_ca_file", "~/ca", ORIGIN_ACCOUNT, &err) == -1 &&
	   strstr(err.text, "HOME"), "without HOME");
	setenv("HOME", "/home/joe", 1);
	account_free(&account);
}

/* A secret, or a command that may hold one, is never in a text. */
static void test_secrets(void)
{
	static const char *const names[] = {"password", "password_command", "mda", "mda_shell"};

	for (size_t i = 0; i < COUNT(names); i++) {
		struct account account;
		struct error err = {0};

		account_init(&account, "work");
		OK(option_set(&account, names[i], "hunter2\n", ORIGIN_ACCOUNT, &err) == -1 &&
		   !strstr(err.text, "hunter2"), what_of(names[i], "not in the error"));
		account_free(&account);
	}
}

/* -- who wins ----------------------------------------------------------------------------- */

#define D ORIGIN_DEFAULTS
#define A ORIGIN_ACCOUNT
#define C ORIGIN_COMMAND

/* A sequence of settings; said: part of the last one's error; else shown: "NAME=VALUE" of what is
 * set among the options named, in the table's order. */
static const struct {
	const char *what;
	struct {
		const char *name, *value;
		enum option_origin origin;
	} set[4];
	const char *said, *shown;
} contests[] = {
	{"the account beats the defaults", {{"user", "a", D}, {"user", "b", A}}, NULL, "user=b "},
	{"in either order", {{"user", "b", A}, {"user", "a", D}}, NULL, "user=b "},
	{"the command line beats both", {{"user", "c", C}, {"user", "b", A}, {"user", "a", D}}, NULL,
	 "user=c "},
	{"twice in the account", {{"user", "a", A}, {"user", "b", A}}, "user: given twice", NULL},
	{"twice in the defaults", {{"user", "a", D}, {"user", "b", D}}, "user: given twice", NULL},
	{"twice on the command line", {{"user", "a", C}, {"user", "b", C}}, NULL, "user=b "},
	{"a weaker value is judged, too", {{"port", "1", C}, {"port", "x", A}}, "port: 'x'", NULL},
	{"two destinations", {{"maildir", "/a", A}, {"mbox", "/b", A}}, "mbox: there is maildir", NULL},
	{"two on the command line", {{"mda", "a", C}, {"mda_shell", "b", C}},
	 "mda_shell: there is mda already", NULL},
	{"two in the defaults", {{"mbox", "/a", D}, {"stdout", "yes", D}}, "stdout: there is mbox",
	 NULL},
	{"stdout and another", {{"stdout", "yes", A}, {"mda", "x", A}}, "mda: there is stdout", NULL},
	{"the account's destination replaces", {{"maildir", "/a", D}, {"mbox", "/b", A}}, NULL,
	 "mbox=/b "},
	{"the command line's replaces", {{"mbox", "/a", A}, {"mda", "b", C}}, NULL, "mda=b "},
	{"a weaker destination stays out", {{"mda", "b", C}, {"mbox", "/a", A}}, NULL, "mda=b "},
	{"both weaker ones are gone", {{"maildir", "/a", D}, {"mbox", "/b", A}, {"stdout", "yes", C}},
	 NULL, "stdout=yes "},
	{"what was replaced is free again", {{"maildir", "/a", D}, {"mbox", "/b", A},
	 {"maildir", "/c", C}}, NULL, "maildir=/c "},
	{"two in the account after a default", {{"maildir", "/a", D}, {"mbox", "/b", A},
	 {"maildir", "/c", A}}, "maildir: there is mbox", NULL},
	{"a destination replaces stdout", {{"stdout", "yes", D}, {"mbox", "/b", A}}, NULL,
	 "mbox=/b "},
	{"stdout = no clears stdout = yes", {{"stdout", "yes", D}, {"stdout", "no", A}}, NULL,
	 "stdout=no "},
	{"stdout = no leaves others alone", {{"maildir", "/a", D}, {"stdout", "no", C}}, NULL,
	 "maildir=/a stdout=no "},
	{"stdout = no beside another", {{"stdout", "no", A}, {"maildir", "/a", A}}, NULL,
	 "maildir=/a stdout=no "},
	{"stdout = no beside another, turned", {{"maildir", "/a", A}, {"stdout", "no", A}}, NULL,
	 "maildir=/a stdout=no "},
	{"stdout twice", {{"stdout", "no", A}, {"stdout", "yes", A}}, "stdout: given twice", NULL},
	{"stdout, thought better of", {{"stdout", "yes", C}, {"stdout", "no", C}, {"mda", "b", C}},
	 NULL, "mda=b stdout=no "},
	{"two passwords", {{"password", "a", A}, {"password_command", "b", A}},
	 "password_command: there is password already", NULL},
	{"two more", {{"password_file", "/a", A}, {"password_command", "b", A}},
	 "password_command: there is password_file", NULL},
	{"a password source replaces", {{"password", "a", D}, {"password_file", "/b", A}}, NULL,
	 "password_file=/b "},
	{"the choices are apart", {{"password", "a", A}, {"mbox", "/b", A}}, NULL,
	 "password=*** mbox=/b "},
};

static void test_contests(void)
{
	static const char *const shown[] = {"user", "password", "password_command", "password_file",
		"maildir", "mbox", "mda", "mda_shell", "stdout"};

	for (size_t i = 0; i < COUNT(contests); i++) {
		struct account account;
		struct error err = {0};
		struct str text = {.max = 4096};
		int status = 0;

		account_init(&account, "work");
		for (size_t j = 0; j < 4 && contests[i].set[j].name; j++) {
			if (status)
				OK(0, contests[i].what);
			status = option_set(&account, contests[i].set[j].name, contests[i].set[j].value,
			                    contests[i].set[j].origin, &err);
		}
		for (size_t j = 0; j < COUNT(shown); j++) {
			size_t len = text.len;

			str_printf(&text, "%s=", shown[j]);
			if (option_show(&account, option_find(shown[j], false), &text))
				str_puts(&text, " ");
			else
				str_cut(&text, len);
		}
		if (contests[i].said)
			OK(status == -1 && strstr(err.text, contests[i].said), contests[i].what);
		else if (OK(status == 0, contests[i].what))
			SAME(text.s, contests[i].shown, contests[i].what);
		str_free(&text);
		account_free(&account);
	}
}

/* -- the whole ---------------------------------------------------------------------------- */

/* Settings as "NAME=VALUE", all of the account but those that begin with "!", which are the
 * command line's; said: part of the error, or what became of tls, port and keep. */
static const struct {
	const char *set[6];
	const char *said;
	int tls;
	uint64_t port, keep;
} wholes[] = {
	{{"user=joe", "mbox=/m"}, "host: there is none", 0, 0, 0},
	{{"host=h", "mbox=/m"}, "user: there is none", 0, 0, 0},
	{{"host=h", "user=joe"}, "give one of maildir, mbox, mda, mda_shell, stdout", 0, 0, 0},
	{{"host=h", "user=joe", "stdout=no"}, "no destination", 0, 0, 0},
	{{"host=h", "user=joe", "mbox=/m"}, NULL, TLS_IMPLICIT, 995, 0},
	{{"host=h", "user=joe", "mbox=/m", "port=995"}, NULL, TLS_IMPLICIT, 995, 0},
	{{"host=h", "user=joe", "mbox=/m", "port=110"}, NULL, TLS_STLS, 110, 0},
	{{"host=h", "user=joe", "mbox=/m", "port=1110"}, "say tls = implicit or tls = stls", 0, 0, 0},
	{{"host=h", "user=joe", "mbox=/m", "port=1110", "tls=stls"}, NULL, TLS_STLS, 1110, 0},
	{{"host=h", "user=joe", "mbox=/m", "port=1110", "tls=implicit"}, NULL, TLS_IMPLICIT, 1110, 0},
	{{"host=h", "user=joe", "mbox=/m", "tls=implicit"}, NULL, TLS_IMPLICIT, 995, 0},
	{{"host=h", "user=joe", "mbox=/m", "tls=stls"}, NULL, TLS_STLS, 110, 0},
	{{"host=h", "user=joe", "mbox=/m", "tls=off"}, NULL, TLS_OFF, 110, 0},
	{{"host=h", "user=joe", "mbox=/m", "tls=off", "port=995"}, NULL, TLS_OFF, 995, 0},
	{{"host=h", "user=joe", "mbox=/m", "keep=30d"}, NULL, TLS_IMPLICIT, 995, 30 * 86400},
	{{"host=h", "user=joe", "stdout=yes"}, NULL, TLS_IMPLICIT, 995, KEEP_FOREVER},
	{{"host=h", "user=joe", "stdout=yes", "keep=no"}, NULL, TLS_IMPLICIT, 995, KEEP_FOREVER},
	{{"host=h", "user=joe", "stdout=yes", "!keep=no"}, NULL, TLS_IMPLICIT, 995, 0},
	{{"host=h", "user=joe", "stdout=yes", "!keep=1d"}, NULL, TLS_IMPLICIT, 995, 86400},
	{{"host=h", "user=joe", "mbox=/m", "!stdout=yes", "!keep=no"}, NULL, TLS_IMPLICIT, 995, 0},
};

static void test_wholes(void)
{
	for (size_t i = 0; i < COUNT(wholes); i++) {
		struct account account;
		struct error err = {0};
		struct str what = {.max = 400};

		account_init(&account, "work");
		for (size_t j = 0; j < 6 && wholes[i].set[j]; j++) {
			bool command = wholes[i].set[j][0] == '!';
			char name[100], *value;

			str_printf(&what, "%s ", wholes[i].set[j]);
			text_copy(name, sizeof(name), wholes[i].set[j] + command);
			value = strchr(name, '=');
			*value++ = '\0';
			EQUAL(option_set(&account, name, value, command ? C : A, &err), 0, name);
		}
		if (wholes[i].said) {
			OK(option_check(&account, &err) == -1 && err.kind == ERR_CONFIG &&
			   strstr(err.text, wholes[i].said), what.s);
		} else if (OK(option_check(&account, &err) == 0, what.s)) {
			EQUAL(option_check(&account, &err), 0, "judged twice");
			EQUAL(account.server.tls, wholes[i].tls, "tls");
			EQUAL(account.server.port, wholes[i].port, "port");
			EQUAL(account.policy.keep, wholes[i].keep, "keep");
		}
		str_free(&what);
		account_free(&account);
	}
}

static void test_copy(void)
{
	struct account one, two;
	struct error err = {0};

	account_init(&one, "defaults");
	option_set(&one, "user", "joe", ORIGIN_DEFAULTS, &err);
	option_set(&one, "password", "sesame", ORIGIN_DEFAULTS, &err);
	option_set(&one, "keep", "yes", ORIGIN_DEFAULTS, &err);
	account_copy(&two, &one, "work");
	SAME(two.name, "work", "the copy has its own name");
	SAME(two.login.password, "sesame", "texts are copied");
	OK(two.login.user != one.login.user, "deeply");
	EQUAL(option_set(&two, "user", "ann", ORIGIN_ACCOUNT, &err), 0, "origins are copied");
	EQUAL(option_set(&two, "keep", "no", ORIGIN_DEFAULTS, &err), -1, "all of them");
	SAME(one.login.user, "joe", "the original stays");
	account_free(&one);
	SAME(two.login.user, "ann", "the copy lives on");
	EQUAL(two.policy.keep, KEEP_FOREVER, "numbers are copied");
	account_free(&two);
}

/* -- did you mean ------------------------------------------------------------------------- */

static const struct {
	const char *name, *nearest;
	bool run;
} near[] = {
	{"passwrod", "password", false},
	{"pasword", "password", false},
	{"password_cmd", NULL, false},
	{"passord_comand", "password_command", false},
	{"passwordfile", "password_file", false},
	{"hots", "host", false},
	{"hst", "host", false},
	{"ports", "port", false},
	{"usr", "user", false},
	{"tsl", "tls", false},
	{"tl", "tls", false},
	{"x", NULL, false},
	{"", NULL, false},
	{"xyz", NULL, false},
	{"xdx", NULL, false},
	{"mail_dir", "maildir", false},
	{"maxsize", "max_size", false},
	{"max-size", "max_size", false},
	{"tls_cafile", "tls_ca_file", false},
	{"time_out", "timeout", false},
	{"connect-timeout", "connect_timeout", false},
	{"pipeline", NULL, false},
	{"server", "host", false},
	{"username", "user", false},
	{"pass", "password", false},
	{"ssl", "tls", false},
	{"starttls", "tls", false},
	{"sslfingerprint", "tls_pin", false},
	{"passwordeval", "password_command", false},
	{"maximum-size", "max_size", false},
	{"delete", NULL, false},
	{"server", NULL, true},
	{"stdot", "stdout", false},
	{"keeep", "keep", false},
	{"jbos", "jobs", true},
	{"jobs", "jobs", true},
	{"host", NULL, true},
	{"a_name_that_is_so_long_that_it_cannot_be_meant_for_any", NULL, false},
	{"connect_timeoutconnect_ti", NULL, false},
};

static void test_nearest(void)
{
	for (size_t i = 0; i < COUNT(near); i++)
		SAME(option_nearest(near[i].name, near[i].run), near[i].nearest,
		     what_of("nearest to", near[i].name));
}

int main(void)
{
	setenv("HOME", "/home/joe", 1);
	test_table();
	test_fallbacks();
	test_good();
	test_bad();
	test_run();
	test_long();
	test_paths();
	test_secrets();
	test_contests();
	test_wholes();
	test_copy();
	test_nearest();
	return tap_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * test_conf.c - the configuration file: what it means, and every trap of libiniparser with the
 * line it is on.  Whatever version of the library is linked, the answers must be the same.
 */
#include "config.h"

#include "conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_INIPARSER_INIPARSER_H
#include <iniparser/iniparser.h>
#else
#include <iniparser.h>
#endif

#include "file.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static char dir[200], path[256]; /* where the file is written */

static void write_conf(const char *text, size_t len, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct error err = {0};

	if (fd == -1 || fchmod(fd, mode) || file_write(fd, text, len, path, &err) || close(fd))
		printf("Bail out! %s cannot be written\n", path);
}

static const struct account *find(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->accounts[i].name, name) == 0)
			return &conf->accounts[i];
	return NULL;
}

/* -- what is well written ----------------------------------------------------------------- */

/* An option of an account of that file, as option_show has it. */
static const struct {
	const char *text, *account, *name, *shown;
} good[] = {
	{"[work]\nhost = h\n", "work", "host", "h"},
	{"[work]\nhost=h", "work", "host", "h"},
	{"[work]\r\nhost = h\r\n", "work", "host", "h"},
	{" \t[work] \n\t host \t=\t h \t\n", "work", "host", "h"},
	{"[ work ]\nhost = h\n", "work", "host", "h"},
	{"[Work]\nHOST = Pop.Example\n", "work", "host", "Pop.Example"},
	{"# c\n; c\n\n[work]\n# x = y\n;z\nhost = h\n#\n", "work", "host", "h"},
	{"[work]\nhost = h ; port 995\n", "work", "host", "h"},
	{"[work]\nhost = h\t# note = ; ] \"\n", "work", "host", "h"},
	{"[work]\nmaildir = ~/Mail/work      ; or  mbox = ~/mbox\n", "work", "maildir",
	 "/home/joe/Mail/work"},
	{"[work]\nhost = \"h\"\n", "work", "host", "h"},
	{"[work]\nhost = 'h' ; note\n", "work", "host", "h"},
	{"[work]\nhost = \"h\" # it's \"here\"\n", "work", "host", "h"},
	{"[work]\nuser = \"a;b#c\"\n", "work", "user", "\"a;b#c\""},
	{"[work]\nuser = 'a;b#c'\n", "work", "user", "\"a;b#c\""},
	{"[work]\nuser = ' a '\n", "work", "user", "\" a \""},
	{"[work]\nuser = \"it's\"\n", "work", "user", "it's"},
	{"[work]\nuser = 'a\"b'\n", "work", "user", "a\"b"},
	{"[work]\nuser = a\"b\"c'd\n", "work", "user", "a\"b\"c'd"},
	{"[work]\nuser = DOM\\joe\n", "work", "user", "DOM\\joe"},
	{"[work]\nuser = a=b==c\n", "work", "user", "a=b==c"},
	{"[work]\nuser = = \"x\"\n", "work", "user", "= \"x\""},
	{"[work]\nuser = a  b\n", "work", "user", "a  b"},
	{"[work]\nuser = [joe]\n", "work", "user", "[joe]"},
	{"[work]\nuser = a:b\n", "work", "user", "a:b"},
	{"[work]\nuser = j\303\266\377\n", "work", "user", "j\303\266\377"},
	{"[work]\nmda = a \"b c\" 'd'\n", "work", "mda", "a \"b c\" 'd'"},
	{"[work]\nmda = '\"/opt/my mda\" -x'\n", "work", "mda", "'\"/opt/my mda\" -x'"},
	{"[work]\nmda_shell = \"a; b # c\" # note\n", "work", "mda_shell", "\"a; b # c\""},
	{"[work]\nmda = procmail -d %(user)s\n", "work", "mda", "procmail -d %(user)s"},
	{"[work]\nkeep = 30d\n", "work", "keep", "30d"},
	{"[defaults]\nkeep = yes\n[work]\n", "work", "keep", "yes"},
	{"[work]\n[defaults]\nkeep = yes\n", "work", "keep", "yes"},
	{"[defaults]\nkeep = yes\n[work]\nkeep = 1d\n", "work", "keep", "1d"},
	{"[work]\nkeep = 1d\n[defaults]\nkeep = yes\n", "work", "keep", "1d"},
	{"[work]\nmbox = /a\n[defaults]\nmaildir = /b\n[x]\n", "work", "mbox", "/a"},
	{"[work]\nmbox = /a\n[defaults]\nmaildir = /b\n[x]\n", "work", "maildir", NULL},
	{"[work]\nmbox = /a\n[defaults]\nmaildir = /b\n[x]\n", "x", "maildir", "/b"},
	{"[defaults]\nstdout = yes\n[work]\nstdout = no\nmda = x\n", "work", "mda", "x"},
	{"[a]\nhost = 1\n[b]\nhost = 2\n", "b", "host", "2"},
	{"[joe@example.org]\nhost = h\n", "joe@example.org", "host", "h"},
	{"[A-b_c.d+9]\nhost = h\n", "a-b_c.d+9", "host", "h"},
	{"[0123456789012345678901234567890123456789012345678901234567890123]\nhost = h\n",
	 "0123456789012345678901234567890123456789012345678901234567890123", "host", "h"},
	{"[mailhaul]\njobs = 3\n[work]\nhost = h\n", "work", "host", "h"},
	{"[work]\n#\nhost = h\n[y]", "y", "host", NULL},
	{"[work]\nhost = h\n#", "work", "host", "h"},
	{"[work]\nhost = h\n\f\v\n \f[y]\n\v user\f= j\n", "y", "user", "j"},
};

static void test_good(void)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct conf conf;
		struct error err = {0};
		struct str text = {.max = 4096};
		const struct account *account;

		write_conf(good[i].text, strlen(good[i].text), 0600);
		if (!OK(conf_load(path, &conf, &err) == 0, "good"))
			printf("# %s\n# %s\n", err.text, conf.problems.s ? conf.problems.s : "");
		account = find(&conf, good[i].account);
		if (OK(account != NULL, good[i].account)) {
			OK(option_show(account, option_find(good[i].name, false), &text) == !!good[i].shown,
			   good[i].name);
			SAME(text.s, good[i].shown, "value");
		}
		OK(conf.problems.len == 0, "no problem");
		str_free(&text);
		conf_free(&conf);
	}
}

static void test_whole(void)
{
	static const char text[] =
		"; mailhaul\n"
		"[mailhaul]\n"
		"jobs = 3\n"
		"[zeta]\nhost = z\n"
		"[defaults]\nuser = joe\n"
		"[Alpha]\nhost = a\nauto = no\n"
		"[mid]\n";
	struct conf conf;
	struct error err = {0};

	write_conf(text, strlen(text), 0644);
	EQUAL(conf_load(path, &conf, &err), 0, "a whole file, and others may read it");
	EQUAL(conf.count, 3, "three accounts");
	SAME(conf.accounts[0].name, "zeta", "in the file's order");
	SAME(conf.accounts[1].name, "alpha", "folded");
	SAME(conf.accounts[2].name, "mid", "an empty one, too");
	SAME(conf.accounts[2].login.user, "joe", "which has the defaults");
	OK(!conf.accounts[1].automatic && conf.accounts[0].automatic, "auto");
	SAME(conf.defaults.login.user, "joe", "the defaults themselves");
	EQUAL(conf.run.jobs, 3, "the run's option");
	conf_free(&conf);
	conf_free(&conf);
	OK(!conf.accounts, "freed twice");

	write_conf("", 0, 0600);
	EQUAL(conf_load(path, &conf, &err), 0, "an empty file");
	EQUAL(conf.count, 0, "no accounts");
	EQUAL(conf.run.jobs, 8, "the run's defaults");
	SAME(conf.defaults.name, "defaults", "and the accounts'");
	conf_free(&conf);
}

/* -- a library that reads something else -------------------------------------------------- */

static const char *lie_key, *lie; /* what getstring says of this key; NULL key: the truth */

/* Takes the place of the library's own. */
const char *iniparser_getstring(const dictionary *dict, const char *key, const char *def)
{
	return lie_key && strcmp(key, lie_key) == 0 ? lie : dictionary_get(dict, key, def);
}

static void test_lies(void)
{
	static const char text[] = "[a]\nhost = h\nuser = joe\n";
	static const char *const lies[] = {"jo", "joe ", "", NULL};

	for (size_t i = 0; i < COUNT(lies); i++) {
		struct conf conf;
		struct error err = {0};
		char want[300];

		snprintf(want, sizeof(want), "%s:3: this value of 'user' is read differently", path);
		lie_key = "a:user";
		lie = lies[i];
		write_conf(text, strlen(text), 0600);
		EQUAL(conf_load(path, &conf, &err), -1, lies[i] ? lies[i] : "(null)");
		OK(conf.problems.s && strstr(conf.problems.s, want) == conf.problems.s, want);
		conf_free(&conf);
		lie_key = NULL;
	}
}

/* -- what is not -------------------------------------------------------------------------- */

/* said: "LINE: part of the message", all of them and no others, in this order. */
static const struct {
	const char *text;
	const char *said[6];
} bad[] = {
	/* a # or ; cuts the value */
	{"[a]\npassword = abc#def\n", {"2: the # in 'password' would start a comment and cut the "
	 "value; put the value in quotes"}},
	{"[a]\npassword = abc;def\n", {"2: the ; in 'password' would start a comment"}},
	{"[a]\npassword = #secret\n", {"2: the # in 'password'"}},
	{"[a]\npassword = abc # def\n", {"2: the # in 'password'"}},
	{"[a]\npassword = a'b\"c#d\n", {"2: use password_command or password_file"}},
	{"[a]\npassword = a\\b#c\n", {"2: use password_command or password_file"}},
	{"[a]\nuser = a#b\n", {"2: the # in 'user'"}},
	{"[a]\nuser = a\"'#b\n", {"2: no quotes can hold this one"}},
	{"[a]\nhost = ; none yet\n", {"2: the ; in 'host'"}},
	{"[a]\nmda = maildrop # fast\n", {"2: the # in 'mda'"}},
	{"[a]\nmda_shell = a ; b\n", {"2: the ; in 'mda_shell'"}},
	{"[a]\npassword_command = echo $#\n", {"2: the # in 'password_command'"}},
	{"[a]\nmaildir = /a#b\n", {"2: the # in 'maildir'"}},
	{"[a]\nkeep = yes;no\n", {"2: the ; in 'keep'"}},
	{"[mailhaul]\njobs = 4;\n", {"2: the ; in 'jobs'"}},
	/* quotes */
	{"[a]\nuser = \"a\\\"b\"\n", {"2: text behind the closing quote of 'user'"}},
	{"[a]\nuser = 'C:\\dir\\x'\n", {"2: the backslash within the quotes of 'user'"}},
	{"[a]\nuser = \"abc\\\"\n", {"2: the backslash within the quotes of 'user'"}},
	{"[a]\npassword = \"a\\b\"\n", {"2: or use password_command or password_file"}},
	{"[a]\nuser = \"a\" junk\n", {"2: text behind the closing quote"}},
	{"[a]\nuser = \"a\"junk\n", {"2: text behind the closing quote"}},
	{"[a]\nuser = \"a\"#junk\n", {"2: text behind the closing quote"}},
	{"[a]\nuser = 'x'y\n", {"2: text behind the closing quote"}},
	{"[a]\nuser = \"\"x\n", {"2: text behind the closing quote"}},
	{"[a]\nmda = \"/opt/my mda\" -f %F\n", {"2: put the other kind around all of it"}},
	{"[a]\nuser = \"open\n", {"2: 'user' has no closing quote"}},
	{"[a]\nuser = 'open\n", {"2: 'user' has no closing quote"}},
	{"[a]\nuser = \"open'\n", {"2: 'user' has no closing quote"}},
	{"[a]\nuser = \"\n", {"2: 'user' has no closing quote"}},
	{"[a]\npassword = \"ab\" #c\"\n[a]\n", {"3: section [a] was already given on line 1"}},
	/* a backslash joins lines */
	{"[a]\npassword = abc\\\nuser = joe\n", {"2: the backslash at the end would join"}},
	{"[a]\npassword = abc\\ \t\r\nuser = joe\n", {"2: the backslash at the end"}},
	{"[a]\n# C:\\mail\\\nuser = joe\n", {"2: the backslash at the end"}},
	{"[a]\n\\\nuser = joe\n", {"2: the backslash at the end"}},
	{"[a\\\n]\n", {"1: the backslash at the end", "2: neither [section]"}},
	{"[a]\nuser = abc\\", {"2: the backslash at the end"}},
	{"[a]\ny", {"2: neither [section], nor option = value, nor a comment"}},
	/* twice */
	{"[Work]\nhost = h\n[work]\nuser = u\n", {"3: section [work] was already given on line 1"}},
	{"[a]\nHost = h\nhost = i\nuser = u\nHOST = j\n", {"3: 'host' was already given on line 2",
	 "5: 'host' was already given on line 2"}},
	{"[a]\n[mailhaul]\n[b]\n[mailhaul]\njobs = 3\n", {"4: section [mailhaul] was already given"}},
	{"[defaults]\nkeep = yes\n[defaults]\nuser = u\n", {"3: section [defaults] was already"}},
	{"[mailhaul]\njobs = 3\njobs = 3\n", {"3: 'jobs' was already given on line 2"}},
	{"[a]\nhost = \"\nhost = h\n", {"2: no closing quote", "3: 'host' was already given on"}},
	/* sections */
	{"host = h\n[a]\n", {"1: there is no [section] above this line"}},
	{"host = h\nuser = u\n\nkeep = x\n[a]\nkeep = x\n",
	 {"1: an account begins with its name in brackets, such as [work]", "6: keep"}},
	{"host h\nuser = u\n", {"1: neither [section]", "2: there is no [section]"}},
	{"[a] ; note\n", {"1: there is text behind the ]"}},
	{"[first]\nuser = u\n[a] # host=h\n", {"3: there is text behind the ]"}},
	{"[a] ; see [b]\n", {"1: there is text behind the ]"}},
	{"[a]]\n", {"1: there is text behind the ]"}},
	{"[a]b\n", {"1: there is text behind the ]"}},
	{"[previous]\n[]\n", {"2: a section's name has a to z"}},
	{"[ ]\n", {"1: a section's name has a to z"}},
	{"[.]\n", {"1: a section's name has a to z"}},
	{"[..]\n", {"1: a section's name has a to z"}},
	{"[a/b]\n", {"1: a section's name has a to z"}},
	{"[work:imap]\nhost = h\n", {"1: a section's name has a to z"}},
	{"[a b]\n", {"1: a section's name has a to z"}},
	{"[a%b]\n", {"1: a section's name has a to z"}},
	{"[\303\266]\n", {"1: a section's name has a to z"}},
	{"[01234567890123456789012345678901234567890123456789012345678901234]\n",
	 {"1: at most 64 of them"}},
	{"[work\nhost = h\n", {"1: the section has no ]", NULL}},
	{"[\n", {"1: the section has no ]"}},
	{"[[a]\n", {"1: a section's name has a to z"}},
	/* options */
	{"[a]\ntls\n", {"2: neither [section], nor option = value, nor a comment"}},
	{"[a]\npassword secret123\n", {"2: neither [section]"}},
	{"[a]\nhost: h\n", {"2: neither [section]"}},
	{"[a]\n= v\n", {"2: not the name of an option"}},
	{"[a]\n=\n", {"2: not the name of an option"}},
	{"[a]\na b = v\n", {"2: not the name of an option"}},
	{"[a]\nb:c = v\n", {"2: not the name of an option"}},
	{"[a]\nQUFBQkJCQ0NDRERERUVFRkZGR0dHSEhISUlJ==\n", {"2: not the name of an option"}},
	{"[a]\npasswrod = x\n", {"2: unknown option 'passwrod'; did you mean 'password'?"}},
	{"[a]\nHsot = x\n", {"2: unknown option 'hsot'; did you mean 'host'?"}},
	{"[a]\nmax-size = 1\n", {"2: did you mean 'max_size'?"}},
	{"[a]\nfrobnicate = x\n", {"2: unknown option 'frobnicate'"}},
	{"[a]\nServer = x\n", {"2: unknown option 'server'; did you mean 'host'?"}},
	{"[mailhaul]\njbos = 1\n", {"2: did you mean 'jobs'?"}},
	{"[mailhaul]\nkeep = yes\n", {"2: 'keep' belongs to an account or [defaults], not to [mailh"}},
	{"[a]\njobs = 1\n", {"2: 'jobs' belongs to [mailhaul]"}},
	{"[defaults]\njobs = 1\n", {"2: 'jobs' belongs to [mailhaul]"}},
	/* values of the wrong type */
	{"[a]\n\nport = 12abc\n", {"3: port: '12abc' is not a number (1 to 65535)"}},
	{"[a]\nport = 99999999999\n", {"2: port: "}},
	{"[a]\nport =\n", {"2: port: "}},
	{"[a]\nport = \"\"\n", {"2: port: "}},
	{"[a]\nkeep = onn\n", {"2: keep: 'onn' is not yes, no or a time"}},
	{"[a]\nkeep = 30\n", {"2: keep: "}},
	{"[a]\nreceived = ture\n", {"2: received: 'ture' is not yes or no"}},
	{"[a]\ntls = ssl\n", {"2: tls: 'ssl' is not one of auto, implicit, stls, off"}},
	{"[a]\nhost =\n", {"2: host: the value is empty"}},
	{"[a]\nhost = ''\n", {"2: host: the value is empty"}},
	{"[a]\nhost = a b\n", {"2: host: 'a b' is not a host name"}},
	{"[a]\nuser = a\x01" "b\n", {"2: user: the value has a control character"}},
	{"[a]\nuser = a\fb\n", {"2: user: the value has a control character"}},
	{"[a]\nmbox = /a/\n", {"2: mbox: '/a/' is not a file"}},
	{"[a]\nmaildir = ~joe/Mail\n", {"2: maildir: ~name is not read"}},
	{"[mailhaul]\njobs = 0\n", {"2: jobs: '0' is not a number (1 to 256)"}},
	{"[defaults]\nport = x\n[a]\n[b]\n", {"2: port: "}},
	/* one of several */
	{"[a]\nmaildir = /a\nmbox = /b\n", {"3: mbox: there is maildir already"}},
	{"[a]\nstdout = yes\nmda = x\n", {"3: mda: there is stdout already"}},
	{"[defaults]\nmda = x\nmda_shell = y\n", {"3: mda_shell: there is mda already"}},
	{"[a]\npassword = a\npassword_file = /b\n", {"3: password_file: there is password already"}},
	/* bytes */
	{"\xef\xbb\xbf[a]\nhost = h\n", {"1: byte order mark"}},
	{"\xef\xbb\xbf" "host = h\n", {"1: byte order mark", "1: there is no [section]"}},
	{"# mac\r[a]\rhost = h\r", {"1: carriage return"}},
	{"[a]\nhost = h\ri\n", {"2: carriage return"}},
	{"[a]\nhost = h\r\r\n", {"2: carriage return"}},
	/* many, by line */
	{"[a]\nport = x\nhsot = h\n[defaults]\nkeep = maybe\n[a]\n[b]\nuser = \"x\ntls = yes\n",
	 {"2: port", "3: hsot", "5: keep", "6: [a]", "8: quote", "9: tls"}},
};

/* The problems must be "PATH:LINE: ...part...", one for each. */
static void check_problems(const struct conf *conf, const char *const *said, size_t max)
{
	const char *at = conf->problems.s ? conf->problems.s : "";
	size_t i;

	for (i = 0; i < max && said[i]; i++) {
		const char *end = strchr(at, '\n'), *part = strchr(said[i], ' ') + 1, *found;
		size_t front = strlen(path) + 1 + (size_t)(part - said[i]);
		char want[300];

		snprintf(want, sizeof(want), "%s:%.*s", path, (int)(part - said[i]), said[i]);
		found = end ? strstr(at, part) : NULL;
		if (!OK(found && found < end && strncmp(at, want, front) == 0, said[i]))
			printf("# got: %.*s\n", end ? (int)(end - at) : 0, at);
		at = end ? end + 1 : at;
	}
	if (!OK(*at == '\0', "and no other"))
		printf("# got: %s", at);
}

static void test_bad(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct conf conf;
		struct error err = {0};

		write_conf(bad[i].text, strlen(bad[i].text), 0600);
		OK(conf_load(path, &conf, &err) == -1 && err.kind == ERR_CONFIG, "bad");
		check_problems(&conf, bad[i].said, COUNT(bad[i].said));
		OK(!conf.problems.s || !strstr(conf.problems.s, "secret"), "no secret in the text");
		OK(!strstr(err.text, "secret"), "nor in the error");
		conf_free(&conf);
	}
}

static void test_nul(void)
{
	static const char text[] = "[a]\nhost = h\0i\n# \0\nuser = j";
	static const char *const said[] = {"2: NUL", "3: NUL"};
	struct conf conf;
	struct error err = {0};

	write_conf(text, sizeof(text) - 1, 0600);
	EQUAL(conf_load(path, &conf, &err), -1, "NUL bytes");
	check_problems(&conf, said, COUNT(said));
	conf_free(&conf);
}

/* -- sizes -------------------------------------------------------------------------------- */

/* Lines of these lengths, by what is in them and how they end: the last that fits and the first
 * that does not.  libiniparser is asked about the former. */
static void test_long_lines(void)
{
	static const struct {
		const char *front, *end;
		size_t len;
		bool fits;
	} lines[] = {
		{"user = ", "\n", 1022, true},   {"user = ", "\n", 1023, false},
		{"user = ", "", 1022, true},     {"user = ", "", 1023, false},
		{"user = ", "\r\n", 1021, true}, {"user = ", "\r\n", 1022, false},
		{"# ", "\n", 1022, true},        {"# ", "\n", 1023, false},
		{"user = \"", "\"\n", 1021, true},
	};
	static const char *const said[] = {"2: the line has more than 1022 bytes"};

	for (size_t i = 0; i < COUNT(lines); i++) {
		struct str text = {.max = 8192};
		struct conf conf;
		struct error err = {0};
		size_t fill = lines[i].len - strlen(lines[i].front);

		str_printf(&text, "[a]\n%s%0*d%s", lines[i].front, (int)fill, 0, lines[i].end);
		write_conf(text.s, text.len, 0600);
		EQUAL(conf_load(path, &conf, &err), lines[i].fits ? 0 : -1, lines[i].front);
		if (!lines[i].fits)
			check_problems(&conf, said, COUNT(said));
		else if (lines[i].front[0] == 'u')
			EQUAL(strlen(conf.accounts[0].login.user), fill, "the whole value");
		conf_free(&conf);
		str_free(&text);
	}
}

static void test_long_files(void)
{
	struct str text = {.max = 1u << 21};
	struct conf conf;
	struct error err = {0};

	while (text.len < 1u << 20)
		str_puts(&text, "# 3456789abcdef\n");
	write_conf(text.s, 1u << 20, 0600);
	EQUAL(conf_load(path, &conf, &err), 0, "1 MiB");
	conf_free(&conf);
	str_puts(&text, "\n");
	write_conf(text.s, text.len, 0600);
	OK(conf_load(path, &conf, &err) == -1 && strstr(err.text, "larger than 1 MiB"), "more");
	OK(conf.problems.len == 0, "no line is to blame");
	conf_free(&conf);

	str_cut(&text, 0);
	for (unsigned i = 0; i < 4096; i++)
		str_printf(&text, "[a%u]\n", i);
	write_conf(text.s, text.len, 0600);
	EQUAL(conf_load(path, &conf, &err), 0, "4096 sections");
	EQUAL(conf.count, 4096, "all there");
	conf_free(&conf);
	str_puts(&text, "[x]\n");
	write_conf(text.s, text.len, 0600);
	OK(conf_load(path, &conf, &err) == -1 && conf.problems.s &&
	   strstr(conf.problems.s, ":4097: there are more than 4096 sections"), "4097");
	conf_free(&conf);

	str_cut(&text, 0);
	while (text.len < 1000000)
		str_puts(&text, "x\n");
	write_conf(text.s, text.len, 0600);
	EQUAL(conf_load(path, &conf, &err), -1, "500,000 problems");
	OK(strstr(err.text, "100 problems") && strstr(conf.problems.s, ":100: ") &&
	   strstr(conf.problems.s, ": and more\n") && !strstr(conf.problems.s, ":101: "),
	   "a hundred are shown");
	conf_free(&conf);
	str_free(&text);
}

/* -- who may read it ---------------------------------------------------------------------- */

static void test_privacy(void)
{
	static const struct {
		const char *text;
		unsigned mode, line; /* line: of the problem, 0 for none */
	} cases[] = {
		{"[a]\nhost = h\npassword = x\n", 0600, 0},
		{"[a]\nhost = h\npassword = x\n", 0400, 0},
		{"[a]\nhost = h\npassword = x\n", 0644, 3},
		{"[a]\nhost = h\npassword = x\n", 0640, 3},
		{"[a]\nhost = h\npassword = x\n", 0601, 3},
		{"[a]\nhost = h\npassword = x\n", 0620, 3},
		{"[a]\nhost = h\n[defaults]\npassword = x\n", 0604, 4},
		{"[a]\nhost = h\npassword = \"\"\n", 0644, 3},
		{"[a]\nhost = h\npassword_command = x\n", 0644, 0},
		{"[a]\nhost = h\npassword_file = x\n", 0644, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conf conf;
		struct error err = {0};
		char want[300];

		write_conf(cases[i].text, strlen(cases[i].text), cases[i].mode);
		EQUAL(conf_load(path, &conf, &err), cases[i].line ? -1 : 0, cases[i].text);
		snprintf(want, sizeof(want), "%s:%u: ", path, cases[i].line);
		OK(!cases[i].line || (strstr(conf.problems.s, want) == conf.problems.s), "the line");
		conf_free(&conf);
	}
}

/* -- what else a path may lead to --------------------------------------------------------- */

static void test_files(void)
{
	struct conf conf;
	struct error err = {0};
	char other[280];

	snprintf(other, sizeof(other), "%s/missing", dir);
	OK(conf_load(other, &conf, &err) == -1 && err.kind == ERR_CONFIG && strstr(err.text, "missing"),
	   "a missing file");
	OK(conf.problems.len == 0, "has no problems in it");
	conf_free(&conf);
	OK(conf_load(dir, &conf, &err) == -1 && err.kind == ERR_CONFIG &&
	   strstr(err.text, "directory"), "a directory");
	conf_free(&conf);
	EQUAL(conf_load("/dev/null", &conf, &err), 0, "nothing at all");
	conf_free(&conf);
	write_conf("[a]\n", 4, 0);
	if (geteuid() != 0)
		OK(conf_load(path, &conf, &err) == -1 && strstr(err.text, "denied"), "not readable");
	else
		OK(conf_load(path, &conf, &err) == 0, "root reads everything");
	conf_free(&conf);
}

/* Somebody else writes into a FIFO; what comes from one is read once and only once. */
static void test_fifo(const char *name, const char *text)
{
	struct conf conf;
	struct error err = {0};
	struct error child_err = {0};
	pid_t pid;
	int status = -1, fd;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fd = open(name, O_WRONLY | O_CLOEXEC);
		_exit(fd == -1 || file_write(fd, text, strlen(text), name, &child_err));
	}
	EQUAL(conf_load(name, &conf, &err), 0, "a FIFO");
	OK(conf.count == 1 && conf.accounts[0].login.password &&
	   strcmp(conf.accounts[0].login.password, "sesame") == 0, "its text");
	conf_free(&conf);
	OK(waitpid(pid, &status, 0) == pid && status == 0, "its writer");
}

static void test_stdin(void)
{
	static const char text[] = "[a]\npassword = sesame\n";
	struct conf conf;
	struct error err = {0};
	char name[280];
	int pair[2];
	int saved = dup(STDIN_FILENO);

	snprintf(name, sizeof(name), "%s/fifo", dir);
	EQUAL(mkfifo(name, 0600), 0, "mkfifo");
	test_fifo(name, text);
	unlink(name);

	EQUAL(pipe(pair), 0, "pipe");
	EQUAL(file_write(pair[1], text, strlen(text), "pipe", &err), 0, "write");
	close(pair[1]);
	dup2(pair[0], STDIN_FILENO);
	close(pair[0]);
	EQUAL(conf_load("/dev/stdin", &conf, &err), 0, "/dev/stdin");
	EQUAL(conf.count, 1, "its account");
	conf_free(&conf);
	dup2(saved, STDIN_FILENO);
	close(saved);
}

/* libiniparser prints whole lines where it does not understand: not here. */
static void test_silence(void)
{
	static const char text[] = "[a]\npassword secret123\n= secret\n[b\n";
	struct conf conf;
	struct error err = {0};
	char name[280];
	int saved = dup(STDERR_FILENO), fd;

	snprintf(name, sizeof(name), "%s/stderr", dir);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	dup2(fd, STDERR_FILENO);
	write_conf(text, strlen(text), 0600);
	conf_load(path, &conf, &err);
	dup2(saved, STDERR_FILENO);
	close(saved);
	EQUAL(lseek(fd, 0, SEEK_END), 0, "nothing is printed");
	close(fd);
	unlink(name);
	conf_free(&conf);
}

/* -- there and back ----------------------------------------------------------------------- */

/* What option_show prints is read back as the same, or, where nothing can express it, refused:
 * never as something else. */
static void test_round_trip(void)
{
	static const char bytes[] = "a \t\"'#;\\=[]$~.";
	unsigned same = 0, refused = 0, lies = 0;

	for (unsigned i = 0; i < 14 * 14 * 14 * 14; i++) {
		char value[5] = {bytes[i % 14], bytes[i / 14 % 14], bytes[i / 196 % 14], bytes[i / 2744]};
		struct str text = {.max = 4096};
		struct account account;
		struct conf conf;
		struct error err = {0};

		if (i % 7)
			continue; /* enough, and fast */
		value[i % 5] = i % 5 == 0 ? value[0] : '\0';
		account_init(&account, "a");
		if (value[0] && option_set(&account, "user", value, ORIGIN_ACCOUNT, &err) == 0) {
			str_puts(&text, "[a]\nuser = ");
			option_show(&account, option_find("user", false), &text);
			str_puts(&text, "\nhost = h\n");
			write_conf(text.s, text.len, 0600);
			if (conf_load(path, &conf, &err) == -1)
				refused++;
			else if (conf.count == 1 && conf.accounts[0].server.host &&
			         strcmp(conf.accounts[0].login.user, value) == 0)
				same++;
			else
				lies++;
			conf_free(&conf);
		}
		str_free(&text);
		account_free(&account);
	}
	printf("# %u the same, %u refused\n", same, refused);
	EQUAL(lies, 0, "read back as something else");
	OK(same > 2000 && refused > 10 && refused < same, "most is read back");
}

/* A whole account printed and read again. */
static void test_print(void)
{
	static const char text[] =
		"[mailhaul]\njobs = 12\n"
		"[a]\nhost = h\nport = 1110\nuser = ' j;o#e '\npassword_command = \"pass; x\"\n"
		"tls = stls\ntls_ca_file = ~/ca\nmda = '\"/opt/a b\" %F'\nmda_timeout = 90\n"
		"keep = 3w\nmax_size = 1024\nlimit = 7\ntimeout = 5400\npipelining = off\nauto = no\n";
	struct str one = {.max = 8192}, two = {.max = 8192}, *to = &one;
	struct conf conf;
	struct error err = {0};

	write_conf(text, strlen(text), 0600);
	for (int round = 0; round < 2; round++, to = &two) {
		if (!OK(conf_load(path, &conf, &err) == 0, round ? "read again" : "read"))
			printf("# %s\n", conf.problems.s);
		str_puts(to, "[a]\n");
		for (size_t i = 0; i < options_count; i++) {
			size_t len = to->len;

			if (options[i].run && !strstr(to->s, "[mailhaul]"))
				str_puts(to, "[mailhaul]\n");
			str_printf(to, "%s = ", options[i].name);
			if (options[i].run ? option_show_run(&conf.run, &options[i], to)
			                   : option_show(&conf.accounts[0], &options[i], to))
				str_puts(to, "\n");
			else
				str_cut(to, len);
		}
		write_conf(to->s, to->len, 0600);
		conf_free(&conf);
	}
	SAME(two.s, one.s, "printed, read, printed");
	OK(one.s && strstr(one.s, "user = \" j;o#e \"\n") && strstr(one.s, "keep = 21d\n") &&
	   strstr(one.s, "jobs = 12\n"), "the text");
	str_free(&one);
	str_free(&two);
}

/* -- where it is -------------------------------------------------------------------------- */

static void test_default_path(void)
{
	char xdg[280], rc[280], want[300], *got;

	snprintf(xdg, sizeof(xdg), "%s/xdg", dir);
	snprintf(rc, sizeof(rc), "%s/.mailhaulrc", dir);
	snprintf(want, sizeof(want), "%s/xdg/mailhaul/config", dir);
	setenv("HOME", dir, 1);
	setenv("XDG_CONFIG_HOME", xdg, 1);
	got = conf_default_path();
	SAME(got, want, "neither is there");
	free(got);
	close(open(rc, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	got = conf_default_path();
	SAME(got, rc, "only ~/.mailhaulrc is there");
	free(got);
	mkdir(xdg, 0700);
	snprintf(xdg, sizeof(xdg), "%s/xdg/mailhaul", dir);
	mkdir(xdg, 0700);
	close(open(want, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	got = conf_default_path();
	SAME(got, want, "both are there");
	free(got);
	unlink(want);
	rmdir(xdg);
	snprintf(xdg, sizeof(xdg), "%s/xdg", dir);
	rmdir(xdg);
	unlink(rc);
	unsetenv("XDG_CONFIG_HOME");
	snprintf(want, sizeof(want), "%s/.config/mailhaul/config", dir);
	got = conf_default_path();
	SAME(got, want, "without XDG_CONFIG_HOME");
	free(got);
	setenv("HOME", "/home/joe", 1);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%.100s/test_conf.XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/config", dir);
	setenv("HOME", "/home/joe", 1);
	test_good();
	test_whole();
	test_lies();
	test_bad();
	test_nul();
	test_long_lines();
	test_long_files();
	test_privacy();
	test_files();
	test_stdin();
	test_silence();
	test_round_trip();
	test_print();
	test_default_path();
	unlink(path);
	OK(rmdir(dir) == 0, "nothing is left behind");
	return tap_end();
}

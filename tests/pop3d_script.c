/* SPDX-License-Identifier: MIT */
/*
 * pop3d_script.c - reads pop3d's script into srv.
 *
 * Line by line; the first word finds its row in a table, which knows where the rest goes.  What
 * it does not understand ends the process with file and line: a typing error must not pass for
 * a correct server.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pop3d.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const verbs[] = {
	"GREETING", "TLS", "ANY", "RESPONSE", "STLS", "USER", "PASS", "AUTH", "STAT", "UIDL",
	"LIST", "TOP", "RETR", "DELE", "NOOP", "RSET", "CAPA", "QUIT", "APOP", "UTF8", NULL
};

static const char *const actions[] = {
	"reply", "raw", "say", "inject", "file", "slow", "drip", "split", "cut", "cut-notls",
	"cut-reset", "accept", "stall", "ignore", "apply-close", "close", "close-noapply", "reset",
	NULL
};

/* -- words ----------------------------------------------------------------------------- */

bool parse_number(const char *s, uint64_t *value)
{
	if (!s || !*s || strlen(s) > 18)
		return false;
	for (*value = 0; *s >= '0' && *s <= '9'; s++)
		*value = *value * 10 + (uint64_t)(*s - '0');
	return *s == '\0';
}

char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \t");

	*rest = word + strcspn(word, " \t");
	if (**rest)
		*(*rest)++ = '\0';
	return *word ? word : NULL;
}

int find_word(const char *word, const char *const *list)
{
	int i = 0;

	while (list[i] && strcasecmp(word, list[i]) != 0)
		i++;
	return i;
}

/* -- lines ----------------------------------------------------------------------------- */

static _Noreturn void bad(const char *what)
{
	die(2, "%s:%u: %s", srv.name, srv.line, what);
}

static char *word_of(char **rest)
{
	char *word = next_word(rest);

	if (!word)
		bad("a word is missing");
	return word;
}

static uint64_t number_of(char **rest)
{
	uint64_t n;

	if (!parse_number(next_word(rest), &n))
		bad("a number is missing or wrong");
	return n;
}

/* Which of the words comes next. */
static int choice_of(char **rest, const char *const *words)
{
	int i = find_word(word_of(rest), words);

	if (!words[i])
		bad("unknown word");
	return i;
}

/* In place; returns the length.  A NUL stands behind it. */
static size_t unescape(char *s)
{
	static const char letters[] = "rnt0\\", meant[] = "\r\n\t\0\\", hex[] = "0123456789abcdef";
	const char *letter, *high, *low;
	char *start = s, *to = s;

	for (; *s; s++) {
		if (*s != '\\') {
			*to++ = *s;
		} else if (*++s && (letter = strchr(letters, *s))) {
			*to++ = meant[letter - letters];
		} else if (*s == 'x' && s[1] && s[2] &&
		    (high = strchr(hex, tolower((unsigned char)s[1]))) &&
		    (low = strchr(hex, tolower((unsigned char)s[2])))) {
			*to++ = (char)((high - hex) * 16 + (low - hex));
			s += 2;
		} else {
			bad("unknown escape");
		}
	}
	*to = '\0';
	return (size_t)(to - start);
}

static char *text_of(char *s)
{
	unescape(s);
	return s;
}

/* The next line of the script without its LF, to be kept; NULL at the end. */
static char *next_line(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = getline(&line, &cap, srv.file);

	srv.line++;
	if (n < 0) {
		free(line);
		return NULL;
	}
	srv.lines = need(realloc(srv.lines, (srv.line + 1) * sizeof *srv.lines));
	srv.lines[srv.line] = line;
	if (line[n - 1] == '\n')
		line[n - 1] = '\0';
	return line;
}

static struct message *add_message(const char *uid)
{
	struct message *m;

	if ((srv.n_messages & (srv.n_messages - 1)) == 0) /* full at each power of two */
		srv.messages = need(realloc(srv.messages, (srv.n_messages * 2 + 1) * sizeof *m));
	m = &srv.messages[srv.n_messages++];
	*m = (struct message){.uid = uid, .number = (uint32_t)srv.n_messages};
	return m;
}

static void add_generated(const char *uid, uint32_t uid_number, uint64_t octets)
{
	struct message *m = add_message(uid);
	uint64_t least = mailbox_least();

	m->uid_number = uid_number;
	m->octets = octets > least ? octets : least;
}

/* Reads a file, or what stands in the script up to "."; with crlf, LF becomes CRLF. */
static struct buf read_text(const char *path, bool crlf)
{
	FILE *f = path ? fopen(path, "r") : srv.file;
	struct buf b = {0};
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		die(2, "%s:%u: %s: %s", srv.name, srv.line, path, strerror(errno));
	while ((n = getline(&line, &cap, f)) > 0 && (path || strcmp(line, ".\n") != 0)) {
		bool dots = !path && line[0] == '.' && line[1] == '.';
		bool bare = crlf && line[n - 1] == '\n' && (n < 2 || line[n - 2] != '\r');

		buf_add(&b, line + dots, (size_t)n - dots - bare);
		buf_add(&b, "\r\n", bare ? 2 : 0);
		srv.line += !path;
	}
	srv.line += !path;
	free(line);
	if (path)
		fclose(f);
	return b;
}

static void read_message(char *rest)
{
	char *uid = text_of(word_of(&rest)), *kind = word_of(&rest);
	struct buf text = {0};
	struct message *m;

	if (strcmp(kind, "size") == 0) {
		add_generated(uid, 0, number_of(&rest));
		return;
	}
	if (strcmp(kind, "text") == 0)
		buf_add(&text, rest, unescape(rest));
	else if (strcmp(kind, "raw") == 0)
		text = read_text(word_of(&rest), false);
	else
		text = read_text(strcmp(kind, "inline") == 0 ? NULL : kind, true);
	m = add_message(uid);
	m->octets = text.len;
	m->text = text.len > 0 ? text.p : "";
}

static void read_messages(char *rest)
{
	uint64_t n = number_of(&rest), octets = number_of(&rest);
	const char *word = next_word(&rest);

	while (n-- > 0)
		add_generated(word ? word : "u", ++srv.n_generated, octets);
}

static void read_list_octets(char *rest)
{
	uint64_t n = number_of(&rest);

	if (n < 1 || n > srv.n_messages)
		bad("no such message yet");
	srv.messages[n - 1].listed = text_of(rest);
}

static void read_cut_after(char *rest)
{
	static const char *const words[] = {"fin", "tls", "notls", "rst", "conn", NULL};
	static const enum ending ends[] = {END_TLS, END_TLS, END_FIN, END_RST};

	srv.cut_after = number_of(&rest);
	srv.cut_how = END_TLS;
	while (*rest) {
		int i = choice_of(&rest, words);

		if (i == 4)
			srv.cut_conn = number_of(&rest);
		else
			srv.cut_how = ends[i];
	}
}

static void read_rule(char *rest)
{
	struct rule r = {.verb = (enum verb)choice_of(&rest, verbs), .action = A_NONE};
	struct buf file;

	while (r.action == A_NONE) {
		char *word = word_of(&rest);

		if (strcmp(word, "nth") == 0)
			r.nth = number_of(&rest);
		else if (strcmp(word, "conn") == 0)
			r.conn = number_of(&rest);
		else if ((r.action = (enum action)find_word(word, actions)) == A_NONE && r.arg)
			bad("unknown action");
		else if (r.action == A_NONE)
			r.arg = strcmp(word, "-") == 0 ? "" : word;
	}
	if (r.action <= A_INJECT) {
		r.text = rest;
		r.len = unescape(rest);
	} else if (r.action == A_FILE) {
		file = read_text(word_of(&rest), false);
		r.text = file.p;
		r.len = file.len;
	} else if (r.action <= A_CUT_RESET) {
		r.n = number_of(&rest);
	}
	if (r.action == A_SPLIT && r.n == 0)
		bad("split 0");
	srv.rules = need(realloc(srv.rules, (srv.n_rules + 1) * sizeof r));
	srv.rules[srv.n_rules++] = r;
}

static void read_user(char *rest)
{
	srv.user = text_of(word_of(&rest));
	srv.password = text_of(rest);
}

static void read_no_capa(char *rest)
{
	static char rule[] = "CAPA reply -ERR unknown command";

	(void)rest;
	read_rule(rule);
}

static const char *const tls_words[] = {"off", "stls", "implicit", NULL};
static const char *const pipelining_words[] = {"close", "drop", NULL};

/* The first word of a line, and where what follows goes. */
static const struct knob {
	const char *name;
	void (*read)(char *rest);
	const char **text;
	uint64_t *number;
	bool *flag;
	struct buf *strings;
	int *choice;
	const char *const *words;
} knobs[] = {
	{"tls", .choice = &srv.tls, .words = tls_words},
	{"broken-pipelining", .choice = &srv.pipelining, .words = pipelining_words},
	{"cert", .text = &srv.cert}, {"tls-priority", .text = &srv.priority},
	{"greeting", .text = &srv.greeting}, {"stat", .text = &srv.stat},
	{"next-password", .text = &srv.next_password}, {"sasl-fault", .text = &srv.sasl_fault},
	{"scram-rounds", .number = &srv.rounds},
	{"window", .number = &srv.window}, {"persist", .text = &srv.persist},
	{"delay", .number = &srv.delay},
	{"capa", .strings = &srv.capa[0]}, {"capa-tls", .strings = &srv.capa[1]},
	{"capa-login", .strings = &srv.capa[2]}, {"no-stuffing", .flag = &srv.no_stuffing},
	{"lf-only", .flag = &srv.lf_only}, {"parallel", .flag = &srv.parallel},
	{"ipv6", .flag = &srv.ipv6}, {"user", .read = read_user}, {"no-capa", .read = read_no_capa},
	{"message", .read = read_message}, {"messages", .read = read_messages},
	{"list-octets", .read = read_list_octets}, {"cut-after", .read = read_cut_after},
	{"on", .read = read_rule}
};

static void read_line(char *rest)
{
	const struct knob *k = knobs;
	const char *name = word_of(&rest);

	while (strcmp(k->name, name) != 0)
		if (++k == knobs + COUNT(knobs))
			bad("unknown word");
	if (k->read)
		k->read(rest);
	else if (k->text)
		*k->text = text_of(rest);
	else if (k->number)
		*k->number = number_of(&rest);
	else if (k->choice)
		*k->choice = choice_of(&rest, k->words);
	else if (k->strings)
		buf_add(k->strings, rest, strlen(rest) + 1);
	else
		*k->flag = true;
}

void script_read(const char *path)
{
	static const char capa[] = "TOP\0UIDL\0USER\0PIPELINING\0RESP-CODES\0AUTH-RESP-CODE\0"
	    "SASL PLAIN LOGIN\0IMPLEMENTATION pop3d";
	char *line;

	srv.name = path;
	srv.file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	if (!srv.file)
		die(2, "%s: %s", path, strerror(errno));
	while ((line = next_line()))
		if (line[0] != '#' && line[strspn(line, " \t")])
			read_line(line);
	if (srv.file != stdin)
		fclose(srv.file);
	if (srv.capa[0].len > 0)
		return;
	buf_add(&srv.capa[0], capa, sizeof capa);
	if (srv.tls == TLS_STLS && srv.capa[1].len == 0)
		buf_add(&srv.capa[1], capa, sizeof capa);
	if (srv.tls == TLS_STLS)
		buf_add(&srv.capa[0], "STLS", 5);
}

/* SPDX-License-Identifier: MIT */
/*
 * option.c - the option table, and all that follows from it: setting, copying, checking and showing
 * the options of an account and of the run.  What a value looks like is value.c's.
 *
 * Who wins among several sources is decided by their origin alone, never by the order of the calls.
 * Nothing here opens a file, runs a program or prints.
 *
 * On failure: ERR_CONFIG with "OPTION: why".  A text shows the value it complains of, but never
 * that of a secret or a command.  Called by conf.c, url.c, arguments.c and main.c.
 */
#include "config.h"

#include "option.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "pin.h"
#include "proxy.h"

#define DAY UINT64_C(86400)
#define CENTURY (36525 * DAY)

/* In the order of enum auth_mech. */
static const char *const auth_words[] = {
	"auto", "user", "plain", "login", "apop", "cram-md5", "scram-sha-1", "scram-sha-256",
	"scram-sha-1-plus", "scram-sha-256-plus", "external", "xoauth2", "oauthbearer", NULL,
};
static const char *const tls_words[] = {"auto", "implicit", "stls", "off", NULL};
static const char *const family_words[] = {"any", "4", "6", NULL};
static const char *const pipelining_words[] = {"auto", "on", "off", NULL};
static const char *const oversize_words[] = {"leave", "headers", "delete", NULL};

/* A numeric address; an IPv6 one may name its interface (RFC 4007). */
static int check_address(const char *text, struct error *err)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	size_t len = strcspn(text, "%");

	text_copy(address, len + 1 < sizeof(address) ? len + 1 : sizeof(address), text);
	if (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1)
		return 0;
	return error_set(err, ERR_CONFIG, "it is no numeric IPv4 or IPv6 address");
}

#define AT(field) offsetof(struct account, field)
#define RUN(field) offsetof(struct run_options, field), .run = true

const struct option options[] = {
	{"host", OPTION_HOST, AT(server.host), .arg = "HOST", .help = "the POP3 server"},
	{"port", OPTION_COUNT, AT(server.port), .min = 1, .max = 65535, .arg = "N",
	 .help = "its port, if not 995 (implicit TLS) or 110"},
	{"user", OPTION_STRING, AT(login.user), .arg = "NAME", .help = "the login name"},
	{"password", OPTION_SECRET, AT(login.password), .choice = CHOICE_PASSWORD, .arg = "TEXT",
	 .help = "the password itself"},
	{"password_command", OPTION_COMMAND, AT(login.password_command), .choice = CHOICE_PASSWORD,
	 .arg = "COMMAND", .help = "a shell command that prints the password"},
	{"password_file", OPTION_CREDENTIAL, AT(login.password_file), .choice = CHOICE_PASSWORD,
	 .arg = "FILE", .help = "a private file whose first line is the password"},
	{"token_command", OPTION_COMMAND, AT(login.token_command), .choice = CHOICE_PASSWORD,
	 .arg = "COMMAND", .help = "a shell command that prints an OAuth2 access token"},
	{"auth", OPTION_WORD, AT(login.auth), .fallback = "auto", .words = auth_words,
	 .arg = "WORD", .help = "how to log in"},
	{"tls", OPTION_WORD, AT(server.tls), .fallback = "auto", .words = tls_words,
	 .arg = "WORD", .help = "TLS at once, by STLS, or none; auto: by the port"},
	{"tls_ca_file", OPTION_PATH, AT(server.tls_ca_file), .arg = "FILE",
	 .help = "trust these authorities instead of the system's"},
	{"tls_pin", OPTION_STRING, AT(server.tls_pin), .judge = pin_check, .arg = "PINS",
	 .help = "trust these keys alone, whoever signed them"},
	{"tls_cert", OPTION_OBJECT, AT(server.tls_cert), .arg = "FILE|URL",
	 .help = "our own certificate, for servers that ask for one"},
	{"tls_key", OPTION_OBJECT, AT(server.tls_key), .arg = "FILE|URL",
	 .help = "its private key, if not in the same file"},
	{"tls_priorities", OPTION_STRING, AT(server.tls_priorities), .arg = "TEXT",
	 .help = "GnuTLS's priority string"},
	{"tls_host", OPTION_HOST, AT(server.tls_host), .arg = "HOST",
	 .help = "the name in the certificate, if it is not host"},
	{"allow_cleartext", OPTION_BOOL, AT(login.allow_cleartext), .fallback = "no",
	 .arg = "YES|NO", .help = "with tls = off: send the password in clear"},
	{"maildir", OPTION_PATH, AT(target.maildir), .choice = CHOICE_TARGET, .arg = "DIR",
	 .help = "deliver into this Maildir"},
	{"mbox", OPTION_FILE, AT(target.mbox), .choice = CHOICE_TARGET, .arg = "FILE",
	 .help = "deliver into this mbox"},
	{"mda", OPTION_COMMAND, AT(target.mda), .choice = CHOICE_TARGET, .arg = "COMMAND",
	 .help = "deliver to this program, without a shell"},
	{"mda_shell", OPTION_COMMAND, AT(target.mda_shell), .choice = CHOICE_TARGET,
	 .arg = "COMMAND", .help = "deliver to this shell command"},
	{"stdout", OPTION_BOOL, AT(target.to_stdout), .choice = CHOICE_TARGET, .arg = "YES|NO",
	 .help = "deliver to standard output, as an mbox; implies keep"},
	{"mda_jobs", OPTION_COUNT, AT(target.mda_jobs), .min = 1, .max = MDA_JOBS, .fallback = "1",
	 .arg = "N", .help = "how many MDAs may run at a time, 1 to 16"},
	{"mda_timeout", OPTION_DURATION, AT(target.mda_timeout), .min = 1, .max = CENTURY,
	 .fallback = "5m", .arg = "TIME", .help = "how long an MDA may take for a message"},
	{"mda_drop_status", OPTION_COUNT, AT(target.mda_drop), .max = 255, .fallback = "0", .arg = "N",
	 .help = "exit status by which an MDA drops a message; 0: none"},
	{"received", OPTION_BOOL, AT(target.received), .fallback = "yes", .arg = "YES|NO",
	 .help = "put a Received: header in front"},
	{"keep", OPTION_KEEP, AT(policy.keep), .min = 1, .max = CENTURY, .fallback = "no",
	 .arg = "YES|NO|TIME", .help = "leave delivered messages on the server, or how long"},
	{"max_size", OPTION_SIZE, AT(policy.max_size), .max = INT64_MAX, .fallback = "0", .arg = "SIZE",
	 .help = "do not fetch larger messages; 0: fetch all"},
	{"oversize", OPTION_WORD, AT(policy.oversize), .fallback = "leave", .words = oversize_words,
	 .arg = "WORD", .help = "what becomes of larger ones: leave, headers or delete"},
	{"filter", OPTION_COMMAND, AT(policy.filter), .arg = "COMMAND",
	 .help = "ask this program, by the header, what is to be fetched"},
	{"limit", OPTION_COUNT, AT(policy.limit), .max = UINT32_MAX, .fallback = "0", .arg = "N",
	 .help = "fetch at most so many messages in a run; 0: all"},
	{"complain_after", OPTION_PATIENCE, AT(policy.complain_after), .max = CENTURY,
	 .fallback = "3", .arg = "N|TIME",
	 .help = "without a terminal: tell an outage once, at this failure"},
	{"timeout", OPTION_DURATION, AT(server.timeout), .min = 1, .max = CENTURY,
	 .fallback = "60s", .arg = "TIME", .help = "how long the server may be silent"},
	{"connect_timeout", OPTION_DURATION, AT(server.connect_timeout), .min = 1, .max = CENTURY,
	 .fallback = "30s", .arg = "TIME",
	 .help = "how long connecting may take, implicit TLS included"},
	{"login_timeout", OPTION_DURATION, AT(server.login_timeout), .min = 1, .max = CENTURY,
	 .arg = "TIME", .help = "the same while logging in; as timeout unless set"},
	{"family", OPTION_WORD, AT(server.family), .fallback = "any", .words = family_words,
	 .arg = "WORD", .help = "connect over IPv4, over IPv6, or what answers first"},
	{"source_address", OPTION_STRING, AT(server.source_address), .judge = check_address,
	 .arg = "ADDRESS",
	 .help = "connect from this address"},
	{"proxy", OPTION_SECRET, AT(server.proxy), .choice = CHOICE_ROUTE, .judge = proxy_check,
	 .arg = "URL",
	 .help = "connect through socks5://[USER:PASSWORD@]HOST[:PORT]"},
	{"tunnel", OPTION_COMMAND, AT(server.tunnel), .choice = CHOICE_ROUTE, .arg = "COMMAND",
	 .help = "this shell command's input and output are the connection"},
	{"pipelining", OPTION_WORD, AT(server.pipelining), .fallback = "auto",
	 .words = pipelining_words, .arg = "WORD",
	 .help = "send commands ahead; auto: where the server offers it"},
	{"auto", OPTION_BOOL, AT(automatic), .fallback = "yes", .arg = "YES|NO",
	 .help = "fetch this account when none is named"},

	{"jobs", OPTION_COUNT, RUN(jobs), .min = 1, .max = 256, .fallback = "8", .arg = "N",
	 .help = "how many accounts at a time"},
	{"on_new", OPTION_COMMAND, RUN(on_new), .arg = "COMMAND",
	 .help = "a shell command, run at the end when mail came"},
};
const size_t options_count = sizeof(options) / sizeof(*options);

/* -- finding ------------------------------------------------------------------------------ */

const struct option *option_find(const char *name, bool run)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (row->run == run && strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

/* What fetchmail, mpop, getmail and fdm call it.  Not `delete`: it is the reverse of keep, and who
 * took the hint with the same word behind it would lose mail. */
static const struct {
	const char *theirs, *ours;
} foreign[] = {
	{"server", "host"},
	{"service", "port"},
	{"username", "user"},
	{"pass", "password"},
	{"passwordeval", "password_command"},
	{"use_apop", "auth"},
	{"ssl", "tls"},
	{"starttls", "tls"},
	{"tls_starttls", "tls"},
	{"ca_certs", "tls_ca_file"},
	{"sslcertfile", "tls_ca_file"},
	{"tls_trust_file", "tls_ca_file"},
	{"sslfingerprint", "tls_pin"},
	{"ssl_fingerprints", "tls_pin"},
	{"tls_fingerprint", "tls_pin"},
	{"sslcert", "tls_cert"},
	{"sslkey", "tls_key"},
	{"sslcommonname", "tls_host"},
	{"ssl_cert_hostname", "tls_host"},
	{"tls_host_override", "tls_host"},
	{"source_ip", "source_address"},
	{"plugin", "tunnel"},
	{"folder", "maildir"},
	{"inbox", "maildir"},
	{"mailbox", "maildir"},
	{"skipsize", "max_size"},
	{"maximum-size", "max_size"},
	{"max_message_size", "max_size"},
	{"fetchlimit", "limit"},
	{"max_messages_per_session", "limit"},
	{"delete_after", "keep"},
};

const char *option_nearest(const char *name, bool run)
{
	const char *nearest = NULL;
	unsigned edits = 0;

	for (size_t i = 0; !run && i < sizeof(foreign) / sizeof(*foreign); i++)
		if (strcmp(name, foreign[i].theirs) == 0)
			return foreign[i].ours;

	for (const struct option *row = options; row < options + options_count; row++)
		if (row->run == run && text_is_nearer(name, row->name, &edits))
			nearest = row->name;
	return nearest;
}

/* -- accounts ----------------------------------------------------------------------------- */

static unsigned char *origin_of(const struct account *account, const struct option *row)
{
	return account->origin + (row - options);
}

/* The table's defaults; the fallbacks of the table can be read, a test sees to it. */
static void set_defaults(void *base, bool run)
{
	for (const struct option *row = options; row < options + options_count; row++) {
		struct error err = {0};
		struct value value;

		if (row->run == run && row->fallback && value_read(row, row->fallback, &value, &err) == 0)
			value_store(base, row, &value);
	}
}

void account_init(struct account *account, const char *name)
{
	*account = (struct account){.name = xstrdup(name), .origin = xcalloc(options_count, 1)};
	set_defaults(account, false);
}

void account_copy(struct account *to, const struct account *from, const char *name)
{
	*to = *from;
	to->name = xstrdup(name);
	to->origin = xmalloc(options_count);
	memcpy(to->origin, from->origin, options_count);
	for (const struct option *row = options; row < options + options_count; row++) {
		char **text = (char **)((char *)to + row->offset);

		if (!row->run && value_is_text(row->type) && *text)
			*text = xstrdup(*text);
	}
}

void account_free(struct account *account)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (!row->run && value_is_text(row->type))
			secret_free((char **)((char *)account + row->offset));
	free(account->name);
	free(account->origin);
	*account = (struct account){0};
}

void run_options_init(struct run_options *run)
{
	*run = (struct run_options){0};
	set_defaults(run, true);
}

void run_options_free(struct run_options *run)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (row->run && value_is_text(row->type))
			secret_free((char **)((char *)run + row->offset));
	*run = (struct run_options){0};
}

/* -- setting ------------------------------------------------------------------------------ */

static int unknown(const char *name, bool run, struct error *err)
{
	char shown[64];
	const char *nearest = option_nearest(name, run);

	printable(shown, sizeof(shown), name, strlen(name));
	if (option_find(name, !run))
		return error_set(err, ERR_CONFIG, "%s: an option of %s", name,
		                 run ? "an account, not of the run" : "the run, not of an account");
	if (nearest)
		return error_set(err, ERR_CONFIG, "%s: there is no such option; did you mean '%s'?", shown,
		                 nearest);
	return error_set(err, ERR_CONFIG, "%s: there is no such option", shown);
}

/* `stdout = no` chooses nothing. */
static bool is_choice(const struct option *row, struct value value)
{
	return row->choice != CHOICE_FREE && (value.text || value.number);
}

/* The other row of the same choice that is set; there is never more than one. */
static const struct option *rival(const struct account *account, const struct option *of)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (row != of && row->choice == of->choice && is_choice(row, value_load(account, row)))
			return row;
	return NULL;
}

bool option_is_secret(const struct option *row, const char *value)
{
	return row->type == OPTION_SECRET &&
	       (row->choice == CHOICE_PASSWORD || !value || strchr(value, '@'));
}

int option_set(struct account *account, const char *name, const char *text,
               enum option_origin origin, struct error *err)
{
	const struct option *row = option_find(name, false), *other;
	unsigned char nobody = ORIGIN_NONE, *mine, *theirs;
	struct value value;

	if (!row)
		return unknown(name, false, err);
	mine = origin_of(account, row);
	if (*mine == origin && origin != ORIGIN_COMMAND)
		return error_set(err, ERR_CONFIG, "%s: given twice", name);
	if (value_read(row, text, &value, err))
		return -1;
	if (row->judge && row->judge(value.text, err)) {
		secret_free(&value.text);
		return error_wrap(err, "%s", name);
	}
	other = is_choice(row, value) ? rival(account, row) : NULL;
	theirs = other ? origin_of(account, other) : &nobody;
	if (*mine > origin || *theirs >= origin) {
		secret_free(&value.text);
		return *theirs != origin ? 0
		       : error_set(err, ERR_CONFIG, "%s: there is %s already; only one of them can be",
		                   row->name, other->name);
	}
	if (other)
		value_store(account, other, &(struct value){0});
	*theirs = ORIGIN_NONE;
	value_store(account, row, &value);
	*mine = (unsigned char)origin;
	return 0;
}

int option_set_run(struct run_options *run, const char *name, const char *text, struct error *err)
{
	const struct option *row = option_find(name, true);
	struct value value;

	if (!row)
		return unknown(name, true, err);
	if (value_read(row, text, &value, err))
		return -1;
	value_store(run, row, &value);
	return 0;
}

/* -- judging the whole -------------------------------------------------------------------- */

/* 995 is TLS from the first byte, 110 begins in clear (RFC 8314, RFC 2595); no other port tells. */
static int settle_server(struct server *server, struct error *err)
{
	if (server->tls == TLS_BY_PORT) {
		if (server->port != 0 && server->port != 995 && server->port != 110)
			return error_set(err, ERR_CONFIG, "tls: port %u does not tell; say tls = implicit or "
			                 "tls = stls", (unsigned)server->port);
		server->tls = server->port == 110 ? TLS_STLS : TLS_IMPLICIT;
	}
	if (server->port == 0)
		server->port = server->tls == TLS_IMPLICIT ? 995 : 110;
	if (server->login_timeout == 0)
		server->login_timeout = server->timeout;
	if (server->tls_key && !server->tls_cert)
		return error_set(err, ERR_CONFIG, "tls_key: there is no tls_cert");
	if (server->source_address && server->family != FAMILY_ANY &&
	    (server->family == FAMILY_6) != (strchr(server->source_address, ':') != NULL))
		return error_set(err, ERR_CONFIG, "source_address: it is not of the family in family");
	return 0;
}

/* What is marked as delivered is deleted by the next run where it does not stay; and the next run
 * goes by the configuration, if there is one of this account. */
static int check_marking(const struct account *account, struct error *err)
{
	const struct option *keep = option_find("keep", false), *out = option_find("stdout", false);
	bool by_command = *origin_of(account, keep) == ORIGIN_COMMAND ||
	                  *origin_of(account, out) == ORIGIN_COMMAND;

	if (account->policy.keep == 0)
		return error_set(err, ERR_CONFIG, "keep: by keep = no the next run would delete all that "
		                 "is marked as delivered; say in the configuration how long it is to stay "
		                 "on the server");
	if (account->line > 0 && by_command)
		return error_set(err, ERR_CONFIG, "keep: on the command line it is for this run alone, and "
		                 "the next one goes by the configuration; say there how long all that is "
		                 "marked as delivered is to stay on the server");
	return 0;
}

int option_check(struct account *account, struct error *err)
{
	const struct option *keep = option_find("keep", false);
	const struct target *to = &account->target;

	if (!account->server.host)
		return error_set(err, ERR_CONFIG, "host: there is none%s",
		                 strcmp(account->name, "default") ? "" : "; did you mean [defaults]?");
	if (!account->login.user && !account->inspect)
		return error_set(err, ERR_CONFIG, "user: there is none");
	if (account->inspect)
		return settle_server(&account->server, err);
	if (!account->look && !to->maildir && !to->mbox && !to->mda && !to->mda_shell && !to->to_stdout)
		return error_set(err, ERR_CONFIG, "no destination; give one of maildir, mbox, mda, "
		                 "mda_shell, stdout");
	if (settle_server(&account->server, err))
		return -1;
	if (account->login.token_command && account->login.auth != AUTH_AUTO &&
	    account->login.auth < AUTH_XOAUTH2)
		return error_set(err, ERR_CONFIG, "token_command: a token goes with auth = xoauth2 or "
		                 "oauthbearer, not with %s", auth_words[account->login.auth]);
	if (to->mda_drop == 75 || to->mda_drop == 126 || to->mda_drop == 127)
		return error_set(err, ERR_CONFIG, "mda_drop_status: %u has a meaning already: it never "
		                 "drops a message", (unsigned)to->mda_drop);
	if (to->to_stdout && *origin_of(account, keep) != ORIGIN_COMMAND)
		account->policy.keep = KEEP_FOREVER;
	return account->look == LOOK_MARK ? check_marking(account, err) : 0;
}

/* -- showing ------------------------------------------------------------------------------ */

bool option_show(const struct account *account, const struct option *row, struct str *text)
{
	return !row->run && value_show(account, row, *origin_of(account, row) != ORIGIN_NONE, text);
}

bool option_show_run(const struct run_options *run, const struct option *row, struct str *text)
{
	return row->run && value_show(run, row, false, text);
}

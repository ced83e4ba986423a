/* SPDX-License-Identifier: MIT */
/*
 * main.c - the door: arguments in, exit status out.
 *
 * The process is made safe, the arguments are read, the configuration is loaded, accounts are
 * chosen and judged, missing passwords are asked for, and the supervisor does the rest.
 *
 * Whatever is wrong with the command line or the configuration is said before anything is
 * dialled: usage is exit status 64, configuration 78.  A run that a signal has ended dies by that
 * signal, so that scripts and shells can see it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "account.h"
#include "arguments.h"
#include "base.h"
#include "child.h"
#include "conf.h"
#include "hook.h"
#include "json.h"
#include "option.h"
#include "report.h"
#include "secret.h"
#include "supervisor.h"
#include "url.h"
#include "worker.h"

/* The accounts of this run. */
struct selection {
	struct account *accounts; /* owned */
	size_t count;
};

/* -- the process -------------------------------------------------------------------------- */

/* Descriptors 0 to 2 must be taken, or a file of ours would get one of them and somebody's words.
 * They are opened the wrong way round: using them fails, as it would if they were closed. */
static void fill_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
		    open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			_exit(error_exit_code(ERR_BUG));
}

static void make_safe(void)
{
	fill_descriptors();
	umask(077);
#ifdef HAVE_CLOSE_RANGE
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* what we inherited is no business of our children */
#endif
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error like a full disk */
#if defined(PR_SET_DUMPABLE) && !defined(MAILHAUL_SANITIZERS)
	(void)prctl(PR_SET_DUMPABLE, 0); /* no core file holds a password; no ptrace */
#endif
}

/* -- what is printed and no more ---------------------------------------------------------- */

static void print_version(void)
{
	printf("%s\nGnuTLS %s\nMIT licence; there is no warranty.\n", PACKAGE_STRING,
	       gnutls_check_version(NULL));
}

/* An object of strings, for --json; a NULL is left out. */
static void print_object(struct report *report, const char *event, const char *account,
                         const char *key, const char *value)
{
	char text[8192];
	struct json json;

	json_begin(&json, text, sizeof(text), event, account);
	if (key) {
		json_text(&json, "key", key);
		json_text(&json, "value", value);
	}
	json_end(&json);
	report_line(report, text);
}

/* One section: an account's, or the run's for NULL. */
static void print_section(struct report *report, bool json, const struct run_options *run,
                          const struct account *account)
{
	const char *name = account ? account->name : NULL;

	if (!json)
		printf("%s[%s]\n", account ? "\n" : "", account ? name : "mailhaul");
	for (size_t i = 0; i < options_count; i++) {
		struct str text = {.max = 1u << 20};
		bool there = account ? option_show(account, &options[i], &text)
		                     : option_show_run(run, &options[i], &text);
		const char *value = text.s ? text.s : "";

		if (there && json)
			print_object(report, "option", name, options[i].name, value);
		else if (there)
			printf("%s = %s\n", options[i].name, value);
		str_free(&text);
	}
}

static void print_config(struct report *report, bool json, const struct run_options *run,
                         const struct selection *chosen)
{
	print_section(report, json, run, NULL);
	for (size_t i = 0; i < chosen->count; i++)
		print_section(report, json, run, &chosen->accounts[i]);
}

static void print_accounts(struct report *report, bool json, const struct conf *conf)
{
	for (size_t i = 0; i < conf->count; i++)
		if (json)
			print_object(report, "configured", conf->accounts[i].name, NULL, NULL);
		else
			puts(conf->accounts[i].name);
}

/* -- configuration ------------------------------------------------------------------------ */

/* URL accounts need no file of their own. */
static bool needs_conf(const struct arguments *args)
{
	for (size_t i = 0; i < args->operand_count; i++)
		if (!arguments_is_url(args->operands[i]))
			return true;
	return args->operand_count == 0 || args->config || args->mode == MODE_LIST_ACCOUNTS;
}

/* Loads it.  Where none is there and none is needed, conf has the defaults of the table. */
static int load_conf(const struct arguments *args, struct conf *conf, struct error *err)
{
	char *standard = args->config ? NULL : conf_default_path();
	const char *path = args->config ? args->config : standard;
	int result = path ? conf_load(path, conf, err) : 0;

	if (!path) {
		account_init(&conf->defaults, "defaults");
		run_options_init(&conf->run);
	}
	if (!path && needs_conf(args))
		result = error_set(err, ERR_CONFIG, "there is no configuration, and no home directory to "
		                   "look for it in; set HOME, or name one with -f");
	else if (result == -1 && standard && err->sys == ENOENT)
		result = needs_conf(args) ? error_set(err, ERR_CONFIG, "there is no configuration: neither "
		                                      "%s nor ~/.mailhaulrc; write [NAME], host, user and "
		                                      "maildir into one, see mailhaul-config(5)", path)
		                          : 0;
	free(standard);
	return result;
}

/* Tells every problem of the file; or, if there are none, why it cannot be read. */
static void fail_conf(struct report *report, const struct conf *conf, const struct error *why)
{
	const char *line = conf->problems.len ? conf->problems.s : "", *end;

	if (!*line)
		report_complain(report, NULL, why);
	for (; *line; line = end + (*end == '\n')) {
		struct error err = {.kind = ERR_CONFIG};

		end = strchrnul(line, '\n');
		snprintf(err.text, sizeof(err.text), "%.*s", (int)(end - line), line);
		report_complain(report, NULL, &err);
	}
}

/* -- accounts ----------------------------------------------------------------------------- */

static int unknown_account(const struct conf *conf, const char *name, struct error *err)
{
	const char *nearest = NULL;
	unsigned edits = 0;

	for (size_t i = 0; i < conf->count; i++)
		if (text_is_nearer(name, conf->accounts[i].name, &edits))
			nearest = conf->accounts[i].name;
	return error_set(err, ERR_USAGE, "there is no account '%s'%s%s%s", name,
	                 nearest ? "; did you mean '" : "", nearest ? nearest : "",
	                 nearest ? "'?" : "");
}

static int find_account(const struct conf *conf, const char *name, struct account *account,
                        struct error *err)
{
	for (size_t i = 0; i < conf->count; i++)
		if (strcasecmp(conf->accounts[i].name, name) == 0) {
			account_copy(account, &conf->accounts[i], conf->accounts[i].name);
			return 0;
		}
	return unknown_account(conf, name, err);
}

/* Makes the account that an operand stands for; one that is chosen already is left out. */
static int choose(const struct arguments *args, const struct conf *conf, const char *operand,
                  struct selection *chosen, struct error *err)
{
	struct account account = {0};
	bool url = arguments_is_url(operand);
	int result = 0;

	if (url)
		account_copy(&account, &conf->defaults, "url");
	else
		result = find_account(conf, operand, &account, err);
	if (result == 0)
		result = arguments_apply(args, &account, err);
	if (result == 0 && url)
		result = url_set(&account, operand, err);
	for (size_t i = 0; result == 0 && i < chosen->count; i++)
		if (strcmp(chosen->accounts[i].name, account.name) == 0)
			result = 1;
	if (result == 0)
		chosen->accounts[chosen->count++] = account;
	else
		account_free(&account);
	return result == -1 ? -1 : 0;
}

static int choose_accounts(const struct arguments *args, const struct conf *conf,
                           struct selection *chosen, struct error *err)
{
	size_t most = args->operand_count ? args->operand_count : conf->count;

	chosen->accounts = xcalloc(most + 1, sizeof(*chosen->accounts));
	for (size_t i = 0; i < args->operand_count; i++)
		if (choose(args, conf, args->operands[i], chosen, err) == -1)
			return -1;
	for (size_t i = 0; !args->operand_count && i < conf->count; i++)
		if ((conf->accounts[i].automatic || args->mode == MODE_TEST_CONFIG) &&
		    choose(args, conf, conf->accounts[i].name, chosen, err) == -1)
			return -1;
	if (chosen->count)
		return 0;
	if (conf->count)
		return error_set(err, ERR_CONFIG, "every account is marked auto = no; name one");
	return error_set(err, ERR_CONFIG, "no account is configured in %s; begin one with a line "
	                 "[NAME], see mailhaul-config(5)", conf->path);
}

/* A command that is split into words here must be one. */
static int check_words(const char *option, const char *command, struct error *err)
{
	char **words = command ? child_words(command, err) : NULL;

	if (command && !words)
		return error_wrap(err, "%s", option);
	child_words_free(words);
	return 0;
}

/* What can be known to be wrong of one without dialling. */
static int check_account(const struct arguments *args, struct account *account, struct error *err)
{
	if (option_check(account, err) == -1)
		return -1;
	if (args->json && args->mode < MODE_CHECK && account->target.to_stdout)
		return error_set(err, ERR_USAGE, "--json and mail cannot both go to standard output");
	if (check_words("mda", account->target.mda, err) == -1)
		return -1;
	return check_words("filter", account->policy.filter, err);
}

/* Every account is judged, but for those whose lines in the file were refused: what they lack may
 * be just that.  -1: something was wrong. */
static int check_accounts(const struct arguments *args, struct report *report,
                          const struct conf *conf, const struct selection *chosen)
{
	int rc = 0;

	for (size_t i = 0; i < chosen->count; i++) {
		struct account *account = &chosen->accounts[i];
		struct error err = {0};

		if (account->refused || check_account(args, account, &err) == 0)
			continue;
		rc = error_wrap(&err, "%s", account->name);
		if (account->line > 0)
			error_wrap(&err, "%.300s:%u", conf->path, account->line);
		report_complain(report, account->name, &err);
	}
	return rc;
}

/* --test-config: all that is wrong, of the file and of each account in it. */
static void test_config(const struct arguments *args, struct report *report,
                        const struct conf *conf, const struct error *why,
                        struct selection *chosen)
{
	struct error err = {0};

	if (why->kind)
		fail_conf(report, conf, why);
	if (why->kind && conf->count == 0)
		return;
	if (choose_accounts(args, conf, chosen, &err) == -1)
		report_complain(report, NULL, &err);
	else
		check_accounts(args, report, conf, chosen);
}

/* -- the run ------------------------------------------------------------------------------ */

/* One after another, before anybody starts.  An account whose password nobody tells has failed;
 * the others go on. */
static void ask_passwords(struct selection *chosen, struct report *report)
{
	for (size_t i = 0; i < chosen->count; i++) {
		struct account *account = &chosen->accounts[i];
		struct login *login = &account->login;
		struct error err = {0};

		if (account->inspect || account->look == LOOK_STATUS || !secret_is_missing(login) ||
		    (login->password = secret_ask(account->name, login, &err)))
			continue;
		account->failed = true;
		report_error(report, i, &err, worker_failed(account, &err));
		report_end(report, i);
	}
}

/* How wide a line on standard output may be; 0: nobody looks. */
static unsigned columns_of(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void fetch(const struct arguments *args, const struct run_options *run,
                  struct selection *chosen, struct report *report, int *by_signal)
{
	struct error err = {0}, trouble = {0};

	note_limit = args->verbose ? NOTE_TRACE : NOTE_WARN;
	for (size_t i = 0; i < chosen->count; i++) {
		chosen->accounts[i].columns = args->json ? 0 : columns_of();
		chosen->accounts[i].json = args->json;
		chosen->accounts[i].watched = args->json || args->verbose || isatty(STDERR_FILENO);
	}
	report_accounts(report, chosen->accounts, chosen->count);
	ask_passwords(chosen, report);
	if (supervisor_run(chosen->accounts, chosen->count, run->jobs, report, by_signal, &err) == -1)
		report_complain(report, NULL, &err);
	if (run->on_new && args->mode < MODE_CHECK && !*by_signal &&
	    hook_run(run->on_new, chosen->accounts, chosen->count, report, by_signal, &trouble) == -1)
		report_complain_late(report, &trouble); /* the mail is here: nothing is worse than what
		                                         * the accounts say */
}

/* What needs a configuration.  It is freed before the run: one copy of each password is enough.
 * What is to be shown of one account after another belongs together: one job. */
static void work(const struct arguments *args, struct report *report, struct selection *chosen,
                 int *by_signal)
{
	struct conf conf = {0};
	struct error err = {0};
	struct run_options run;
	bool ready = false;

	if (load_conf(args, &conf, &err) == 0)
		err.kind = ERR_NONE;
	if (args->mode == MODE_TEST_CONFIG)
		test_config(args, report, &conf, &err, chosen);
	else if (err.kind)
		fail_conf(report, &conf, &err);
	else if (args->mode == MODE_LIST_ACCOUNTS)
		print_accounts(report, args->json, &conf);
	else if (choose_accounts(args, &conf, chosen, &err) == -1)
		report_complain(report, NULL, &err);
	else
		ready = check_accounts(args, report, &conf, chosen) == 0;
	run = conf.run;
	conf.run = (struct run_options){0};
	run.jobs = args->jobs ? args->jobs : run.jobs;
	conf_free(&conf);
	if (ready && args->mode == MODE_PRINT_CONFIG)
		print_config(report, args->json, &run, chosen);
	if (args->mode > MODE_CHECK)
		run.jobs = 1;
	if (ready && args->mode != MODE_PRINT_CONFIG)
		fetch(args, &run, chosen, report, by_signal);
	run_options_free(&run);
}

static struct report *open_report(const struct arguments *args)
{
	const char *term = getenv("TERM");
	struct report_style style = {
		.quiet = args->quiet,
		.verbose = args->verbose,
		.terminal = isatty(STDERR_FILENO),
		.dumb = !term || !*term || strcmp(term, "dumb") == 0,
		.json = args->json && args->mode < MODE_HELP,
		.shows = args->mode >= MODE_CHECK,
	};

	return report_open(&style);
}

int main(int argc, char **argv)
{
	struct arguments args = {0};
	struct selection chosen = {0};
	struct error err = {0};
	struct report *report;
	int understood, by_signal = 0, status;

	make_safe();
	understood = arguments_read(&args, argc, argv, &err);
	report = open_report(&args);
	if (understood == -1)
		report_complain(report, NULL, &err);
	else if (args.mode == MODE_HELP)
		arguments_help();
	else if (args.mode == MODE_VERSION)
		print_version();
	else
		work(&args, report, &chosen, &by_signal);
	if (understood == -1 && !args.json)
		fputs("Try 'mailhaul --help' for more.\n", stderr);
	status = report_close(&report);
	for (size_t i = 0; i < chosen.count; i++)
		account_free(&chosen.accounts[i]);
	free(chosen.accounts);
	arguments_free(&args);
	if (by_signal) {
		signal(by_signal, SIG_DFL);
		raise(by_signal);
	}
	return status;
}

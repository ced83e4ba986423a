/* SPDX-License-Identifier: MIT */
/*
 * fuzz_option.c - values for each option of the table, in any order and from any origin.
 *
 * The input: lines of a byte that chooses the option, one for the origin, and the value; all are
 * set in one account, one after the other.  A refused one must leave the account as it was, an
 * accepted one must read the same when it is shown and set again; no text repeats a secret.
 */
#include "config.h"

#include "fuzz.h"

#include "option.h"

/* All that is set, for comparing. */
static void show_all(struct str *text, const struct account *account)
{
	for (size_t i = 0; i < options_count; i++)
		if (option_show(account, &options[i], text))
			str_puts(text, "\n");
		else
			str_puts(text, "-\n");
}

static bool is_secret(enum option_type type)
{
	return type == OPTION_SECRET || type == OPTION_COMMAND;
}

static void check_error(const struct option *row, const char *value, const struct error *err)
{
	size_t n = strlen(row->name), len = strlen(value);

	CHECK(err->kind == ERR_CONFIG && is_harmless(err->text));
	CHECK(strncmp(err->text, row->name, n) == 0 && strncmp(err->text + n, ": ", 2) == 0);
	if (is_secret(row->type) && is_telling(value, len))
		CHECK(strstr(err->text, value) == NULL);
}

/* What option_show has put around it to keep libiniparser from misreading it. */
static char *unquote(const char *shown, enum option_type type)
{
	size_t len = strlen(shown);

	if (type <= OPTION_COMMAND && len >= 2 && strchr("\"'", shown[0]) != NULL &&
	    shown[len - 1] == shown[0])
		return string((struct input){shown + 1, len - 2});
	return string((struct input){shown, len});
}

/* Shows one option, and sets what was shown in a new account. */
static void check_again(const struct account *account, const struct option *row)
{
	struct str once = {.max = 1u << 20}, twice = {.max = 1u << 20};
	struct error err = {0};
	struct account other;
	char *plain;

	if (!option_show(account, row, &once))
		return;
	CHECK(is_harmless(once.s) || strchr(once.s, '\t') != NULL);
	if (row->type == OPTION_SECRET) {
		CHECK(strcmp(once.s, "***") == 0);
	} else {
		account_init(&other, "other");
		plain = unquote(once.s, row->type);
		CHECK(option_set(&other, row->name, plain, ORIGIN_ACCOUNT, &err) == 0);
		CHECK(option_show(&other, row, &twice) && strcmp(once.s, twice.s) == 0);
		free(plain);
		account_free(&other);
	}
	str_free(&once);
	str_free(&twice);
}

/* Options that exclude each other are never set together. */
static void check_choices(const struct account *account)
{
	const struct target *to = &account->target;
	const struct login *login = &account->login;

	CHECK((to->maildir != NULL) + (to->mbox != NULL) + (to->mda != NULL) +
	      (to->mda_shell != NULL) + to->to_stdout <= 1);
	CHECK((login->password != NULL) + (login->password_command != NULL) +
	      (login->password_file != NULL) <= 1);
}

static void check_copy(const struct account *account)
{
	struct str one = {.max = 1u << 22}, other = {.max = 1u << 22};
	struct account copy;

	account_copy(&copy, account, "copy");
	show_all(&one, account);
	show_all(&other, &copy);
	CHECK(strcmp(one.s, other.s) == 0);
	account_free(&copy);
	str_free(&one);
	str_free(&other);
}

static void try_one(struct account *account, struct input line)
{
	const struct option *row = &options[take_byte(&line) % options_count];
	enum option_origin origin = ORIGIN_DEFAULTS + take_byte(&line) % 3;
	struct str before = {.max = 1u << 22}, after = {.max = 1u << 22};
	char *value = string(line);
	struct run_options run;
	struct error err = {0};

	show_all(&before, account);
	if (row->run) {
		run_options_init(&run);
		if (option_set_run(&run, row->name, value, &err) == -1)
			check_error(row, value, &err);
		CHECK(run.jobs >= 1 && run.jobs <= 256);
		run_options_free(&run);
	} else if (option_set(account, row->name, value, origin, &err) == -1) {
		check_error(row, value, &err);
		show_all(&after, account);
		CHECK(strcmp(before.s, after.s) == 0);
	} else {
		check_again(account, row);
		check_choices(account);
	}
	str_free(&before);
	str_free(&after);
	free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	struct account account;
	struct error err = {0};

	setenv("HOME", "/home/joe", 1);
	account_init(&account, "joe");
	for (int i = 0; i < 20 && in.len > 0; i++)
		try_one(&account, take_until(&in, '\n'));
	check_copy(&account);
	if (option_check(&account, &err) == -1) {
		CHECK(err.kind == ERR_CONFIG && is_harmless(err.text));
	} else {
		CHECK(account.server.host != NULL && account.login.user != NULL);
		CHECK(account.server.tls != TLS_BY_PORT);
		CHECK(account.server.port >= 1 && account.server.port <= 65535);
	}
	account_free(&account);
	return 0;
}

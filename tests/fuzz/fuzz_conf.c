/* SPDX-License-Identifier: MIT */
/*
 * fuzz_conf.c - the text of a configuration file: refused with FILE:LINE and without a secret, or
 * accepted and the same again when it is written out as --print-config would.
 *
 * The input is the file.
 */
#include "config.h"

#include "fuzz.h"

#include "conf.h"
#include "option.h"

#define MAX_LINE 1022 /* what conf.c takes */

static int file = -1;
static char path[64];

/* Every problem is "FILE:LINE: what", but the last may be "FILE: and more". */
static void check_problems(const struct str *problems)
{
	struct input rest = {problems->s, problems->len};
	size_t n = strlen(path);

	while (rest.len > 0) {
		struct input line = take_until(&rest, '\n');
		char *text = string(line);
		uint64_t number;

		CHECK(is_harmless(text) && strncmp(text, path, n) == 0 && text[n] == ':');
		if (rest.len > 0 || strcmp(text + n, ": and more") != 0) {
			size_t digits = strspn(text + n + 1, "0123456789");

			CHECK(number_of(text + n + 1, digits, 1u << 20, &number) && number > 0);
			CHECK(strncmp(text + n + 1 + digits, ": ", 2) == 0 && text[n + 3 + digits] != '\0');
		}
		free(text);
	}
}

/* Cuts blanks at both ends. */
static struct input trim(struct input in)
{
	while (in.len > 0 && strchr(" \t", *in.p) != NULL)
		in.p++, in.len--;
	while (in.len > 0 && strchr(" \t\r", in.p[in.len - 1]) != NULL)
		in.len--;
	return in;
}

static bool is_secret(struct input key)
{
	return is_same_word(key.p, key.len, "password") || is_same_word(key.p, key.len, "proxy");
}

/* What stands behind "password =" is nowhere in the problems, if it can be told from their words
 * and from what else is in the file.  Nor is a proxy's URL, which may have one. */
static void check_secrets(const char *data, size_t size, const struct str *problems,
                          const struct error *err)
{
	struct input in = {data, size};

	while (in.len > 0) {
		struct input value = take_until(&in, '\n'), key = trim(take_until(&value, '='));
		size_t behind;

		value = trim(value);
		behind = (size_t)(data + size - value.p);
		if (!is_secret(key) || !is_telling(value.p, value.len) ||
		    memmem(data, size, value.p, value.len) != value.p ||
		    memmem(value.p + 1, behind - 1, value.p, value.len) != NULL)
			continue;
		CHECK(memmem(err->text, strlen(err->text), value.p, value.len) == NULL);
		CHECK(problems->len == 0 || memmem(problems->s, problems->len, value.p, value.len) == NULL);
	}
}

/* "NAME = VALUE" for all that is set; but *** is no proxy. */
static void show(struct str *text, const struct account *account)
{
	for (size_t i = 0; i < options_count; i++) {
		size_t before = text->len;

		CHECK(str_printf(text, "%s = ", options[i].name) == 0);
		if (account == NULL || !option_show(account, &options[i], text) ||
		    strcmp(options[i].name, "proxy") == 0)
			str_cut(text, before);
		else
			str_puts(text, "\n");
	}
}

static void show_all(struct str *text, const struct conf *conf)
{
	str_puts(text, "[mailhaul]\n");
	for (size_t i = 0; i < options_count; i++)
		if (options[i].run) {
			size_t before = text->len;

			str_printf(text, "%s = ", options[i].name);
			if (option_show_run(&conf->run, &options[i], text))
				str_puts(text, "\n");
			else
				str_cut(text, before);
		}
	for (size_t i = 0; i < conf->count; i++) {
		str_printf(text, "[%s]\n", conf->accounts[i].name);
		show(text, &conf->accounts[i]);
	}
}

static bool has_long_line(struct input in)
{
	while (in.len > 0)
		if (take_until(&in, '\n').len > MAX_LINE)
			return true;
	return false;
}

/* The names of accounts become directories. */
static void check_names(const struct conf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		const char *name = conf->accounts[i].name;

		CHECK(is_harmless(name) && strlen(name) > 0 && strlen(name) <= 64);
		CHECK(strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(name, conf->accounts[k].name) != 0);
	}
}

/* What was accepted and is shown is accepted, and shown the same. */
static void check_again(const struct conf *conf)
{
	struct str once = {.max = 1u << 22}, twice = {.max = 1u << 22};
	struct error err = {0};
	struct conf again;

	show_all(&once, conf);
	if (once.len < 1u << 20 && !has_long_line((struct input){once.s, once.len})) {
		refill(file, once.s, once.len);
		if (conf_load(path, &again, &err) == -1) {
			fprintf(stderr, "%s\n%s%s", err.text, again.problems.s ? again.problems.s : "",
			        once.s);
			CHECK(!"what was shown can be read");
		}
		show_all(&twice, &again);
		CHECK(strcmp(once.s, twice.s) == 0);
		conf_free(&again);
	}
	str_free(&once);
	str_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct conf conf;

	if (file == -1) {
		file = memory_file();
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
		setenv("HOME", "/home/joe", 1);
	}
	refill(file, (const char *)data, size);
	if (conf_load(path, &conf, &err) == 0) {
		CHECK(conf.problems.len == 0);
		check_names(&conf);
		check_again(&conf);
	} else {
		CHECK(err.kind == ERR_CONFIG && is_harmless(err.text));
		check_problems(&conf.problems);
		check_secrets((const char *)data, size, &conf.problems, &err);
	}
	conf_free(&conf);
	return 0;
}

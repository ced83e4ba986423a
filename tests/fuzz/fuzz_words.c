/* SPDX-License-Identifier: MIT */
/*
 * fuzz_words.c - command lines split into words: as the reference splits them, and the same words
 * again when each is quoted.
 *
 * The input is the line.
 */
#include "config.h"

#include "fuzz.h"

#include "child.h"

static bool is_blank(char c)
{
	return c != '\0' && strchr(" \t\r\n", c) != NULL;
}

/* By the rules of sh(1), character by character: the words one behind the other, each with its
 * NUL.  Returns how many, -1 where the line is not whole. */
static int split(const char *line, char *out)
{
	char quote = '\0';
	bool inside = false;
	int count = 0;

	for (; *line != '\0'; line++) {
		if (quote == '\0' && is_blank(*line)) {
			if (inside)
				*out++ = '\0';
			inside = false;
			continue;
		}
		count += !inside;
		inside = true;
		if (*line == quote || (quote == '\0' && (*line == '\'' || *line == '"')))
			quote = quote != '\0' ? '\0' : *line;
		else if (*line != '\\' || quote == '\'')
			*out++ = *line;
		else if (line[1] == '\0')
			return -1;
		else if (quote == '"' && strchr("\"\\$`", line[1]) == NULL)
			*out++ = *line;
		else
			*out++ = *++line;
	}
	*out = '\0';
	return quote == '\0' && count > 0 ? count : -1;
}

/* The words in single quotes, as many as there are. */
static char *join(char **words, size_t len)
{
	char *line = malloc(7 * len + 16), *to = line;

	CHECK(line != NULL);
	for (; *words != NULL; words++) {
		*to++ = '\'';
		for (const char *p = *words; *p != '\0'; p++)
			if (*p == '\'')
				to = (char *)memcpy(to, "'\\''", 4) + 4;
			else
				*to++ = *p;
		*to++ = '\'';
		*to++ = ' ';
	}
	*to = '\0';
	return line;
}

static void check_words(char **words, const char *want, int count)
{
	int n = 0;

	for (; words[n] != NULL; n++) {
		CHECK(n < count && strcmp(words[n], want) == 0);
		want += strlen(want) + 1;
	}
	CHECK(n == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = string((struct input){(const char *)data, size}), *want = malloc(size + 2);
	int count = want != NULL ? split(line, want) : -1;
	struct error err = {0};
	char **words = child_words(line, &err), **again;
	char *quoted;

	CHECK((words != NULL) == (count > 0));
	if (words == NULL) {
		CHECK(err.kind == ERR_CONFIG && is_harmless(err.text));
	} else {
		check_words(words, want, count);
		quoted = join(words, strlen(line));
		again = child_words(quoted, &err);
		CHECK(again != NULL);
		check_words(again, want, count);
		child_words_free(again);
		child_words_free(words);
		free(quoted);
	}
	free(line);
	free(want);
	return 0;
}

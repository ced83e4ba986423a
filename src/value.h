/* SPDX-License-Identifier: MIT */
/*
 * value.h - the values of options: read from text, stored, loaded, and shown as text again.
 * A row of the option table says what fits: its type, its limits, its words.  option.h has the
 * table, and knows who may set what.
 */
#ifndef VALUE_H
#define VALUE_H

#include <stddef.h>

#include "base.h"

enum option_type {
	OPTION_STRING,
	OPTION_HOST,       /* a host name or address, without a port */
	OPTION_SECRET,     /* a string that --print-config shows as *** */
	OPTION_PATH,       /* a string; a leading ~/ is the home directory; becomes absolute */
	OPTION_FILE,       /* a path that cannot end in a slash */
	OPTION_CREDENTIAL, /* a path, or $CREDENTIALS_DIRECTORY/NAME as it is (systemd.exec(5)) */
	OPTION_OBJECT,     /* a path, or a pkcs11: URL as it is (RFC 7512) */
	OPTION_COMMAND,    /* a string that is a command line; the last of the texts */
	OPTION_BOOL,       /* yes no true false on off 1 0 */
	OPTION_COUNT,      /* a decimal number */
	OPTION_DURATION,   /* a number and s, m, h, d or w; seconds without a letter */
	OPTION_SIZE,       /* a number and k, M or G (powers of 1024); bytes without a letter */
	OPTION_PATIENCE,   /* a decimal number, or a duration with its letter: COMPLAIN_TIME is added */
	OPTION_WORD,       /* one of words[] */
	OPTION_KEEP        /* no, yes or a duration with its letter: a bare number may mean either */
};

/* Options of one choice exclude each other: a stronger origin replaces, the same origin twice
 * is an error. */
enum option_choice { CHOICE_FREE, CHOICE_TARGET, CHOICE_PASSWORD, CHOICE_ROUTE };

/* A row of the table. */
struct option {
	const char *name;
	enum option_type type;
	size_t offset;            /* in struct account (or struct run_options where run is true) */
	bool run;                 /* belongs to [mailhaul] */
	uint64_t min, max;        /* of numbers, in the base unit */
	const char *fallback;     /* the default as it would be written; NULL: absent */
	const char *const *words; /* OPTION_WORD: NULL-terminated, index = value */
	enum option_choice choice;
	int (*judge)(const char *text, struct error *err); /* of texts with a grammar of their own */
	const char *arg;          /* how --help calls the value: "HOST", "SECONDS" */
	const char *help;         /* one line */
};

/* What was read, or stands in its place. */
struct value {
	uint64_t number; /* of numbers, words and yes or no */
	char *text;      /* of all others; owned where it was read, the base's where it was loaded */
};

/* True where values of this type are texts. */
bool value_is_text(enum option_type type);

/* Reads what the file or the command line says; value_store or secret_free takes the text.
 * ERR_CONFIG with "NAME: why" where it does not fit the row. */
int value_read(const struct option *row, const char *text, struct value *value, struct error *err);

/* Puts a value into the row's place in base, which owns its text from then on. */
void value_store(void *base, const struct option *row, struct value *value);

/* What stands in the row's place.  The text stays base's. */
struct value value_load(const void *base, const struct option *row);

/* Adds what stands there as it would be written in the file, secrets as ***; false, and nothing
 * is added, where there is nothing.  given: somebody has set it, be it to nothing. */
bool value_show(const void *base, const struct option *row, bool given, struct str *text);

#endif

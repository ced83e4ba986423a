/* SPDX-License-Identifier: MIT */
/*
 * base.h - the ground floor: errors, bounded strings, the clock, the log hook.
 *
 * Everything here is used everywhere, so it is small and knows nothing of mail.
 *
 * The error convention of the whole program: a function that can fail returns 0, or -1 with
 * *err filled (err is the last argument and never NULL).  Readers return 1 / 0 / -1 for
 * "one more" / "the end" / "error".  The text is made where the failure is, each floor that
 * knows more wraps it once on the way up, and report.c alone prints it.
 */
#ifndef BASE_H
#define BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* -- errors ------------------------------------------------------------------------------- */

/* What went wrong, by what it means to the user: each kind is one exit status (sysexits). */
enum error_kind {
	ERR_NONE,
	ERR_USAGE,       /* 64: the command line */
	ERR_NOHOST,      /* 68: the host name is unknown */
	ERR_UNAVAILABLE, /* 69: refused, no TLS, certificate not accepted, mechanism missing */
	ERR_BUG,         /* 70: our own fault */
	ERR_CANTCREATE,  /* 73: a file or directory that should be written cannot be made */
	ERR_IO,          /* 74: reading or writing here failed, or the MDA did */
	ERR_TEMP,        /* 75: try again later */
	ERR_PROTOCOL,    /* 76: the server talks nonsense */
	ERR_AUTH,        /* 77: login refused */
	ERR_CONFIG,      /* 78: the configuration */
	ERR_STOP,        /* a signal asked us to stop; the process dies by that signal */
	ERR_KINDS
};

/* Lives on the caller's stack; zeroed is "no error"; never freed. */
struct error {
	enum error_kind kind;
	int sys;             /* errno behind it, or 0 */
	bool one_message;    /* this message alone is affected: say so and go on with the next */
	bool outage;         /* waiting may help, whatever the kind: the server cannot be reached */
	bool waiting;        /* nothing was tried: another run, or a pause, is in the way */
	char text[512];      /* for people; no code ever compares it */
};

/* All three return -1, so that "return error_set(...)" reads well.  error_sys adds
 * ": strerror(errno)" and keeps errno; error_wrap puts "...: " in front of what is there. */
int error_set(struct error *err, enum error_kind kind, const char *fmt, ...) PRINTF(3, 4);
int error_sys(struct error *err, enum error_kind kind, const char *fmt, ...) PRINTF(3, 4);
int error_wrap(struct error *err, const char *fmt, ...) PRINTF(2, 3);

/* The sysexits(3) code of a kind; 0 for ERR_NONE. */
int error_exit_code(enum error_kind kind);

/* True where waiting may help: ERR_TEMP. */
bool error_is_transient(enum error_kind kind);

/* True where a disk, a quota or a limit on files is full. */
bool error_is_no_room(const struct error *err);

/* The kind that fits errno after writing or creating a file: ENOSPC, EDQUOT, EIO... are ERR_IO,
 * EACCES, EROFS, ENOENT... are ERR_CANTCREATE, ENOMEM and EMFILE are ERR_TEMP. */
enum error_kind error_kind_of(int sys);

/* -- memory ------------------------------------------------------------------------------- */

/* These return or end the process with status 75: dying anywhere is a tested path, and what is
 * not journalled is still on the server. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xmemdup0(const char *s, size_t len); /* len bytes and a NUL */

/* Overwrites the bytes of a secret, frees it, sets the pointer to NULL.  NULL is fine. */
void secret_free(char **secret);

/* -- strings ------------------------------------------------------------------------------ */

/* A growing string that knows its maximum at birth: {.max = N} is a valid empty one.  s is NUL
 * terminated once anything was added (else NULL).  Passing the maximum is an error for the
 * caller to report, never a growth: the add functions return -1 and leave the value alone. */
struct str {
	char *s;
	size_t len, cap, max;
};

int str_add(struct str *str, const char *bytes, size_t len);
int str_puts(struct str *str, const char *s);
int str_printf(struct str *str, const char *fmt, ...) PRINTF(2, 3);
void str_cut(struct str *str, size_t len); /* shorten to len */
void str_wipe(struct str *str);            /* overwrite, free, make empty: for secrets */
void str_free(struct str *str);            /* free, make empty; max stays */

/* Copies s into a field of a fixed size, cutting what does not fit; always terminated. */
void text_copy(char *to, size_t size, const char *s);

/* Reads a decimal number that fills exactly len bytes: digits only, no sign, no blanks,
 * value <= max.  Returns false otherwise. */
bool number_parse(const char *s, size_t len, uint64_t max, uint64_t *value);

/* Writes a number so, up to NUMBER_DIGITS bytes and no NUL.  Returns the first byte behind it.  For
 * where a number is written for each message: printf costs ten times that. */
#define NUMBER_DIGITS 20
char *number_put(char *to, uint64_t value);

/* For "did you mean": true where name resembles what was given, and more so than those before; at
 * most two letters inserted, left out, changed or swapped, in a word of up to 3 letters one.
 * *edits holds how far the best one is: 0 before the first.  Names over 64 bytes resemble none. */
bool text_is_nearer(const char *given, const char *name, unsigned *edits);

/* Length of the UTF-8 sequence that len > 0 bytes begin with, and its character; 0 where there is
 * no valid one. */
size_t utf8_read(const char *bytes, size_t len, uint32_t *c);

/* Makes bytes from outside fit to be shown: printable ASCII and valid UTF-8 stay, control
 * characters, bidirectional overrides and invalid bytes become \xNN.  Cuts to size (with "...").
 * Returns to. */
char *printable(char *to, size_t size, const char *bytes, size_t len);

/* -- chance and time ---------------------------------------------------------------------- */

/* n random bytes of the kernel as 2n lower-case hexadecimal digits and a NUL. */
void random_hex(char *to, size_t n);

/* Milliseconds of a clock that never jumps, for deadlines. */
uint64_t clock_ms(void);

/* -- negative controls -------------------------------------------------------------------- */

/* The steps by whose order no mail is lost or doubled.  Built with CPPFLAGS=-DWITHOUT=STEP_x one
 * of them is left out: then a suite must go red (HACKING says which), or it proves nothing.
 * Never build a program like that to fetch mail. */
enum safety_step {
	STEP_NONE,
	STEP_SYNC_SPOOL,   /* Maildir: each file in tmp/ */
	STEP_INTEND,       /* the journal's intents */
	STEP_SYNC_NEW,     /* Maildir: new/ after the renames */
	STEP_SYNC_STAGE,   /* mbox: the stage */
	STEP_RESERVE,      /* mbox: newlines before mail */
	STEP_SYNC_RESERVE, /* mbox: the newlines */
	STEP_SYNC_FILL,    /* mbox: the mail */
	STEP_SYNC_JOURNAL  /* every sync of the journal */
};
#ifndef WITHOUT
#define WITHOUT STEP_NONE
#endif
#define STEP(step, call) (WITHOUT == (step) ? 0 : (call))

/* -- words to the user -------------------------------------------------------------------- */

enum note_level {
	NOTE_WARN,  /* something the user should know, once; shown unless -q */
	NOTE_INFO,  /* with -v */
	NOTE_TRACE  /* the protocol, with -v */
};

/* The one way out for words that are no error.  In a worker the hook sends them to the
 * supervisor; in a test it collects them; without a hook they are dropped. */
extern void (*note_hook)(enum note_level level, const char *text);
extern enum note_level note_limit; /* what is above it is not even formatted */
void note(enum note_level level, const char *fmt, ...) PRINTF(2, 3);

/* Set by the signal handlers of a worker: finish what is whole, then leave (10 s at most). */
extern volatile int stop_requested;

/* A worker keeps SIGINT, SIGTERM and SIGHUP blocked, so that none comes just before a wait.  This
 * lets in what is pending and returns stop_requested: whoever waits or works for long calls it
 * now and then. */
bool stop_asked(void);

#endif

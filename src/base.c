/* SPDX-License-Identifier: MIT */
/*
 * base.c - the ground floor: errors, memory, bounded strings, chance, the clock, notes.
 *
 * Does no I/O but getrandom(2), the clock, and one line on standard error when memory ends.
 * Nothing asks the locale: bytes are judged by ASCII and the rules of UTF-8 (RFC 3629) below.
 *
 * On failure: the x functions and random_hex end the process with status 75; a str that is full
 * stays as it was; texts that do not fit are cut.
 *
 * Called by every other file.  No function keeps a pointer it was given.
 */
#include "config.h"

#include "base.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define MAX_GUESS 64 /* bytes of a name that is looked for among its neighbours */

void (*note_hook)(enum note_level level, const char *text);
enum note_level note_limit = NOTE_WARN;
volatile int stop_requested;

/* -- errors ------------------------------------------------------------------------------- */

/* Makes text "head: tail".  Where both do not fit the head gives way first, down to a quarter of
 * the room: the tail is the cause, and people need that most.  tail may be err's own text. */
static void join(struct error *err, const char *head, const char *tail)
{
	char text[sizeof(err->text)];
	size_t room = sizeof(text) - sizeof(": ");
	size_t head_len = strnlen(head, room), tail_len = strnlen(tail, room);

	if (tail_len > room - room / 4)
		tail_len = head_len > room / 4 ? room - room / 4 : room - head_len;
	if (head_len > room - tail_len)
		head_len = room - tail_len;
	snprintf(text, sizeof(text), "%.*s%s%.*s", (int)head_len, head, tail_len ? ": " : "",
	         (int)tail_len, tail);
	text_copy(err->text, sizeof(err->text), text);
}

/* vsnprintf that always leaves a string. */
PRINTF(3, 0)
static void format(char *text, size_t size, const char *fmt, va_list args)
{
	if (vsnprintf(text, size, fmt, args) < 0)
		text[0] = '\0';
}

int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	struct error fresh = {.kind = kind}; /* apart: err's own text may be among the arguments */
	va_list args;

	va_start(args, fmt);
	format(fresh.text, sizeof(fresh.text), fmt, args);
	va_end(args);
	*err = fresh;
	return -1;
}

int error_sys(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	struct error fresh = {.kind = kind, .sys = errno};
	va_list args;

	va_start(args, fmt);
	format(fresh.text, sizeof(fresh.text), fmt, args);
	va_end(args);
	*err = fresh;
	join(err, fresh.text, strerror(fresh.sys));
	errno = fresh.sys;
	return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list args;

	va_start(args, fmt);
	format(text, sizeof(text), fmt, args);
	va_end(args);
	join(err, text, err->text);
	return -1;
}

int error_exit_code(enum error_kind kind)
{
	static const int codes[ERR_KINDS] = {
		[ERR_NONE] = 0,      [ERR_USAGE] = 64, [ERR_NOHOST] = 68,     [ERR_UNAVAILABLE] = 69,
		[ERR_BUG] = 70,      [ERR_IO] = 74,    [ERR_CANTCREATE] = 73, [ERR_TEMP] = 75,
		[ERR_PROTOCOL] = 76, [ERR_AUTH] = 77,  [ERR_CONFIG] = 78,
		[ERR_STOP] = 75, /* for those who cannot die by the signal */
	};

	return (unsigned)kind < ERR_KINDS ? codes[kind] : 70;
}

bool error_is_transient(enum error_kind kind)
{
	return kind == ERR_TEMP;
}

bool error_is_no_room(const struct error *err)
{
	return err->sys == ENOSPC || err->sys == EDQUOT || err->sys == EFBIG;
}

enum error_kind error_kind_of(int sys)
{
	static const int place[] = {EACCES, EPERM, EROFS,  ENOENT,       ENOTDIR, EISDIR,
	                            EEXIST, ELOOP, EMLINK, ENAMETOOLONG, ENXIO,   EXDEV};
	static const int scarce[] = {EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM};

	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++)
		if (sys == place[i])
			return ERR_CANTCREATE;
	for (size_t i = 0; i < sizeof(scarce) / sizeof(scarce[0]); i++)
		if (sys == scarce[i])
			return ERR_TEMP;
	return ERR_IO;
}

/* -- memory ------------------------------------------------------------------------------- */

static const char no_memory[] = "mailhaul: out of memory\n";

/* The last words: no stdio, which may want memory itself. */
_Noreturn static void die(const char *line)
{
	ssize_t n = write(STDERR_FILENO, line, strlen(line));

	(void)n; /* nobody is left to hear of it */
	_exit(75);
}

static void *or_die(void *p)
{
	if (!p)
		die(no_memory);
	return p;
}

void *xmalloc(size_t n)
{
	return or_die(malloc(n ? n : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return or_die(n && size ? calloc(n, size) : calloc(1, 1));
}

void *xrealloc(void *p, size_t n)
{
	return or_die(realloc(p, n ? n : 1));
}

char *xstrdup(const char *s)
{
	return xmemdup0(s, strlen(s));
}

char *xmemdup0(const char *s, size_t len)
{
	char *copy;

	if (len >= PTRDIFF_MAX)
		die(no_memory);
	copy = xmalloc(len + 1);
	if (len)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

void secret_free(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

/* -- strings ------------------------------------------------------------------------------ */

/* Makes room for n more bytes and the NUL.  The old place is wiped before it goes back, since a
 * str may hold a secret and realloc would leave a copy behind. */
static int grow(struct str *str, size_t n)
{
	size_t max = str->max < PTRDIFF_MAX ? str->max : PTRDIFF_MAX - 1;
	size_t cap = str->cap ? str->cap : 64;
	char *s;

	if (str->len > max || n > max - str->len)
		return -1;
	if (str->len + n < str->cap)
		return 0;
	while (cap <= str->len + n)
		cap *= 2;
	if (cap > max + 1)
		cap = max + 1;
	s = xmalloc(cap);
	if (str->s) {
		memcpy(s, str->s, str->len + 1);
		explicit_bzero(str->s, str->cap);
		free(str->s);
	}
	str->s = s;
	str->cap = cap;
	s[str->len] = '\0';
	return 0;
}

int str_add(struct str *str, const char *bytes, size_t len)
{
	if (grow(str, len))
		return -1;
	if (len)
		memcpy(str->s + str->len, bytes, len);
	str->len += len;
	str->s[str->len] = '\0';
	return 0;
}

int str_puts(struct str *str, const char *s)
{
	return str_add(str, s, strlen(s));
}

int str_printf(struct str *str, const char *fmt, ...)
{
	size_t room = str->cap - str->len; /* mostly enough, so that it is made once */
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(str->s ? str->s + str->len : NULL, room, fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < room) {
		str->len += (size_t)n;
		return 0;
	}
	if (str->s)
		str->s[str->len] = '\0';
	if (n < 0 || grow(str, (size_t)n))
		return -1;
	va_start(args, fmt);
	vsnprintf(str->s + str->len, str->cap - str->len, fmt, args);
	va_end(args);
	str->len += (size_t)n;
	return 0;
}

void str_cut(struct str *str, size_t len)
{
	if (len < str->len) {
		str->len = len;
		str->s[len] = '\0';
	}
}

void str_wipe(struct str *str)
{
	if (str->s)
		explicit_bzero(str->s, str->cap);
	str_free(str);
}

void str_free(struct str *str)
{
	free(str->s);
	*str = (struct str){.max = str->max};
}

void text_copy(char *to, size_t size, const char *s)
{
	size_t len;

	if (size == 0)
		return;
	len = strnlen(s, size - 1);
	memmove(to, s, len);
	to[len] = '\0';
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters must be inserted, left out, changed or swapped with their neighbour to turn a
 * into b (optimal string alignment). */
static unsigned count_edits(const char *a, size_t m, const char *b, size_t n)
{
	unsigned d[MAX_GUESS + 1][MAX_GUESS + 1];

	for (unsigned i = 0; i <= m; i++) {
		for (unsigned j = 0; j <= n; j++) {
			d[i][j] = i + j;
			if (i == 0 || j == 0)
				continue;
			d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[m][n];
}

bool text_is_nearer(const char *given, const char *name, unsigned *edits)
{
	size_t m = strnlen(given, MAX_GUESS + 1), n = strnlen(name, MAX_GUESS + 1);
	unsigned best = *edits > 0 ? *edits : m < 4 ? 2 : 3, now; /* two edits of three leave nothing */

	if (m > MAX_GUESS || n > MAX_GUESS || (now = count_edits(given, m, name, n)) >= best)
		return false;
	*edits = now > 0 ? now : 1;
	return true;
}

bool number_parse(const char *s, size_t len, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (unsigned char)s[i] - (uint64_t)'0';

		if (digit > 9 || sum > max / 10 || (sum == max / 10 && digit > max % 10))
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}

char *number_put(char *to, uint64_t value)
{
	char digits[NUMBER_DIGITS];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n > 0)
		*to++ = digits[--n];
	return to;
}

size_t utf8_read(const char *bytes, size_t len, uint32_t *c)
{
	const unsigned char *s = (const unsigned char *)bytes;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || n > len || s[0] > 0xf4)
		return 0;
	*c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n;
}

/* True for characters that would move the cursor or turn the order of what is read. */
static bool is_tricky(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

char *printable(char *to, size_t size, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t at = 0, mark = 0; /* mark: the last whole character with "..." still fitting */

	if (size == 0)
		return to;
	while (len > 0) {
		char unit[17];
		uint32_t c = 0;
		size_t n = utf8_read((const char *)s, len, &c), out = n;

		if (n > 0 && !is_tricky(c)) {
			memcpy(unit, s, n);
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				snprintf(unit + 4 * i, 5, "\\x%02x", s[i]);
			out = 4 * n;
		}
		if (at + 3 < size)
			mark = at;
		if (out >= size - at) {
			text_copy(to + mark, size - mark, "...");
			return to;
		}
		memcpy(to + at, unit, out);
		at += out;
		s += n;
		len -= n;
	}
	to[at] = '\0';
	return to;
}

/* -- chance and time ---------------------------------------------------------------------- */

/* The kernel gives up to 256 bytes whole or not at all (getrandom(2)). */
void random_hex(char *to, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[64];

	for (size_t part; n > 0; n -= part) {
		part = n < sizeof(bytes) ? n : sizeof(bytes);
		while (getrandom(bytes, part, 0) != (ssize_t)part)
			if (errno != EINTR)
				die("mailhaul: no random numbers from the kernel\n");
		for (size_t i = 0; i < part; i++) {
			*to++ = digits[bytes[i] >> 4];
			*to++ = digits[bytes[i] & 15];
		}
	}
	*to = '\0';
}

bool stop_asked(void)
{
	sigset_t stops, old;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	sigprocmask(SIG_UNBLOCK, &stops, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return stop_requested;
}

uint64_t clock_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists, now is ours */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* -- words to the user -------------------------------------------------------------------- */

void note(enum note_level level, const char *fmt, ...)
{
	char text[1600]; /* what one event of link.h carries */
	va_list args;

	if (!note_hook || level > note_limit)
		return;
	va_start(args, fmt);
	format(text, sizeof(text), fmt, args);
	va_end(args);
	note_hook(level, text);
}

/* SPDX-License-Identifier: MIT */
/*
 * pty.c - a program at a terminal: runs it there, acts as its user, and shows the screen as text.
 *
 * pty [-s COLUMNSxROWS] [-e ACTION]... COMMAND [ARGUMENT]...
 *
 * The actions are done one after another while the program runs:
 *
 *   wait TEXT      until the screen has it; after 30 s the program is killed
 *   sleep MS
 *   size CxR       the terminal gets another size
 *   narrow C       it has so many columns, and tells nobody before the next "size": as while a
 *                  window's edge is being dragged
 *   key TEXT       is typed; ^C is that key
 *   show           prints the screen: "== show", its lines without blanks at their ends, "=="
 *   where TEXT     prints in which column it begins: "== where", a number for each line that has
 *                  it, "=="
 *
 * At its end all lines are printed that ever were there, as the last screen and what has scrolled
 * off: "== end STATUS", and then what a terminal should not have met:
 *
 *   == odd N       control characters and escape sequences beyond CR, LF, erase to the end (of
 *                  line, of screen), up, and "wrap" and "do not wrap"; with N > 0 the first one
 *                  follows
 *   == escapes N   escape sequences
 *   == wrapped N   lines that did not fit
 *   == clipped N   characters that did not fit where it was not to wrap
 *   == wraps N     1: it wraps, as it did at first
 *   == writes N    how often something came
 *
 * STATUS is that of the program, or "signal N".  The terminal does not wrap lines anew when its
 * size changes.  As tmux does, it keeps what is erased all at once, from the top left corner on.
 *
 * It knows UTF-8, and by a table of its own, made from Unicode 14 and not from what it tests, what
 * is wide and what has no width in the scripts that the tests write.  Emoji it shows as the widest
 * terminals do: each of a sequence by itself, the letters of a flag too, and wide what variation
 * selector 16 follows.  What has no width is not shown.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINES 20000
#define MAX_COLUMNS 400
#define MAX_ACTIONS 100
#define PATIENCE_MS 30000

/* A cell holds a character; 0: blank; WIDE: the right half of the one before. */
#define WIDE UINT32_MAX

static struct {
	uint32_t (*lines)[MAX_COLUMNS];
	int count;             /* lines that were ever reached */
	int row, column;       /* of the cursor, in lines */
	int columns, rows;
	bool clips;            /* instead of wrapping */
	unsigned odd, escapes, wrapped, clipped, writes;
	char first_odd[64];
	char held[64];         /* an escape sequence or a character that is not whole */
	size_t held_len;
} screen;

static void die(const char *what)
{
	fprintf(stderr, "pty: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* -- the terminal ------------------------------------------------------------------------- */

static int top(void)
{
	return screen.count > screen.rows ? screen.count - screen.rows : 0;
}

static void line_feed(void)
{
	if (++screen.row >= MAX_LINES)
		exit(2);
	if (screen.row >= screen.count)
		screen.count = screen.row + 1;
}

static void erase(int row, int from)
{
	memset(&screen.lines[row][from], 0, (size_t)(MAX_COLUMNS - from) * sizeof(uint32_t));
}

struct range {
	uint32_t from, to;
};

static const struct range nothing[] = {
	{0x0300, 0x036f}, {0x0591, 0x05bd}, {0x064b, 0x065f}, {0x0900, 0x0902}, {0x093c, 0x093c},
	{0x0941, 0x0948}, {0x094d, 0x094d}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},
	{0x1160, 0x11ff}, {0x200b, 0x200d}, {0x20d0, 0x20f0}, {0x302a, 0x302d}, {0x3099, 0x309a},
	{0xfe00, 0xfe0f}, {0xe0020, 0xe007f},
};

static const struct range wide[] = {
	{0x1100, 0x115f}, {0x231a, 0x231b}, {0x23e9, 0x23ec}, {0x23f0, 0x23f0}, {0x23f3, 0x23f3},
	{0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2648, 0x2653}, {0x267f, 0x267f}, {0x2693, 0x2693},
	{0x26a1, 0x26a1}, {0x26aa, 0x26ab}, {0x26bd, 0x26be}, {0x26c4, 0x26c5}, {0x26ce, 0x26ce},
	{0x26d4, 0x26d4}, {0x26ea, 0x26ea}, {0x26f2, 0x26f3}, {0x26f5, 0x26f5}, {0x26fa, 0x26fa},
	{0x26fd, 0x26fd}, {0x2705, 0x2705}, {0x270a, 0x270b}, {0x2728, 0x2728}, {0x274c, 0x274c},
	{0x274e, 0x274e}, {0x2753, 0x2755}, {0x2757, 0x2757}, {0x2795, 0x2797}, {0x27b0, 0x27b0},
	{0x27bf, 0x27bf}, {0x2b1b, 0x2b1c}, {0x2b50, 0x2b50}, {0x2b55, 0x2b55}, {0x2e80, 0x303e},
	{0x3041, 0x3247}, {0x3250, 0x4dbf}, {0x4e00, 0xa4c6}, {0xa960, 0xa97c}, {0xac00, 0xd7a3},
	{0xf900, 0xfaff}, {0xfe10, 0xfe19}, {0xfe30, 0xfe6b}, {0xff01, 0xff60}, {0xffe0, 0xffe6},
	{0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a},
	{0x1f1e6, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393},
	{0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4},
	{0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d},
	{0x1f54b, 0x1f54e}, {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596},
	{0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc},
	{0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6df}, {0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc},
	{0x1f7e0, 0x1f7eb}, {0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff},
	{0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
	for (size_t i = 0; i < count; i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return true;
	return false;
}

static int width_of(uint32_t c)
{
	if (is_in(nothing, sizeof nothing / sizeof *nothing, c))
		return 0;
	return is_in(wide, sizeof wide / sizeof *wide, c) ? 2 : 1;
}

/* Makes room for a character of that width. */
static void make_room(int width)
{
	if (screen.column + width <= screen.columns)
		return;
	if (screen.clips) {
		screen.clipped++;
		screen.column = screen.columns - width;
		return;
	}
	screen.wrapped++;
	screen.column = 0;
	line_feed();
}

/* What stands before the cursor is an emoji. */
static void widen(void)
{
	uint32_t *line = screen.lines[screen.row];

	if (screen.column == 0 || line[screen.column - 1] == WIDE)
		return;
	make_room(1);
	screen.lines[screen.row][screen.column++] = WIDE;
}

static void print(uint32_t c)
{
	int width = width_of(c);

	if (c == 0xfe0f)
		widen();
	if (width == 0)
		return;
	make_room(width);
	screen.lines[screen.row][screen.column] = c;
	if (width == 2)
		screen.lines[screen.row][screen.column + 1] = WIDE;
	screen.column += width;
}

static void note_odd(const char *bytes, size_t len)
{
	if (screen.odd++ > 0)
		return;
	for (size_t i = 0; i < len && i < 12; i++)
		snprintf(screen.first_odd + 5 * i, 6, "\\x%02x ", (unsigned char)bytes[i]);
}

/* Erases all that follows the cursor. */
static void erase_below(void)
{
	if (screen.row == top() && screen.column == 0) {
		screen.row = screen.count;
		screen.count += screen.rows;
		if (screen.count > MAX_LINES)
			exit(2);
	}
	erase(screen.row, screen.column);
	for (int row = screen.row + 1; row < screen.count; row++)
		erase(row, 0);
}

/* ESC [ NUMBER LETTER, and ESC [ ? 7 LETTER */
static void obey(const char *sequence, size_t len)
{
	int number = 0;
	char letter = sequence[len - 1];

	for (size_t i = 2; i + 1 < len; i++) {
		if (sequence[i] < '0' || sequence[i] > '9')
			letter = '?';
		else if (number < 1000)
			number = 10 * number + sequence[i] - '0';
	}
	if (len == 5 && memcmp(sequence + 2, "?7", 2) == 0 && strchr("hl", sequence[4])) {
		screen.clips = sequence[4] == 'l';
	} else if (letter == 'K' && number == 0) {
		erase(screen.row, screen.column);
	} else if (letter == 'J' && number == 0) {
		erase_below();
	} else if (letter == 'A') {
		screen.row -= number > 0 ? number : 1;
		if (screen.row < top())
			screen.row = top();
	} else {
		note_odd(sequence, len);
	}
}

/* How many bytes a thing has that begins so; 0: it cannot be told yet. */
static size_t length_of(const char *bytes, size_t len)
{
	unsigned char c = (unsigned char)bytes[0];
	size_t need = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (c != 0x1b)
		return len >= need ? need : 0;
	if (len < 2)
		return 0;
	if (bytes[1] != '[')
		return 2;
	for (size_t i = 2; i < len; i++)
		if (bytes[i] >= 0x40 && bytes[i] <= 0x7e)
			return i + 1;
	return len < sizeof screen.held - 1 ? 0 : len;
}

static void take_one(const char *bytes, size_t len)
{
	unsigned char c = (unsigned char)bytes[0];
	uint32_t value = len == 1 ? c : len == 2 ? c & 0x1f : len == 3 ? c & 0x0f : c & 0x07;

	for (size_t i = 1; i < len; i++)
		value = value << 6 | ((unsigned char)bytes[i] & 0x3f);
	screen.escapes += c == 0x1b;
	if (c == '\r')
		screen.column = 0;
	else if (c == '\n')
		line_feed();
	else if (c == 0x1b && len > 2)
		obey(bytes, len);
	else if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc0) || (value >= 0x80 && value < 0xa0) ||
	         (value >= 0x202a && value <= 0x202e))
		note_odd(bytes, len);
	else
		print(value);
}

static void take(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t whole;

		screen.held[screen.held_len++] = bytes[i];
		whole = length_of(screen.held, screen.held_len);
		if (whole == 0 && screen.held_len < sizeof screen.held)
			continue;
		take_one(screen.held, screen.held_len);
		screen.held_len = 0;
	}
}

/* Reads the digits at *text and passes them. */
static unsigned read_number(const char **text)
{
	unsigned n = 0;

	for (; **text >= '0' && **text <= '9' && n < 1000000; ++*text)
		n = 10 * n + (unsigned)(**text - '0');
	return n;
}

static void resize(int master, const char *size)
{
	struct winsize window = {0};
	unsigned columns = read_number(&size), rows = 0;

	if (*size++ == 'x')
		rows = read_number(&size);
	if (columns < 1 || columns > MAX_COLUMNS - 2 || rows < 1 || rows > 1000)
		die("a size");
	screen.columns = (int)columns;
	screen.rows = (int)rows;
	window.ws_col = (unsigned short)columns;
	window.ws_row = (unsigned short)rows;
	if (master >= 0 && ioctl(master, TIOCSWINSZ, &window) == -1)
		die("TIOCSWINSZ");
}

/* -- the screen as text ------------------------------------------------------------------- */

/* text has room for 4 bytes a column. */
static void line_text(int row, char *text)
{
	int end = MAX_COLUMNS;

	while (end > 0 && (screen.lines[row][end - 1] == 0 || screen.lines[row][end - 1] == ' '))
		end--;
	for (int i = 0; i < end; i++) {
		uint32_t c = screen.lines[row][i] ? screen.lines[row][i] : ' ';

		if (c == WIDE)
			continue;
		if (c < 0x80) {
			*text++ = (char)c;
		} else if (c < 0x800) {
			*text++ = (char)(0xc0 | c >> 6);
		} else {
			if (c >= 0x10000)
				*text++ = (char)(0xf0 | c >> 18);
			*text++ = (char)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3f) : 0xe0 | c >> 12);
			*text++ = (char)(0x80 | (c >> 6 & 0x3f));
		}
		if (c >= 0x80)
			*text++ = (char)(0x80 | (c & 0x3f));
	}
	*text = '\0';
}

static void show(int from)
{
	int end = screen.count;
	char text[4 * MAX_COLUMNS + 1];

	for (; end > from; end--) {
		line_text(end - 1, text);
		if (text[0])
			break;
	}
	for (int row = from; row < end; row++) {
		line_text(row, text);
		puts(text);
	}
}

static bool has(const char *what)
{
	char text[4 * MAX_COLUMNS + 1];

	for (int row = top(); row < screen.count; row++) {
		line_text(row, text);
		if (strstr(text, what))
			return true;
	}
	return false;
}

/* Where it begins in each line; what is ASCII. */
static void show_columns(const char *text)
{
	int len = (int)strlen(text);

	for (int row = top(); row < screen.count; row++)
		for (int at = 0; at + len <= MAX_COLUMNS; at++) {
			int same = 0;

			while (same < len && screen.lines[row][at + same] == (unsigned char)text[same])
				same++;
			if (same == len) {
				printf("%d\n", at);
				break;
			}
		}
}

/* -- the program -------------------------------------------------------------------------- */

static pid_t start(int master, char **argv)
{
	pid_t pid = fork();
	int slave;

	if (pid != 0)
		return pid;
	setsid();
	slave = open(ptsname(master), O_RDWR); /* which makes it ours */
	if (slave == -1)
		_exit(127);
	(void)ioctl(slave, TIOCSCTTY, 0);
	for (int fd = 0; fd <= 2; fd++)
		dup2(slave, fd);
	if (slave > 2)
		close(slave);
	close(master);
	execvp(argv[0], argv);
	_exit(127);
}

/* Takes what comes within so many ms.  false: the program has let go of the terminal. */
static bool pump(int master, int ms)
{
	struct pollfd on = {.fd = master, .events = POLLIN};
	char bytes[65536];
	ssize_t n;

	if (poll(&on, 1, ms) <= 0)
		return true;
	n = read(master, bytes, sizeof bytes);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	screen.writes++;
	take(bytes, (size_t)n);
	return true;
}

static void type(int master, const char *keys)
{
	for (; *keys; keys++) {
		char c = *keys;

		if (c == '^' && keys[1]) /* as terminals show them */
			c = *++keys & 0x1f;
		if (write(master, &c, 1) != 1)
			die("typing");
	}
}

static bool act(int master, pid_t pid, const char *action)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	bool open = true;

	if (strncmp(action, "wait ", 5) == 0) {
		while (open && !has(action + 5) && now_ms() < end)
			open = pump(master, 50);
		if (!has(action + 5)) {
			printf("== waited in vain for %s\n", action + 5);
			kill(pid, SIGKILL);
		}
	} else if (strncmp(action, "sleep ", 6) == 0) {
		action += 6;
		end = now_ms() + read_number(&action);
		while (open && now_ms() < end)
			open = pump(master, (int)(end - now_ms()) + 1);
	} else if (strncmp(action, "size ", 5) == 0) {
		resize(master, action + 5);
	} else if (strncmp(action, "narrow ", 7) == 0) {
		action += 7;
		screen.columns = (int)read_number(&action);
	} else if (strncmp(action, "key ", 4) == 0) {
		type(master, action + 4);
	} else if (strcmp(action, "show") == 0) {
		puts("== show");
		show(top());
		puts("==");
	} else if (strncmp(action, "where ", 6) == 0) {
		puts("== where");
		show_columns(action + 6);
		puts("==");
	} else {
		errno = EINVAL;
		die(action);
	}
	return open;
}

int main(int argc, char **argv)
{
	const char *actions[MAX_ACTIONS], *size = "80x24";
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), count = 0, c, status = 0;
	bool open = true;
	pid_t pid;

	while ((c = getopt(argc, argv, "+s:e:")) != -1) {
		if (c == 's')
			size = optarg;
		else if (c == 'e' && count < MAX_ACTIONS)
			actions[count++] = optarg;
		else
			return 2;
	}
	if (optind == argc || master == -1 || grantpt(master) || unlockpt(master))
		die("a terminal");
	screen.lines = calloc(MAX_LINES, sizeof *screen.lines);
	if (!screen.lines)
		die("memory");
	screen.count = 1;
	resize(master, size);
	pid = start(master, argv + optind);
	for (int i = 0; i < count && open; i++)
		open = act(master, pid, actions[i]);
	while (open)
		open = pump(master, 1000);
	if (waitpid(pid, &status, 0) == -1)
		die("waitpid");
	if (WIFSIGNALED(status))
		printf("== end signal %d\n", WTERMSIG(status));
	else
		printf("== end %d\n", WEXITSTATUS(status));
	show(0);
	printf("== odd %u %s\n== escapes %u\n== wrapped %u\n== clipped %u\n== wraps %d\n", screen.odd,
	       screen.first_odd, screen.escapes, screen.wrapped, screen.clipped, !screen.clips);
	printf("== writes %u\n", screen.writes);
	return 0;
}

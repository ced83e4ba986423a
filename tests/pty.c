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
 *   key TEXT       is typed; ^C is that key
 *   show           prints the screen: "== show", its lines without blanks at their ends, "=="
 *
 * At its end all lines are printed that ever were there, as the last screen and what has scrolled
 * off: "== end STATUS", and then what a terminal should not have met:
 *
 *   == odd N       control characters and escape sequences beyond CR, LF, erase to the end (of
 *                  line, of screen) and up; with N > 0 the first one follows
 *   == escapes N   escape sequences
 *   == wrapped N   lines that did not fit
 *   == writes N    how often something came
 *
 * STATUS is that of the program, or "signal N".  The terminal does not wrap lines anew when its
 * size changes.  It knows UTF-8, and that the blocks from U+1100 to U+115F, U+2E80 to U+A4CF,
 * U+AC00 to U+D7A3, U+FF00 to U+FF60 and from U+1F300 on are two columns wide.
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
	unsigned odd, escapes, wrapped, writes;
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

static int width_of(uint32_t c)
{
	return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
	       (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xff00 && c <= 0xff60) || c >= 0x1f300 ? 2 : 1;
}

static void print(uint32_t c)
{
	int width = width_of(c);

	if (screen.column + width > screen.columns) {
		screen.wrapped++;
		screen.column = 0;
		line_feed();
	}
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

/* ESC [ NUMBER LETTER */
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
	if (letter == 'K' && number == 0) {
		erase(screen.row, screen.column);
	} else if (letter == 'J' && number == 0) {
		erase(screen.row, screen.column);
		for (int row = screen.row + 1; row < screen.count; row++)
			erase(row, 0);
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
	} else if (strncmp(action, "key ", 4) == 0) {
		type(master, action + 4);
	} else if (strcmp(action, "show") == 0) {
		puts("== show");
		show(top());
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
	printf("== odd %u %s\n== escapes %u\n== wrapped %u\n== writes %u\n", screen.odd,
	       screen.first_odd, screen.escapes, screen.wrapped, screen.writes);
	return 0;
}

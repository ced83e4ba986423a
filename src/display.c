/* SPDX-License-Identifier: MIT */
/*
 * display.c - what moves on a terminal.
 *
 * display_make lays out a table.  Its columns have fixed widths, so that nothing jumps while the
 * numbers grow; a narrow terminal gets fewer of them, by the order of `parts`.  Names are a
 * stranger's words as far as this file knows, and are counted in columns, not in bytes.
 *
 * No colours, so there is nothing for NO_COLOR to forbid.  Of a terminal it needs no more than
 * carriage return, "erase to the end" (of line, of screen) and "up", as ECMA-48 has them.  Where
 * it can be told not to wrap, it is told so for as long as a block is written: while a window is
 * being made narrower some rows are still as wide as it was, and if these wrap, "up" ends too low
 * and pieces stay above.  That is over in the same write, and ERASE says it once more, since ^C
 * throws away what the terminal has not read yet.
 *
 * Errors of writing are ignored, for there is nobody left to tell.  Called by report.c.
 */
#include "config.h"

#include "display.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "file.h"
#include "header.h"

#define SMOOTH_MS 4000.0 /* over how long the rate is taken, roughly */
#define SILENT_MS 1000   /* a pause this long shows in the rate */
#define MOST_RATE 1e15
#define MOST_LEFT 360000 /* s: nobody waits so long by a guess */
#define MOST_BAR 40
#define LEAST_BAR 10
#define MOST_NAME 30
#define LEAST_NAME 8
#define LEFT_WORD " left"
#define NO_WRAP "\033[?7l"
#define WRAP "\033[?7h"

/* From the line's beginning to the end of the screen.  Not all at once: if that was all of the
 * screen, tmux would keep it in its history. */
#define ERASE WRAP "\r\033[K \033[J\r"

/* The columns behind the name, in the order of their worth. */
enum part { PART_COUNT, PART_LEFT, PART_BAR, PART_BYTES, PART_RATE, PART_WORD, PARTS };

/* How wide each is; 0: there is no room for it. */
struct layout {
	size_t width, name;
	size_t parts[PARTS];
};

void display_advance(struct display_row *row, uint64_t fetched, uint64_t received, uint64_t now)
{
	double span = now > row->heard ? (double)(now - row->heard) : 1;
	double before = (double)(row->heard - row->since), rate;

	row->fetched = fetched;
	if (received <= row->received)
		return;
	rate = (double)(received - row->received) * 1000 / span;
	rate = rate < MOST_RATE ? rate : MOST_RATE;
	before = before < SMOOTH_MS ? before : SMOOTH_MS;
	row->rate += (rate - row->rate) * span / (span + before);
	row->received = received;
	row->heard = now;
}

/* -- numbers ------------------------------------------------------------------------------ */

/* n in units, rounded. */
static uint64_t rounded(uint64_t n, uint64_t unit)
{
	return n / unit + (n % unit >= unit / 2);
}

char *display_size(char to[16], uint64_t n)
{
	static const char *const names[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t unit = 1000, tenths;
	size_t at = 0;

	while (rounded(n, unit) >= 1000) {
		unit *= 1000;
		at++;
	}
	tenths = rounded(n, unit / 10);
	if (n < 1000)
		snprintf(to, 16, "%u B", (unsigned)n);
	else if (at > 0 && tenths < 1000)
		snprintf(to, 16, "%u.%u %s", (unsigned)tenths / 10, (unsigned)tenths % 10, names[at]);
	else
		snprintf(to, 16, "%u %s", (unsigned)rounded(n, unit), names[at]);
	return to;
}

char *display_span(char to[24], uint64_t seconds)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (hours < 1)
		snprintf(to, 24, "%u min", (unsigned)minutes);
	else if (days < 2)
		snprintf(to, 24, "%u h", (unsigned)hours);
	else if (days < 1000)
		snprintf(to, 24, "%u d", (unsigned)days);
	else
		snprintf(to, 24, "%llu y", (unsigned long long)(days * 4 / 1461));
	return to;
}

/* Bytes a second as they are now: what is silent becomes slower, as display_advance would have it.
 * A rate that is not known for long, as of one burst, is no excuse for the shortest silence. */
static double rate_of(const struct display_row *row, uint64_t now)
{
	double silent = now > row->heard ? (double)(now - row->heard) : 0;
	double known = (double)(row->heard - row->since);

	known = known < SMOOTH_MS ? known : SMOOTH_MS;
	if (silent < SILENT_MS && known >= SILENT_MS)
		return row->rate;
	return silent > 0 ? row->rate * known / (known + silent) : row->rate;
}

/* Thousandths of the way: by bytes where the server has announced some, which need not be true, so
 * the end is only reached with the last message. */
static unsigned way_of(const struct display_row *row)
{
	double done = (double)row->fetched, all = (double)row->due;

	if (row->fetched >= row->due)
		return 1000;
	if (row->octets > 0) {
		done = (double)row->received;
		all = (double)row->octets;
	}
	return done < all ? (unsigned)(done * 1000 / all) : 999;
}

/* "0:42", "1:02:03"; "" where nobody knows. */
static void tell_left(char to[16], const struct display_row *row, double rate)
{
	double left = row->octets > row->received ? (double)(row->octets - row->received) : 0;
	unsigned s;

	*to = '\0';
	if (left < 1 || rate < 1 || left / rate >= MOST_LEFT)
		return;
	s = (unsigned)(left / rate + 0.5);
	if (s < 3600)
		snprintf(to, 16, "%u:%02u", s / 60, s % 60);
	else
		snprintf(to, 16, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

/* -- the table ---------------------------------------------------------------------------- */

static size_t limit(size_t n, size_t least, size_t most)
{
	return n < least ? least : n > most ? most : n;
}

static void lay_out(struct layout *l, const struct display_row *rows, size_t count, unsigned width)
{
	size_t wanted[PARTS] = {[PART_LEFT] = sizeof "0:00:00" - 1, [PART_BAR] = LEAST_BAR,
	                        [PART_BYTES] = sizeof "99.9 MB" - 1,
	                        [PART_RATE] = sizeof "99.9 MB/s" - 1,
	                        [PART_WORD] = sizeof LEFT_WORD - 1};
	size_t used;

	*l = (struct layout){.width = width > 1 ? width - 1 : 1};
	for (size_t i = 0; i < count; i++) {
		char name[200];
		size_t digits = (size_t)snprintf(NULL, 0, "%llu", (unsigned long long)rows[i].due);
		size_t columns = header_columns(printable(name, sizeof name, rows[i].name,
		                                          strlen(rows[i].name)));

		l->name = columns > l->name ? columns : l->name;
		if (2 * digits + 1 > wanted[PART_COUNT])
			wanted[PART_COUNT] = 2 * digits + 1;
	}
	l->name = limit(l->name, 1, limit(l->width / 4, LEAST_NAME, MOST_NAME));
	used = l->name;
	for (enum part part = 0; part < PARTS; part++) {
		size_t cost = wanted[part] + (part == PART_WORD ? 0 : 2);

		if (used + cost > l->width || (part == PART_WORD && !l->parts[PART_LEFT]))
			continue;
		l->parts[part] = wanted[part];
		used += cost;
	}
	if (l->parts[PART_BAR])
		l->parts[PART_BAR] = limit(l->parts[PART_BAR] + l->width - used, LEAST_BAR, MOST_BAR);
}

/* "[=====>    ]" */
static void add_bar(struct str *line, size_t columns, unsigned way)
{
	size_t inside = columns - 2, full = inside * way / 1000;

	str_puts(line, "  [");
	for (size_t i = 0; i < inside; i++)
		str_puts(line, i < full ? "=" : i == full && full > 0 ? ">" : " ");
	str_puts(line, "]");
}

/* At the right of so many columns. */
static void add_cell(struct str *line, size_t columns, const char *text)
{
	if (columns > 0)
		str_printf(line, "  %*s", (int)columns, text);
}

static void add_numbers(struct str *line, const struct layout *l, const struct display_row *row,
                        uint64_t now)
{
	char count[48], size[16], rate[24] = "", left[16];
	double speed = rate_of(row, now);

	snprintf(count, sizeof count, "%llu/%llu", (unsigned long long)row->fetched,
	         (unsigned long long)row->due);
	if (speed >= 1)
		snprintf(rate, sizeof rate, "%s/s", display_size(size, (uint64_t)speed));
	tell_left(left, row, speed);
	if (l->parts[PART_BAR])
		add_bar(line, l->parts[PART_BAR], way_of(row));
	add_cell(line, l->parts[PART_COUNT], count);
	add_cell(line, l->parts[PART_BYTES], display_size(size, row->received));
	add_cell(line, l->parts[PART_RATE], rate);
	add_cell(line, l->parts[PART_LEFT], left);
	if (l->parts[PART_WORD] && *left)
		str_puts(line, LEFT_WORD);
}

static void add_row(struct str *text, const struct layout *l, const struct display_row *row,
                    uint64_t now)
{
	struct str line = {.max = 2048};
	uint64_t seconds = now > row->begun ? (now - row->begun) / 1000 : 0;
	char name[200];

	printable(name, sizeof name, row->name, strlen(row->name));
	header_fit(name, l->name, true, &line);
	if (row->since == 0)
		str_printf(&line, "  waiting %llu s", (unsigned long long)seconds);
	else if (row->due > 0)
		add_numbers(&line, l, row, now);
	else
		str_puts(&line, "  finishing");
	while (line.len > 0 && line.s[line.len - 1] == ' ')
		str_cut(&line, line.len - 1);
	header_fit(line.s, l->width, false, text);
	str_free(&line);
}

void display_make(struct str *text, const struct display_row *rows, size_t count, unsigned width,
                  unsigned height, uint64_t now)
{
	size_t most = height > 1 ? height - 1 : 1, shown = count > most ? most - 1 : count;
	struct layout l;
	char more[40];

	lay_out(&l, rows, shown, width);
	for (size_t i = 0; i < shown; i++) {
		str_puts(text, i > 0 ? "\n" : "");
		add_row(text, &l, &rows[i], now);
	}
	if (shown == count)
		return;
	snprintf(more, sizeof more, shown > 0 ? "and %zu more" : "%zu accounts", count - shown);
	str_puts(text, shown > 0 ? "\n" : "");
	header_fit(more, l.width, false, text);
}

/* -- the terminal ------------------------------------------------------------------------- */

static void measure(int fd, unsigned *width, unsigned *height)
{
	struct winsize size = {0};

	if (ioctl(fd, TIOCGWINSZ, &size) == -1)
		size = (struct winsize){0};
	*width = size.ws_col > 0 ? size.ws_col : 80;
	*height = size.ws_row > 0 ? size.ws_row : 24;
}

bool display_is_resized(const struct display *display)
{
	unsigned width, height;

	measure(display->fd, &width, &height);
	return width != display->width || height != display->height;
}

static bool is_ours(int fd)
{
	pid_t front = tcgetpgrp(fd);

	return front == -1 || front == getpgrp();
}

static void put(const struct display *display, const char *bytes, size_t len)
{
	struct error ignored = {0};

	(void)file_write(display->fd, bytes, len, "the terminal", &ignored);
}

/* One write; above: what comes before it.  Each line is written over the old one and only then
 * erased to its end, so that nothing flickers. */
static void put_block(const struct display *display, const char *above, size_t len,
                      const struct str *text)
{
	struct str out = {.max = len + text->len * 4 + 100};
	const char *line = text->s, *end;
	unsigned lines = 0;

	if (len > 0)
		str_puts(&out, ERASE);
	str_add(&out, above, len);
	str_puts(&out, NO_WRAP "\r");
	while ((end = strchr(line, '\n')) != NULL) {
		str_add(&out, line, (size_t)(end - line));
		str_puts(&out, "\033[K\n");
		line = end + 1;
		lines++;
	}
	str_printf(&out, "%s\033[J\r", line);
	if (lines > 0)
		str_printf(&out, "\033[%uA", lines);
	str_puts(&out, WRAP);
	put(display, out.s, out.len);
	str_free(&out);
}

void display_draw(struct display *display, const struct display_row *rows, size_t count,
                  uint64_t now)
{
	struct str text = {.max = 1u << 20};

	if (!is_ours(display->fd)) {
		display->shown = false;
		return;
	}
	measure(display->fd, &display->width, &display->height);
	display_make(&text, rows, count, display->width, display->height, now);
	if (text.len > 0 && !(display->shown && strcmp(display->text.s, text.s) == 0))
		put_block(display, "", 0, &text);
	display->shown = text.len > 0;
	str_free(&display->text);
	display->text = text;
}

void display_say(struct display *display, const char *line, size_t len)
{
	if (display->shown && !display_is_resized(display)) {
		put_block(display, line, len, &display->text);
		return;
	}
	display_clear(display);
	put(display, line, len);
}

void display_clear(struct display *display)
{
	if (display->shown)
		put(display, ERASE, sizeof ERASE - 1);
	display->shown = false;
}

void display_free(struct display *display)
{
	display_clear(display);
	str_free(&display->text);
}

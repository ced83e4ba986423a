/* SPDX-License-Identifier: MIT */
/*
 * display.h - what moves on a terminal: one line for each account that is being fetched.
 *
 * display_make is pure: facts in, text out.  The rest brings that text to the terminal and takes it
 * away again.  The cursor rests at the beginning of the block, so that "erase what is below"
 * removes it whatever the terminal has made of it in the meantime (a new size wraps lines anew).
 */
#ifndef DISPLAY_H
#define DISPLAY_H

#include "base.h"

/* What is known of an account that is being fetched. */
struct display_row {
	const char *name;          /* foreign; any bytes */
	uint64_t begun;            /* clock_ms */
	uint64_t since;            /* from when on it is known what there is to do; 0: it is not */
	uint64_t fetched, due;     /* messages: so far, and in all */
	uint64_t received, octets; /* bytes: so far, and in all as far as the server tells */
	uint64_t heard;            /* when received last grew, clock_ms */
	double rate;               /* bytes a second, smoothed; 0: not known */
};

/* The account has come so far. */
void display_advance(struct display_row *row, uint64_t fetched, uint64_t received, uint64_t now);

/* Puts lines into text, with a newline between two: none fills the last column, and there are fewer
 * than height.  What there is no room for is left out.  text is {.max = ...}. */
void display_make(struct str *text, const struct display_row *rows, size_t count, unsigned width,
                  unsigned height, uint64_t now);

/* "999 B", "120 kB", "1.2 MB", "45.0 GB", "450 GB": by thousands, as mail programs do. */
char *display_size(char to[16], uint64_t bytes);

/* "5 min", "47 h", "12 d", "3 y": whole ones. */
char *display_span(char to[24], uint64_t seconds);

/* -- the terminal ------------------------------------------------------------------------- */

/* {.fd = 2} is valid. */
struct display {
	int fd;
	bool shown;
	struct str text; /* what is there, if it is */
	unsigned width;  /* of the terminal then; height too */
	unsigned height;
};

/* True where the terminal has another size than when it was drawn on. */
bool display_is_resized(const struct display *display);

/* Draws the block in place of the last one, where it differs; not while somebody else has the
 * terminal (we run in the background). */
void display_draw(struct display *display, const struct display_row *rows, size_t count,
                  uint64_t now);

/* Prints a line, its newline included, above the block. */
void display_say(struct display *display, const char *line, size_t len);

/* Takes it away: the cursor is where the block began, and what is printed now stands there. */
void display_clear(struct display *display);

void display_free(struct display *display);

#endif

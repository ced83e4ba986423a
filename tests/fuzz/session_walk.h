/* SPDX-License-Identifier: MIT */
/*
 * session_walk.h - a session read a second time: the lines a client has said, each with the answer
 * that the server's bytes have for it, one behind the other.
 *
 * It can be asked again and again while the session goes on, and so tells how far a server may
 * speak that waits for its turn.  Where the bytes end, or are no POP3, all of them are answers.
 */
#ifndef SESSION_WALK_H
#define SESSION_WALK_H

#include "fuzz.h"

#include "conn.h"
#include "listing.h"
#include "reference.h"
#include "wire.h"

#define WALK_MAX 2000 /* messages, and commands for them */
#define WALK_CAPA 200 /* lines that pop3.c takes */
#define WALK_SPARE 1000

/* RETR, DELE or QUIT. */
struct walk_command {
	char verb;    /* R, D, Q */
	uint32_t num;
	size_t at;    /* where in what the client has sent */
	bool answered, ok;
	char *text;   /* RETR's message, LF lines; NULL where it is not whole */
	size_t len;
};

/* Zeroed but for bytes at first. */
struct walk {
	struct input bytes; /* of the server that answer nothing yet */
	size_t heard;       /* of the client that are dealt with */
	bool greeted;
	bool broken;        /* no more answers */
	struct walk_command commands[3 * WALK_MAX];
	size_t count;
	struct listing listing;
};

/* The next whole line without its end. */
static inline bool walk_line(struct input *bytes, struct input *line)
{
	if (bytes->len == 0 || memchr(bytes->p, '\n', bytes->len) == NULL)
		return false;
	*line = take_until(bytes, '\n');
	if (line->len > 0 && line->p[line->len - 1] == '\r')
		line->len--;
	return line->len <= CONN_MAX_LINE;
}

/* The lines of CAPA, UIDL or LIST up to the dot. */
static inline bool walk_lines(struct walk *w, char verb)
{
	size_t left = verb == 'C' ? WALK_CAPA : w->listing.count + WALK_SPARE;
	struct input line;

	while (walk_line(&w->bytes, &line)) {
		size_t dot = line.len > 0 && *line.p == '.';

		if (dot == 1 && line.len == 1)
			return true;
		if (left-- == 0)
			return false;
		if (verb == 'U')
			listing_uidl(&w->listing, line.p + dot, line.len - dot);
		if (verb == 'L')
			listing_list(&w->listing, line.p + dot, line.len - dot);
	}
	return false;
}

static inline bool walk_body(struct walk_command *command, struct input *bytes)
{
	char *text = malloc(2 * bytes->len + 2);
	size_t used, len;
	bool end;

	CHECK(text != NULL);
	len = reference_undot(bytes->p, bytes->len, text, &used, &end);
	bytes->p += used;
	bytes->len -= used;
	if (len > 0 && text[len - 1] != '\n')
		text[len++] = '\n';
	command->text = end ? text : NULL;
	command->len = len;
	if (!end)
		free(text);
	return end;
}

/* The answer to a line of the client.  False where there is none, or no sense in it. */
static inline bool walk_answer(struct walk *w, char verb, struct walk_command *command)
{
	struct wire_status status;
	struct input line;
	uint64_t octets;
	uint32_t count;
	bool ok;

	if (!walk_line(&w->bytes, &line))
		return false;
	wire_status(line.p, line.len, &status);
	if (status.verdict == WIRE_NONSENSE || (status.verdict == WIRE_CONTINUE && verb != '.'))
		return false;
	ok = status.verdict == WIRE_OK;
	if (command != NULL) {
		command->answered = true;
		command->ok = ok;
	}
	if (ok && verb == 'S') {
		if (!wire_stat(status.text.p, status.text.len, &count, &octets))
			return false;
		listing_free(&w->listing);
		listing_init(&w->listing, count, octets);
	}
	if (ok && strchr("CUL", verb) != NULL)
		return walk_lines(w, verb);
	return ok && verb == 'R' ? walk_body(command, &w->bytes) : true;
}

/* What a line of the client asks for: C S U L R D Q, or a dot for those of the login. */
static inline char walk_verb(struct input line)
{
	static const char *const verbs[] = {"CAPA", "STAT", "UIDL", "LIST", "RETR ", "DELE ", "QUIT"};

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (line.len >= strlen(verbs[i]) && memcmp(line.p, verbs[i], strlen(verbs[i])) == 0)
			return *verbs[i];
	return '.';
}

/* A line of the client, at that place in what it has said. */
static inline void walk_hear(struct walk *w, struct input line, size_t at)
{
	struct walk_command *command = NULL;
	char verb = walk_verb(line);
	uint64_t num = 0;

	if (strchr("RDQ", verb) != NULL) {
		CHECK(verb == 'Q' ? line.len == 4 :
		      number_of(line.p + 5, line.len - 5, WALK_MAX, &num) && num > 0);
		CHECK(w->count < 3 * WALK_MAX);
		command = &w->commands[w->count++];
		*command = (struct walk_command){.verb = verb, .num = (uint32_t)num, .at = at};
	}
	w->broken = w->broken || !walk_answer(w, verb, command);
}

/* Goes on with all that the client has said by now. */
static inline void walk_on(struct walk *w, struct input said)
{
	struct input line, rest = {said.p + w->heard, said.len - w->heard};

	if (!w->greeted)
		w->broken = !walk_answer(w, 'G', NULL);
	w->greeted = true;
	while (rest.len > 0 && memchr(rest.p, '\n', rest.len) != NULL) {
		line = take_until(&rest, '\n');
		CHECK(line.len > 0 && line.p[line.len - 1] == '\r');
		line.len--;
		walk_hear(w, line, w->heard);
		w->heard = said.len - rest.len;
	}
}

/* How many of the server's bytes are left that it may not say yet. */
static inline size_t walk_left(const struct walk *w)
{
	return w->broken ? 0 : w->bytes.len;
}

static inline void walk_free(struct walk *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->commands[i].text);
	listing_free(&w->listing);
	w->count = w->heard = 0;
	w->greeted = w->broken = false;
}

#endif

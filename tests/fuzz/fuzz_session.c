/* SPDX-License-Identifier: MIT */
/*
 * fuzz_session.c - whole sessions with a server that says anything: up to three runs, one after
 * another, with one journal, into a destination that is held in memory and may fail.
 *
 * What was delivered is what the server sent, by a second reading of the session.  DELE is only
 * said of what was delivered before, QUIT only when all that was RETRed is safe; what was
 * delivered and is still listed does not come again; no secret and no control character shows.
 *
 * The input: flags (login, pipelining, keep, whether the password may be sent, whether the server
 * waits for its turn), two bytes that choose how much goes through the socket at once, one for the
 * failures of the destination, and what the server says, with a record separator (0x1e) between
 * sessions.  There is no socket: the calls that conn.c makes end here.
 */
#include "config.h"

#include "fuzz.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "conn.h"
#include "deliver.h"
#include "fetch.h"
#include "mark.h"
#include "pop3.h"
#include "scratch.h"
#include "seen.h"
#include "settle.h"
#include "session_walk.h"

#define RUNS 3
#define MOST_SAID (1u << 20)

#define PASSWORD "hunter2-SECRET"
static const char *const secrets[] = {PASSWORD, "AGpvZQBodW50ZXIyLVNFQ1JFVA==",
                                      "aHVudGVyMi1TRUNSRVQ="};

/* A message that the destination was given. */
struct given {
	int run;
	uint32_t num;
	char token[SPOOL_TOKEN + 1];
	char uid[WIRE_MAX_UID];
	size_t uid_len;
	uint64_t octets, at, size;
	size_t asked; /* bytes of commands by then */
	enum spool_fate fate;
	bool visible; /* it is there, whatever the fate says */
	bool gone;    /* the server has confirmed the deletion */
	bool clear;   /* listed once in every listing since */
	bool steady;  /* and with its size */
	bool resized; /* it may have got another size */
	uint64_t mark;
};

static struct given given[RUNS * WALK_MAX];
static size_t givens;

static int run;            /* 0, 1, 2 */
static int box = -1;       /* the destination's file */
static struct conn conn;
static struct str said;    /* what has come from the client */
static struct walk walk;   /* the session as it should be */
static struct input bytes; /* of the server that are not said yet */
static bool impatient;     /* it says all at once */
static struct cutter cutter;
static unsigned fail_at, fail_how, publishings;

/* -- the world ---------------------------------------------------------------------------- */

/* Instead of the C library's: ten seconds from run to run. */
time_t time(time_t *to)
{
	time_t now = 1500000000 + 10 * run;

	if (to != NULL)
		*to = now;
	return now;
}

/* from: how many of its bytes do not count. */
static bool has_secret(const char *p, size_t len, size_t from)
{
	for (size_t i = 0; len > 0 && i < sizeof secrets / sizeof *secrets; i++)
		if (memmem(p, len, secrets[i] + from, strlen(secrets[i]) - from) != NULL)
			return true;
	return false;
}

static void check_text(const char *text)
{
	CHECK(is_harmless(text) && !has_secret(text, strlen(text), 0));
}

static void check_note(enum note_level level, const char *text)
{
	(void)level;
	check_text(text);
}

/* -- the socket --------------------------------------------------------------------------- */

static bool is_busy(void)
{
	return cutter.most > 0 && cut(&cutter, 65536) % 8 == 3;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	CHECK(fd == -1 && (flags & MSG_NOSIGNAL) && len > 0);
	if (is_busy()) {
		errno = EAGAIN;
		return -1;
	}
	len = cut(&cutter, len);
	CHECK(str_add(&said, buf, len) == 0);
	return (ssize_t)len;
}

/* The server answers what it has heard.  Where that is all answered the session is over, unless
 * there is more to hear. */
ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	size_t n;

	CHECK(fd == -1 && flags == 0 && size > 0);
	walk_on(&walk, (struct input){said.s, said.len});
	n = impatient ? bytes.len : bytes.len - walk_left(&walk);
	if (is_busy() || (n == 0 && conn.out_at < conn.out.len)) {
		errno = EAGAIN;
		return -1;
	}
	n = cut(&cutter, n < size ? n : size);
	memcpy(buf, bytes.p, n);
	bytes.p += n;
	bytes.len -= n;
	return (ssize_t)n;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *span, const sigset_t *mask)
{
	CHECK(n == 1 && span != NULL && mask != NULL);
	fds->revents = POLLIN | POLLOUT;
	return 1;
}

/* What the client has said: all that was sent, and what waits for it. */
static size_t count_said(void)
{
	return said.len + conn.out.len - conn.out_at;
}

/* -- the destination ---------------------------------------------------------------------- */

static int box_open(struct deliver *d, struct error *err)
{
	(void)err;
	d->path = "/memory";
	return 0;
}

static int box_spool(struct deliver *d, struct spool *spool, struct error *err)
{
	struct stat st;

	(void)d, (void)err;
	CHECK(fstat(box, &st) == 0);
	spool->fd = box;
	spool->at = (uint64_t)st.st_size;
	snprintf(spool->place, sizeof spool->place, "at %" PRIu64, spool->at);
	return 0;
}

static void box_drop(struct deliver *d, struct spool *spool)
{
	(void)d;
	spool->fd = -1;
}

/* The failures: 0 and 1 before anything is visible, 2 and 3 half way, 4 and 5 with the outcome
 * unknown; the odd ones end the run. */
static bool fails(unsigned how, struct error *err)
{
	if (publishings != fail_at || fail_how / 2 != how)
		return false;
	error_set(err, ERR_IO, "the destination fails");
	err->one_message = fail_how % 2 == 0;
	return true;
}

static int box_prepare(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	(void)d, (void)spools;
	CHECK(n > 0 && n <= DELIVER_GROUP);
	publishings++;
	return fails(0, err) ? -1 : 0;
}

static int box_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	bool fail = fails(1, err), unsure = fails(2, err);
	size_t asked = count_said();

	(void)d;
	for (size_t i = 0; i < n; i++) {
		struct given *g = &given[givens++];

		CHECK(spools[i].fate == SPOOL_HELD && spools[i].uid.len <= WIRE_MAX_UID);
		*g = (struct given){.run = run, .num = spools[i].num, .uid_len = spools[i].uid.len,
		                    .octets = spools[i].octets, .at = spools[i].at,
		                    .size = spools[i].size, .asked = asked};
		memcpy(g->uid, spools[i].uid.p, g->uid_len);
		text_copy(g->token, sizeof g->token, spools[i].token);
		g->fate = unsure ? SPOOL_UNSURE : fail && i >= n / 2 ? SPOOL_VOID : SPOOL_SAFE;
		g->visible = g->fate == SPOOL_SAFE || (unsure && i % 2 == 0);
		g->clear = g->steady = true;
		g->mark = spools[i].mark;
		spools[i].fate = g->fate;
	}
	return fail || unsure ? -1 : 0;
}

static void box_release(struct deliver *d, struct spool *spools, size_t n)
{
	(void)d;
	for (size_t i = 0; i < n; i++)
		spools[i].fd = -1;
}

static int box_settle(const struct deliver *d, struct spool_past *past, struct error *err)
{
	(void)d, (void)err;
	for (size_t i = 0; i < past->count; i++) {
		struct given *g = given;

		while (g < given + givens && strcmp(g->token, past->intents[i].token) != 0)
			g++;
		CHECK(g < given + givens && g->fate == SPOOL_UNSURE);
		g->fate = past->intents[i].fate = g->visible ? SPOOL_SAFE : SPOOL_VOID;
	}
	return 0;
}

static bool box_close(struct deliver *d)
{
	(void)d;
	return true;
}

static const struct deliver_ops box_ops = {
	.kind = "box", .group = 3, .intents = true, .form = SPOOL_PLAIN, .open = box_open,
	.spool = box_spool, .drop = box_drop, .prepare = box_prepare, .publish = box_publish,
	.release = box_release, .settle = box_settle, .close = box_close,
};

/* -- was it right? ------------------------------------------------------------------------ */

static bool is_uid(const struct given *g, struct wire_span uid)
{
	return g->uid_len > 0 && g->uid_len == uid.len && memcmp(g->uid, uid.p, uid.len) == 0;
}

/* The command of that kind for a message; each is said once at most. */
static struct walk_command *find(struct walk *w, char verb, uint32_t num)
{
	struct walk_command *found = NULL;

	for (size_t i = 0; i < w->count; i++)
		if (w->commands[i].verb == verb && w->commands[i].num == num) {
			CHECK(found == NULL);
			found = &w->commands[i];
		}
	return found;
}

static struct given *given_now(uint32_t num)
{
	for (size_t i = 0; i < givens; i++)
		if (given[i].run == run && given[i].num == num)
			return &given[i];
	return NULL;
}

/* Every message given in this run is one the server sent, whole. */
static void check_bytes(struct walk *w)
{
	size_t len;
	char *all = contents(box, &len);

	for (size_t i = 0; i < givens; i++) {
		const struct given *g = &given[i];
		const struct walk_command *retr;

		if (g->run != run)
			continue;
		CHECK(given_now(g->num) == g && g->at + g->size <= len);
		retr = find(w, 'R', g->num);
		CHECK(retr != NULL && retr->text != NULL);
		CHECK(g->size == retr->len && memcmp(all + g->at, retr->text, retr->len) == 0);
	}
	free(all);
}

/* A message that was fetched again, and is an earlier delivery after all: its UID and its text are
 * the same.  *several (or NULL): there is more than one such delivery. */
static struct given *known_again(struct walk *w, const struct walk_command *retr, bool *several)
{
	const struct message *message = listing_message(&w->listing, retr->num);
	struct given *found = NULL;
	struct mark state = {0};
	uint64_t mark;

	if (retr->text == NULL || message == NULL || given_now(retr->num) != NULL)
		return NULL;
	mark_add(&state, retr->text, retr->len);
	mark = mark_end(&state);
	for (size_t i = 0; i < givens; i++) {
		struct given *g = &given[i];

		if (g->run == run || g->fate != SPOOL_SAFE || g->gone || g->mark != mark ||
		    !is_uid(g, listing_uid(&w->listing, message)))
			continue;
		if (several != NULL)
			*several = found != NULL;
		found = g;
	}
	return found;
}

/* The entry of an earlier delivery that lets a message be deleted unread. */
static struct given *known(const struct walk *w, uint32_t num)
{
	const struct message *message = listing_message(&w->listing, num);

	for (size_t i = 0; message != NULL && i < givens; i++) {
		struct given *g = &given[i];

		if (g->run < run && g->fate == SPOOL_SAFE && !g->gone &&
		    is_uid(g, listing_uid(&w->listing, message)) &&
		    (g->resized || g->octets == message->octets))
			return g;
	}
	return NULL;
}

static void check_dele(struct walk *w, const struct walk_command *dele)
{
	const struct given *g = given_now(dele->num);
	const struct walk_command *retr = find(w, 'R', dele->num);

	if (g != NULL)
		CHECK(g->fate == SPOOL_SAFE && g->asked <= dele->at);
	else if (retr != NULL)
		CHECK(retr->at < dele->at && known_again(w, retr, NULL) != NULL);
	else
		CHECK(known(w, dele->num) != NULL);
}

static void check_quit(struct walk *w, const struct walk_command *quit)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct walk_command *c = &w->commands[i];
		const struct given *g;

		CHECK(c->at <= quit->at); /* nothing follows it */
		if (c->verb != 'R')
			continue;
		CHECK(c->answered);
		g = given_now(c->num);
		CHECK(!c->ok || known_again(w, c, NULL) != NULL ||
		      (g != NULL && g->fate == SPOOL_SAFE && g->asked <= quit->at));
	}
}

static void check_commands(struct walk *w, uint64_t keep, bool confused)
{
	size_t whole = 0, now = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct walk_command *c = &w->commands[i];

		CHECK(find(w, c->verb, c->num) == c);
		CHECK(c->verb == 'Q' || c->num <= w->listing.count);
		CHECK(c->verb != 'D' || keep != KEEP_FOREVER);
		if (c->verb == 'D')
			check_dele(w, c);
		if (c->verb == 'Q')
			check_quit(w, c);
		whole += c->text != NULL && known_again(w, c, NULL) == NULL;
	}
	for (size_t i = 0; i < givens; i++)
		now += given[i].run == run;
	/* What is whole is put away, where it is clear what is. */
	CHECK(now == whole || (now < whole && (confused || publishings >= fail_at)));
}

/* How often a UID is listed; *message: the last that has it. */
static size_t times_listed(const struct walk *w, const struct given *g,
                           const struct message **message)
{
	size_t n = 0;

	for (uint32_t num = 1; num <= w->listing.count; num++) {
		const struct message *m = listing_message(&w->listing, num);

		if (is_uid(g, listing_uid(&w->listing, m))) {
			*message = m;
			n++;
		}
	}
	return n;
}

/* What was delivered and is still listed has not come again; nor has what has its UID and size,
 * whatever its text (where mail is kept for ever a size may be unknown). */
static void check_doubles(const struct walk *w, bool for_ever)
{
	for (size_t i = 0; i < givens; i++) {
		struct given *g = &given[i];
		const struct message *message = NULL;

		if (g->run == run || g->fate != SPOOL_SAFE || g->gone)
			continue;
		g->clear = g->clear && times_listed(w, g, &message) == 1;
		g->steady = g->clear && g->steady &&
		            ((g->octets > 0 && message->octets == g->octets) ||
		             (for_ever && (g->octets == 0 || message->octets == 0)));
		for (size_t k = 0; k < givens; k++) {
			if (given[k].run != run || !is_uid(&given[k], (struct wire_span){g->uid, g->uid_len}))
				continue;
			CHECK(!g->steady && !(g->clear && given[k].mark == g->mark));
			g->clear = false; /* it was another message, and stands for the UID from now on */
		}
	}
}

/* What was known again has its new size from now on; if it was, and which of several. */
static void resize(struct walk *w, bool confused)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct walk_command *c = &w->commands[i];
		bool several = false;
		struct given *g = c->verb == 'R' ? known_again(w, c, &several) : NULL;

		if (g == NULL)
			continue;
		if (!several && !confused)
			g->octets = listing_message(&w->listing, c->num)->octets;
		for (size_t k = 0; (several || confused) && k < givens; k++)
			given[k].resized |= given[k].mark == g->mark;
	}
}

/* DELEs that the server has confirmed by QUIT: what has those UIDs now is another message. */
static void forget(struct walk *w)
{
	const struct walk_command *quit = find(w, 'Q', 0);

	for (size_t i = 0; i < w->count; i++) {
		const struct walk_command *c = &w->commands[i];
		struct given *g = given_now(c->num);

		if (c->verb != 'D' || !c->ok)
			continue;
		if (g == NULL && find(w, 'R', c->num) != NULL)
			g = known_again(w, find(w, 'R', c->num), NULL);
		else if (g == NULL)
			g = known(w, c->num);
		if (quit != NULL && quit->ok)
			g->gone = true;
	}
}

/* -- a run -------------------------------------------------------------------------------- */

/* confused: the server talked nonsense, so what it said before may have been something else. */
static void check_run(const struct account *account, bool may_show, bool confused)
{
	if (conn.out.len > conn.out_at)
		str_add(&said, conn.out.s + conn.out_at, conn.out.len - conn.out_at);
	CHECK(may_show || !has_secret(said.s, said.len, 0));
	walk_on(&walk, (struct input){said.s, said.len});
	check_bytes(&walk);
	check_commands(&walk, account->policy.keep, confused);
	check_doubles(&walk, account->policy.keep == KEEP_FOREVER);
	resize(&walk, confused);
	forget(&walk);
	walk_free(&walk);
}

/* What conn_dial would have done. */
static void dial(const struct server *server, bool may_show)
{
	conn = (struct conn){.server = server, .fd = -1, .in = xmalloc(CONN_IN_SIZE),
	                     .out.max = CONN_MAX_OUT, .doing = "connecting",
	                     .deadline = clock_ms() + 60000};
	text_copy(conn.peer, sizeof conn.peer, may_show ? "127.0.0.1" : "192.0.2.1");
	str_cut(&said, 0);
	walk.bytes = bytes;
}

/* What the session before leaves for the next. */
struct after {
	bool lock_step;    /* it broke with several commands before the server */
	bool deletes_only; /* it could not QUIT */
};

/* One session as worker.c has it, in a run of its own. */
static struct after do_run(const struct account *account, bool may_show, struct after before)
{
	static const struct deliver_ops *const kinds[] = {&box_ops, NULL};
	struct deliver d = {.ops = &box_ops, .account = account, .state_dir = scratch,
	                    .run = "0123456789ab", .path = "", .link_fd = -1};
	struct fetch_tally tally = {0};
	struct pop3 pop3 = {.lock_step = before.lock_step};
	struct fetch fetch = {account, &pop3, NULL, &d, -1, before.deletes_only, &tally};
	struct error err = {0};
	bool confused, was_ahead;
	int rc;

	CHECK(seen_open(&fetch.seen, scratch, false, &err) == 0);
	CHECK(settle_run(fetch.seen, &d, kinds, &err) == 0 && box_open(&d, &err) == 0);
	dial(&account->server, may_show);
	rc = pop3_start(&pop3, &conn, account, NULL, PASSWORD, &err);
	if (rc == 0)
		rc = fetch_run(&fetch, &err);
	CHECK(rc == 0 || (err.kind != ERR_BUG && err.kind != ERR_NONE && err.kind != ERR_STOP));
	check_text(err.text);
	confused = rc == -1 && err.kind == ERR_PROTOCOL;
	check_run(account, may_show, confused);
	was_ahead = pop3_was_ahead(&pop3);
	pop3_free(&pop3);
	conn_close(&conn);
	spooler_free(&d.pen);
	seen_close(&fetch.seen, rc == 0);
	return (struct after){rc == -1 && was_ahead, rc == 0 && tally.unsafe && tally.due > 0};
}

/* Long listings are slow, and nothing else. */
static bool is_long(struct input all)
{
	struct wire_status status;
	struct input line;
	uint64_t octets;
	uint32_t count;

	while (walk_line(&all, &line)) {
		wire_status(line.p, line.len, &status);
		if (wire_stat(status.text.p, status.text.len, &count, &octets) && count > WALK_MAX / 10)
			return true;
	}
	return false;
}

static void begin(void)
{
	if (box == -1) {
		box = memory_file();
		said.max = MOST_SAID;
		CHECK(str_puts(&said, "") == 0);
		note_hook = check_note;
		note_limit = NOTE_TRACE;
	}
	scratch_make();
	scratch_put("journal", "", 0);
	refill(box, NULL, 0);
	givens = 0;
	publishings = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t keeps[] = {0, KEEP_FOREVER, 5, 0};
	struct input in = {(const char *)data, size};
	unsigned flags = take_byte(&in);
	unsigned failure;
	bool may_show = !(flags & 64);
	struct after after = {0};
	struct account account = {
		.server = {.host = (char *)"pop.example.org", .port = 110, .tls = TLS_OFF, .timeout = 60,
		           .connect_timeout = 30, .pipelining = (flags >> 2 & 3) % 3},
		.login = {.user = (char *)"joe", .auth = flags & 3},
		.policy = {.keep = keeps[flags >> 4 & 3]},
	};

	cutter = take_cutter(&in);
	failure = take_byte(&in);
	/* It may be shown, then; and \x9a, as that is shown, ends in the first byte of one. */
	if (size > 20000 || is_long(in) || has_secret(in.p, in.len, 1))
		return -1;
	begin();
	fail_at = failure % 8 > 0 ? failure % 8 : UINT32_MAX;
	fail_how = failure / 8 % 6;
	impatient = flags & 128;
	for (run = 0; run < RUNS && (run == 0 || in.len > 0); run++) {
		bytes = take_until(&in, 0x1e);
		after = do_run(&account, may_show, after);
	}
	return 0;
}

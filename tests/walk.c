/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the long life of one account, drawn by lot, and a model that knows what must be true.
 *
 * walk [-s SEED] [-n SESSIONS] [-d]   default 1 and 2000; -d: the directory stays
 * walk mda DIRECTORY                  the MDA of some walks
 *
 * Between sessions mail arrives, other clients delete, UIDs are reset, shared or used again, sizes
 * lie, the configuration changes, mail readers and other programs work on the same Maildir or
 * mbox (also while mailhaul runs).  In a session the server or the machine may fail, and mailhaul
 * may be killed.  The driver owns the mailbox and after every session compares:
 *
 *   - what left the server by mailhaul is delivered, whole; what is delivered stays
 *   - no message has more copies than the rules allow: one, and one more for each session in which
 *     its UID or its size is not that of its delivery, its UID and size are shared, a whole listing
 *     has lacked it and mail is not kept, or a reader took it before a crash was settled.  So
 *     after a reset of UIDs only loss is forbidden.  A killed MDA may get a message again
 *   - nothing partial is seen, but in an mbox between a kill and the next run
 *   - status 0 says that all listed mail is here and, unless kept, gone from there
 *   - after a session without a fault the status is 0, nothing is said, no file is left behind
 *
 * Not drawn, for nobody could tell them apart: a UID used again with the same size, unless the
 * server had confirmed the deletion of the first.  Two listed at once are drawn; should one of them
 * be taken for the other when that is gone, it is forgiven and counted.
 *
 * All decisions come from the seed and the session's number, none from the clock, so a seed can
 * be walked again; the instant of a signal is as exact as the machine lets it be.
 * MAILHAUL and POP3D name the programs; inject stands beside this one, or kills come by signal.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FORMAT(n) __attribute__((format(printf, n, n + 1)))

enum {
	MAX_HERE = 30,     /* messages on the server, before other clients tidy up */
	QUIET_EVERY = 10,  /* sessions from one quiet point to the next, at most */
	MOST_CLEAN = 3,    /* sessions without a fault after which the server is empty */
	PATIENCE = 60,     /* seconds that a session may take */
	REMEMBERED = 24    /* events that are told when something is wrong */
};

/* A message that is or was on the server; its text is in the file texts/SLOT. */
struct message {
	bool used, here;
	unsigned id, uid;          /* by arrival; as uid_text spells it */
	unsigned long size, listed; /* in octets; what LIST says, 0: nothing useful */
	unsigned copies, taken;    /* seen so far; of these a reader has taken away */
	bool known;                /* the journal should have it, by these: */
	unsigned known_uid;
	unsigned long known_listed;
	bool flight;               /* a run that died may have begun its delivery, by the same */
	bool fresh, stray;         /* its copy is from such a run; and a reader took it */
	bool missing, twin;        /* a listing lacked it; another has had its UID and size */
	bool listing, nameless, again; /* in this session: listed, without UID; may come again */
};

static struct message messages[MAX_MESSAGES], *mailbox[MAX_MESSAGES];
static unsigned n_here, n_ids, n_uids, n_foreign;

/* Every UID and size that was ever listed. */
static struct listed { unsigned uid, id; unsigned long listed; } *history, confirmed;
static size_t n_history;

/* The configuration. */
enum place { BOX_A, BOX_B, MBOX, MDA, PLACES };
enum keep { KEEP_NO, KEEP_YES, KEEP_LONG, KEEP_SHORT, KEEPS };
static const char *const keep_words[] = {"no", "yes", "30d", "1s"};
static enum place place;
static enum keep keep;
static bool received = true;

static bool unsettled;       /* the last session that listed was killed or ran out of disk */
static enum place unsettled_at;

enum fault {
	CLEAN, KILL, TERM, FULL, ERROR, CUT, STALL, BROKEN, REFUSE, FAREWELL, SHORT, NAMELESS, FAULTS
};
static const struct { const char *name; unsigned weight; } lots[FAULTS] = {
	{"clean", 38}, {"kill", 20}, {"stop", 5}, {"full disk", 5}, {"failed call", 5}, {"cut", 9},
	{"stall", 1}, {"broken pipelining", 3}, {"refusal", 4}, {"odd QUIT", 5}, {"short listing", 4},
	{"no UID", 2},
};

struct session {
	enum fault fault;
	struct message *list[MAX_MESSAGES];
	unsigned n;
	char lines[300];              /* for pop3d */
	char inject[100];             /* options */
	int signal;                   /* sent to the process or its group when the transcript has */
	unsigned at_line, behind_us;  /* so many lines, and then some */
	bool group;
	unsigned long limit;          /* on the size of files, 0: none */
	bool undone, liar;            /* QUIT deletes nothing, yet the status is 0; and it is +OK */
	int status;
	unsigned connections;
};

static char work[200], self[4096], injector[4200];
static const char *mailhaul, *pop3d;
static pid_t server;
static unsigned port;
static volatile bool *locks_are_dead; /* told to those who wait for them */

static unsigned long seed = 1, sessions_wanted = 2000;
static unsigned long sessions, quiet_points, by_fault[FAULTS], seconds_allowed, forgiven;
static bool keep_directory;

/* -- chance, and what is told -------------------------------------------------------------- */

static uint64_t dice;

static uint64_t stir(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void shake(uint64_t number)
{
	dice = stir(stir(seed) + number);
}

static unsigned below(unsigned n)
{
	return (unsigned)((stir(dice += 0x9e3779b97f4a7c15u) >> 33) % (n > 0 ? n : 1));
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

static char events[REMEMBERED][300];
static unsigned n_events;

FORMAT(1) static void tell(const char *fmt, ...)
{
	char *event = events[n_events++ % REMEMBERED];
	int n = snprintf(event, sizeof events[0], "%lu: ", sessions);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(event + n, sizeof events[0] - (size_t)n, fmt, ap);
	va_end(ap);
	if (keep_directory)
		fprintf(stderr, "%s\n", event);
}

FORMAT(1) static _Noreturn void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("Bail out! ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	exit(1);
}

/* The end of the walk: the model and the world differ. */
FORMAT(2) static _Noreturn void disagree(const struct message *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("not ok 1 - seed %lu, session %lu: ", seed, sessions);
	vprintf(fmt, ap);
	putchar('\n');
	if (m)
		printf("# message %u (texts/%d): uid %u, listed %lu of %lu, %s, %u copies (%u taken), %s "
		       "as %u/%lu%s%s%s%s%s\n", m->id, (int)(m - messages) + 1, m->uid, m->listed, m->size,
		       m->here ? "on the server" : "gone", m->copies, m->taken,
		       m->known ? "known" : "unknown", m->known_uid, m->known_listed,
		       m->flight ? " flight" : "", m->stray ? " stray" : "", m->missing ? " missing" : "",
		       m->twin ? " twin" : "", m->again ? " again" : "");
	for (unsigned i = n_events > REMEMBERED ? n_events - REMEMBERED : 0; i < n_events; i++)
		printf("#   %s\n", events[i % REMEMBERED]);
	printf("# all is in %s; again: make check-walk SEED=%lu\n1..1\n", work, seed);
	keep_directory = true;
	exit(1);
}

/* -- files --------------------------------------------------------------------------------- */

/* A path in the scratch directory; good until the eighth next call. */
static char *in(const char *name)
{
	static char paths[8][600];
	static unsigned next;
	char *path = paths[next++ % COUNT(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", work, name);
	return path;
}

static FILE *create(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		die("%s: %s", path, strerror(errno));
	return f;
}

static char *text_of(const char *name)
{
	size_t len;
	char *text = witness_read(in(name), &len);

	return text ? text : strdup("");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Names in the order of delivery, for Maildir names begin with the time. */
static int for_each_file(const char *dir, void (*act)(const char *dir, const char *name))
{
	struct dirent **names;
	int n = scandir(in(dir), &names, NULL, alphasort), seen = 0;

	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			seen++;
			act(dir, names[i]->d_name);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return seen;
}

/* -- the mailbox --------------------------------------------------------------------------- */

/* For the script: servers choose many forms. */
static const char *uid_text(unsigned uid)
{
	static const char *const forms[] = {
		"u%u", "../%u", "%%%u", "-%u:@\\xe9\\xff", "two\\x20words%u", "<%u@example.org>",
		"%u................................................................", "UID%u-1",
	};
	static char text[100];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof text, forms[uid % COUNT(forms)], uid);
#pragma GCC diagnostic pop
	return text;
}

static bool was_listed(unsigned uid, unsigned long listed, unsigned but_id)
{
	for (size_t i = 0; i < n_history; i++)
		if (history[i].uid == uid && history[i].id != but_id &&
		    (listed == 0 || history[i].listed == listed))
			return true;
	return false;
}

static void list_as(struct message *m, unsigned uid, unsigned long listed)
{
	history = realloc(history, (n_history + 1) * sizeof *history);
	if (!history)
		die("no memory");
	history[n_history++] = (struct listed){uid, m->id, listed};
	m->uid = uid;
	m->listed = listed;
}

/* A text no other message has; some lines want care. */
static void write_text(struct message *m)
{
	static const char *const odd[] = {
		".\n", "..\n", "From me\n", ">From you\n", "\n", ".dot\n", "a\rb\n", "caf\xe9 \xff\n",
	};
	unsigned n = chance(5) ? 400 + below(1500) : below(40);
	char name[40];
	FILE *f;

	snprintf(name, sizeof name, "texts/%d", (int)(m - messages) + 1);
	f = create(in(name));
	m->size = (unsigned long)fprintf(f, "Subject: letter %u\n", m->id) + 1;
	for (unsigned i = 0; i < n; i++)
		m->size += (unsigned long)(i == 0 || chance(80)
		                           ? fprintf(f, "%s%u is the line of letter %u\n", i ? "" : "\n", i, m->id)
		                           : fprintf(f, "%s", odd[below(COUNT(odd))])) + 1;
	m->size += n > 0;
	fclose(f);
}

static struct message *arrive(void)
{
	struct message *m = messages;

	while (m < messages + MAX_MESSAGES && m->used)
		m++;
	if (m == messages + MAX_MESSAGES || n_here == MAX_HERE)
		return NULL;
	*m = (struct message){.used = true, .here = true, .id = ++n_ids};
	write_text(m);
	mailbox[n_here++] = m;
	witness_learn(in("texts"));
	return m;
}

static void leave_server(struct message *m)
{
	unsigned i = 0;

	while (mailbox[i] != m)
		i++;
	memmove(mailbox + i, mailbox + i + 1, (--n_here - i) * sizeof *mailbox);
	m->here = false;
}

static void mail_arrives(void)
{
	struct message *m = arrive();

	if (!m)
		return;
	list_as(m, ++n_uids, m->size);
	tell("mail %u arrives: uid %u, %lu octets", m->id, m->uid, m->size);
}

/* A new message gets a UID that is, or was, another one's. */
static void uid_comes_twice(void)
{
	const struct message *other = n_here > 0 ? mailbox[below(n_here)] : NULL;
	unsigned uid = n_history > 0 ? history[below((unsigned)n_history)].uid : 0;
	struct message *m = uid > 0 ? arrive() : NULL;
	unsigned long listed;

	if (!m)
		return;
	listed = m->size;
	if (confirmed.uid > 0 && chance(50)) {
		list_as(m, confirmed.uid, confirmed.listed);
		confirmed.uid = 0;
	} else if (other && chance(25)) {
		m->twin = true;
		for (unsigned i = 0; i < n_here; i++)
			if (mailbox[i]->uid == other->uid && mailbox[i]->listed == other->listed)
				mailbox[i]->twin = true;
		list_as(m, other->uid, other->listed);
	} else {
		uid = other && chance(60) ? other->uid : uid;
		while (was_listed(uid, listed, m->id))
			listed++;
		list_as(m, uid, listed);
	}
	tell("mail %u arrives with a used UID: uid %u, %lu octets listed", m->id, m->uid, m->listed);
}

static void size_lies(void)
{
	struct message *m = n_here > 0 ? mailbox[below(n_here)] : NULL;
	unsigned long listed = m ? m->size + below(5000) : 0;

	if (!m)
		return;
	if (chance(20))
		listed = 0;
	while (listed > 0 && was_listed(m->uid, listed, 0))
		listed++;
	list_as(m, m->uid, listed);
	tell("message %u is listed with %lu octets", m->id, listed);
}

static void uids_are_reset(void)
{
	for (unsigned i = 0; i < n_here; i++) {
		list_as(mailbox[i], ++n_uids, mailbox[i]->listed);
		mailbox[i]->twin = false;
	}
	tell("%u UIDs are reset, the last one is %u", n_here, n_uids);
}

static void others_delete(unsigned percent)
{
	for (unsigned i = n_here; i-- > 0;) {
		if (!chance(percent))
			continue;
		tell("another client deletes %u", mailbox[i]->id);
		leave_server(mailbox[i]);
	}
}

/* -- those who work on the same mail ------------------------------------------------------- */

static void read_one(const char *dir, const char *name)
{
	char from[300], to[300];

	snprintf(from, sizeof from, "%s/%s", dir, name);
	snprintf(to, sizeof to, "%.5s/cur/%s:2,%s", dir, name, chance(50) ? "S" : "");
	if (chance(70))
		rename(in(from), in(to));
}

static void remove_read(const char *dir, const char *name)
{
	char path[300];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (chance(40))
		remove(in(path));
}

static void remove_any(const char *dir, const char *name)
{
	char path[300];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	remove(in(path));
}

/* As Postfix does: dotlock, fcntl lock, append.  Locks of the dead do not count. */
static bool append_mail(void)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *mail = witness_foreign(n_foreign);
	int lock = open(in("mbox.lock"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int fd = lock == -1 ? -1 : open(in("mbox"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	bool done = fd != -1 && fcntl(fd, F_SETLK, &all) != -1;

	if (done && write(fd, mail, strlen(mail)) != (ssize_t)strlen(mail))
		die("%s: %s", in("mbox"), strerror(errno));
	if (fd != -1)
		close(fd);
	if (lock != -1)
		close(lock);
	if (lock != -1 || *locks_are_dead)
		unlink(in("mbox.lock"));
	return done;
}

static void sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

/* While mailhaul runs: into the mbox comes mail, in the Maildir it is read, but not deleted. */
static pid_t let_another_act(void)
{
	unsigned nap = below(20000);
	pid_t pid = n_foreign < MAX_FOREIGN ? fork() : 0;

	if (n_foreign == MAX_FOREIGN || pid > 0)
		return pid;
	for (int i = 0; i < 3 && place != MBOX; i++) {
		sleep_us(nap);
		for_each_file(place == BOX_A ? "box-a/new" : "box-b/new", read_one);
	}
	if (place == MBOX)
		sleep_us(nap);
	while (place == MBOX && !append_mail())
		sleep_us(500);
	_exit(0);
}

static void look(struct witness *w)
{
	memset(w, 0, sizeof *w);
	witness_maildir(w, in("box-a"));
	witness_maildir(w, in("box-b"));
	witness_mbox(w, in("mbox"));
	witness_files(w, in("out"));
}

/* What has gone since `before` was taken by a reader. */
static void count_taken(const struct witness *before)
{
	struct witness after;

	look(&after);
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		messages[i].taken += before->copies[i] - after.copies[i];
		if (after.copies[i] < before->copies[i] && messages[i].fresh)
			messages[i].stray = true;
	}
}

static void mail_is_read(void)
{
	struct witness before;
	int read = for_each_file("box-a/new", read_one) + for_each_file("box-b/new", read_one);

	look(&before);
	for_each_file("box-a/cur", remove_read);
	for_each_file("box-b/cur", remove_read);
	count_taken(&before);
	tell("a reader finds %d new mails, and deletes old ones", read);
}

/* All is taken away, and what is not on the server any more is forgotten. */
static void all_is_read(void)
{
	static const char *const dirs[] = {"box-a/new", "box-a/cur", "box-b/new", "box-b/cur", "out"};
	struct witness before;

	look(&before);
	for (size_t i = 0; i < COUNT(dirs); i++)
		for_each_file(dirs[i], remove_any);
	if (chance(50))
		unlink(in("mbox"));
	else if (truncate(in("mbox"), 0) == -1 && errno != ENOENT)
		die("%s: %s", in("mbox"), strerror(errno));
	count_taken(&before);
	n_foreign = 0;
	for (unsigned i = 0; i < MAX_MESSAGES; i++)
		if (!messages[i].here)
			messages[i].used = false;
	tell("all mail is read and deleted");
}

static void configuration_changes(void)
{
	if (chance(60))
		place = below(seed % 2 == 0 ? PLACES : MDA);
	if (chance(60))
		keep = chance(50) ? KEEP_NO : below(KEEPS);
	if (chance(30))
		received = !received;
	tell("the configuration changes");
}

static void life_goes_on(void)
{
	for (unsigned n = below(4); n-- > 0;)
		mail_arrives();
	if (chance(7))
		uid_comes_twice();
	if (chance(5))
		size_lies();
	if (chance(2))
		uids_are_reset();
	if (chance(8) || n_here == MAX_HERE)
		others_delete(10 + below(80));
	if (chance(12))
		configuration_changes();
	if (chance(15))
		mail_is_read();
	*locks_are_dead = true;
	if (chance(10) && n_foreign < MAX_FOREIGN) {
		while (!append_mail())
			;
		tell("another program appends mail %u to the mbox", n_foreign++);
	}
}

/* -- a session ----------------------------------------------------------------------------- */

static enum fault draw_fault(void)
{
	unsigned all = 0, lot, f = 0;

	for (unsigned i = 0; i < FAULTS; i++)
		all += lots[i].weight;
	for (lot = below(all); lot >= lots[f].weight; f++)
		lot -= lots[f].weight;
	return f;
}

/* What the server does wrong. */
static void spoil_server(struct session *s)
{
	static const char *const verbs[] = {"GREETING", "CAPA", "USER", "PASS", "STAT", "UIDL", "LIST",
	                                    "RETR", "DELE", "QUIT"};
	static const char *const farewells[] = {"close-noapply", "reset", "apply-close", "cut 0",
	                                        "cut-reset 0", "reply -ERR not all", "reply +OK bye"};
	const char *often = chance(50) ? " conn 1" : "";
	unsigned octets = 300, i = below(COUNT(farewells));

	for (unsigned k = 0; k < s->n; k++)
		octets += (unsigned)s->list[k]->size + 60;
	if (s->fault == CUT)
		snprintf(s->lines, sizeof s->lines, "cut-after %u %s%s\n", below(octets),
		         chance(50) ? "fin" : "rst", often);
	if (s->fault == STALL)
		snprintf(s->lines, sizeof s->lines, "on %s nth %u%s stall\n", verbs[below(COUNT(verbs))],
		         1 + below(2), often);
	if (s->fault == BROKEN)
		snprintf(s->lines, sizeof s->lines, "broken-pipelining %s\n", chance(80) ? "close" : "drop");
	if (s->fault == REFUSE)
		snprintf(s->lines, sizeof s->lines, "on %s %u%s reply -ERR%s not this one\n",
		         chance(60) ? "RETR" : "DELE", 1 + below(s->n), often,
		         chance(30) ? " [SYS/TEMP]" : "");
	if (s->fault == FAREWELL) {
		snprintf(s->lines, sizeof s->lines, "on QUIT%s %s\n", often, farewells[i]);
		s->undone = i >= 5;
		s->liar = i == 6 && (keep == KEEP_NO || keep == KEEP_SHORT);
	}
}

/* What the machine does wrong. */
static void spoil_machine(struct session *s, bool can_inject)
{
	static const char *const kills[] = {"-K", "-K", "-K -a", "-K -s", "-k", "-k -a", "-k -s", "-r"};
	static const char *const errors[] = {"EIO", "ENOSPC", "EDQUOT", "EINTR", "ENOMEM", "EMFILE"};
	unsigned calls = 50 + 7 * s->n;

	if (s->fault == KILL && can_inject)
		snprintf(s->inject, sizeof s->inject, "%s -n %u", kills[below(COUNT(kills))],
		         1 + below(calls));
	if (s->fault == ERROR && can_inject)
		snprintf(s->inject, sizeof s->inject, "-e %s -n %u -c openat,write,pwrite64,fsync,fdatasync,"
		         "ftruncate,renameat2,unlinkat,close", errors[below(COUNT(errors))],
		         1 + below(calls / 2));
	if (s->fault == TERM || (s->fault == KILL && !can_inject)) {
		s->signal = s->fault == TERM ? SIGTERM : SIGKILL;
		s->at_line = below(12 + 2 * s->n);
		s->behind_us = below(3000);
		s->group = chance(50);
	}
	if (s->fault == FULL)
		s->limit = 1 + below(chance(50) ? 5000 : 100000);
}

/* All that is there, but in trouble the server forgets some, or all. */
static void draw_listing(struct session *s)
{
	unsigned percent = s->fault != SHORT ? 0 : chance(40) ? 100 : 10 + below(60);

	for (unsigned i = 0; i < MAX_MESSAGES; i++)
		messages[i].listing = messages[i].nameless = false;
	for (unsigned i = 0; i < n_here; i++) {
		if (chance(percent))
			continue;
		s->list[s->n++] = mailbox[i];
		mailbox[i]->listing = true;
		mailbox[i]->nameless = s->fault == NAMELESS && chance(40);
	}
}

static void write_script(const struct session *s, bool pipelining)
{
	FILE *f = create(in("script"));

	unlink(in("gone"));
	unlink(in("transcript"));
	fprintf(f, "persist %s\ncapa UIDL\ncapa USER\n%s", in("gone"),
	        pipelining ? "capa PIPELINING\n" : "");
	for (unsigned i = 0; i < s->n; i++) {
		const struct message *m = s->list[i];

		fprintf(f, "message %s %s/texts/%d\n", uid_text(m->uid), work, (int)(m - messages) + 1);
		if (m->listed == 0)
			fprintf(f, "list-octets %u %s\n", i + 1, m->id % 2 ? "0" : "much");
		else if (m->listed != m->size)
			fprintf(f, "list-octets %u %lu\n", i + 1, m->listed);
	}
	if (s->fault == NAMELESS) {
		fprintf(f, "on UIDL raw +OK\\r\\n");
		for (unsigned i = 0; i < s->n; i++)
			if (!s->list[i]->nameless)
				fprintf(f, "%u %s\\r\\n", i + 1, uid_text(s->list[i]->uid));
		fprintf(f, ".\\r\\n\n");
	}
	fputs(s->lines, f);
	fclose(f);
}

static void start_server(void)
{
	char *argv[] = {(char *)pop3d, (char *)"-t", in("transcript"), in("script"), NULL}, byte;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1 || (server = fork()) == -1)
		die("%s", strerror(errno));
	if (server == 0) {
		dup2(ends[1], 1);
		execv(pop3d, argv);
		_exit(127);
	}
	close(ends[1]);
	for (port = 0; read(ends[0], &byte, 1) == 1 && byte >= '0' && byte <= '9';)
		port = port * 10 + (unsigned)(byte - '0');
	close(ends[0]);
	if (port == 0)
		die("%s did not start with %s", pop3d, in("script"));
}

static void stop_server(void)
{
	if (server > 0) {
		kill(server, SIGTERM);
		waitpid(server, NULL, 0);
	}
	server = 0;
}

/* Waits until it has done with the connection of the dead: it serves them one after another. */
static void await_server(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof to) == -1 || read(fd, &byte, 1) != 1)
		die("the server is gone");
	close(fd);
}

static void write_config(const struct session *s)
{
	static const char *const pipelining[] = {"auto", "auto", "on", "off"};
	FILE *f = create(in("config"));

	fchmod(fileno(f), 0600);
	fprintf(f, "[work]\nhost = 127.0.0.1\nport = %u\nuser = joe\npassword = secret\ntls = off\n"
	        "timeout = %d\npipelining = %s\nkeep = %s\nreceived = %s\n", port,
	        s->fault == STALL || s->fault == BROKEN ? 1 : 30, pipelining[below(4)],
	        keep_words[keep], received ? "yes" : "no");
	if (place == MDA)
		fprintf(f, "mda = %s mda %s\n", self, in("out"));
	else
		fprintf(f, "%s = %s\n", place == MBOX ? "mbox" : "maildir",
		        in(place == MBOX ? "mbox" : place == BOX_A ? "box-a" : "box-b"));
	fclose(f);
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		n++;
	}
	return n;
}

/* Runs mailhaul as cron would. */
static _Noreturn void be_mailhaul(const struct session *s)
{
	static char home[300], state[300], asan[1000];
	char *argv[32], *env[] = {home, state, (char *)"LC_ALL=C", asan, NULL};
	char *options = strdup(s->inject), *word;
	const char *given = getenv("ASAN_OPTIONS");
	size_t n = 0;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int words = open(in("stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	snprintf(home, sizeof home, "HOME=%s", work);
	snprintf(state, sizeof state, "XDG_STATE_HOME=%s/state", work);
	snprintf(asan, sizeof asan, "ASAN_OPTIONS=%s:detect_leaks=0", given ? given : "");
	if (s->inject[0]) {
		argv[n++] = injector;
		while ((word = strsep(&options, " ")) && n < 24)
			argv[n++] = word;
	}
	argv[n++] = (char *)mailhaul;
	argv[n++] = (char *)"-f";
	argv[n++] = in("config");
	argv[n] = NULL;
	setpgid(0, 0);
	if (s->limit > 0)
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){s->limit, s->limit});
	if (dup2(null, 0) != -1 && dup2(null, 1) != -1 && dup2(words, 2) != -1)
		execve(argv[0], argv, env);
	_exit(127);
}

/* The process above mailhaul: strikes it, and outlives all that it has started. */
static _Noreturn void watch_over(const struct session *s)
{
	int status, result = 0;
	pid_t pid, child;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if ((child = fork()) == 0)
		be_mailhaul(s);
	setpgid(child, child);
	while (s->signal && waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0) {
		siginfo_t dead = {0};
		char *text = text_of("transcript");
		bool now = count(text, "\n") >= s->at_line;

		free(text);
		waitid(P_PID, (id_t)child, &dead, WEXITED | WNOHANG | WNOWAIT);
		if (now)
			sleep_us(s->behind_us);
		if (now)
			kill(s->group ? -child : child, s->signal);
		if (now || dead.si_pid == child)
			break;
		sleep_us(200);
	}
	while ((pid = wait(&status)) != -1)
		if (pid == child)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	_exit(result);
}

static void run(struct session *s)
{
	pid_t other = 0, watch;
	int ends[2], status;

	*locks_are_dead = false;
	if (chance(25))
		other = let_another_act();
	if (pipe2(ends, O_CLOEXEC) == -1 || (watch = fork()) == -1)
		die("%s", strerror(errno));
	if (watch == 0)
		watch_over(s);
	close(ends[1]);
	if (poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, PATIENCE * 1000) != 1)
		disagree(NULL, "mailhaul runs for %d s", PATIENCE);
	close(ends[0]);
	waitpid(watch, &status, 0);
	s->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	*locks_are_dead = true;
	if (other > 0) {
		waitpid(other, NULL, 0);
		if (place == MBOX)
			tell("meanwhile another program appended mail %u to the mbox", n_foreign++);
	}
}

/* -- what must be true --------------------------------------------------------------------- */

static bool is_exact(const struct message *m)
{
	return m->listed > 0 && m->uid == m->known_uid && m->listed == m->known_listed;
}

/* Whether the rules let this message, if it was delivered before, be fetched once more. */
static bool may_come_again(const struct session *s, const struct message *m)
{
	bool sure = m->known || m->flight, exact = sure ? is_exact(m) : m->listed > 0;
	bool alone = true, in_doubt = false;

	if (m->stray || (!sure && m->copies > 0))
		return true;
	if (m->nameless)
		return keep == KEEP_NO;
	if (sure && m->uid != m->known_uid)
		return true;
	for (unsigned i = 0; i < s->n; i++) {
		const struct message *o = s->list[i];

		if (o == m || o->uid != m->uid)
			continue;
		alone = false;
		if (o->listed == m->listed && !(o->known && is_exact(o) && !o->missing))
			in_doubt = true;
	}
	if (exact)
		return in_doubt || (m->missing && keep == KEEP_NO);
	return keep == KEEP_NO || keep == KEEP_SHORT || !alone;
}

static unsigned allowed(const struct session *s, const struct message *m)
{
	unsigned n = m->flight;

	if (m->listing && s->connections > 0)
		n += m->again ? s->connections : 0;
	if (m->listing && s->connections > 0 && m->copies == 0 && !m->flight)
		n++;
	return n;
}

static void check_dir(const char *dir, const char *names)
{
	DIR *stream = opendir(in(dir));
	struct dirent *e;

	while (stream && (e = readdir(stream))) {
		char word[270];

		snprintf(word, sizeof word, " %s ", e->d_name);
		if (!strstr(names, word))
			disagree(NULL, "%s/%s is left behind", dir, e->d_name);
	}
	if (stream)
		closedir(stream);
}

/* Of a session that nothing has disturbed. */
static void check_clean(const struct session *s)
{
	char *words = text_of("stderr");

	if (s->status != 0 || words[0])
		disagree(NULL, "a session without a fault: status %d: %s", s->status, words);
	free(words);
	check_dir("state/mailhaul/work", " . .. journal lock ");
	check_dir("state/mailhaul", " . .. work ");
	check_dir("box-a/tmp", " . .. ");
	check_dir("box-b/tmp", " . .. ");
	check_dir(".", " . .. box-a box-b mbox out texts script gone transcript config stderr state ");
}

/* One message: what has happened to it in this session. */
static void check_message(const struct session *s, struct message *m, unsigned copies, bool gone,
                          bool window)
{
	if (!m->used && copies > m->taken)
		disagree(m, "a message of old comes again");
	if (!m->used)
		return;
	if (copies < m->copies && !window)
		disagree(m, "a copy that was here is not here any more");
	if (copies > m->copies + allowed(s, m))
		disagree(m, "%u copies came, %u are allowed", copies - m->copies, allowed(s, m));
	if (gone && (keep == KEEP_YES || keep == KEEP_LONG))
		disagree(m, "deleted on the server though it is to be kept");
	if (gone && copies == 0 && !m->twin)
		disagree(m, "neither on the server nor here");
	forgiven += gone && copies == 0;
	seconds_allowed += m->copies > 0 ? copies - m->copies : 0;
	if (s->status != 0 || !m->listing || (m->nameless && m->listed == 0))
		return;
	if (copies == 0 && !gone && (keep == KEEP_NO || !(m->nameless || was_listed(m->uid, 0, m->id))))
		disagree(m, "status 0, but it is not here");
	if (!gone && keep == KEEP_NO && !s->undone)
		disagree(m, "status 0, but it is still on the server");
}

/* What the model learns about a message from a session. */
static void learn(const struct session *s, struct message *m, unsigned copies)
{
	bool came = copies > m->copies, resolved = m->flight && s->connections > 0;
	bool died = s->fault == KILL || s->fault == FULL || s->fault == ERROR;

	m->copies = copies;
	if (s->connections == 0)
		return;
	if (resolved && came)
		m->known = !m->again && !(died && place == MDA);
	m->flight = m->stray = false;
	m->fresh = came && died;
	if (m->known && !m->listing)
		m->missing = true;
	if (!m->listing)
		return;
	if (came && !resolved) {
		m->known = !m->nameless && !(died && place == MDA);
		m->missing = false;
	} else if (m->known && m->nameless) {
		m->missing = true;
	} else if (s->fault == CLEAN && copies > 0 && is_exact(m)) {
		m->known = true; /* or it would have come again */
		m->missing = m->missing && keep == KEEP_NO;
	} else if (s->fault == CLEAN && m->known && keep != KEEP_NO) {
		m->missing = false;
	}
	m->flight = died && !came && (copies == 0 || m->again);
	if ((came && !resolved) || (m->flight && !m->known)) {
		m->known_uid = m->uid;
		m->known_listed = m->listed;
	}
	if (s->liar)
		m->known = false; /* the server had confirmed its deletion */
}

static void judge(struct session *s)
{
	bool window = unsettled && unsettled_at == MBOX;
	bool died = s->fault == KILL || s->fault == FULL || s->fault == ERROR;
	char *gone = text_of("gone");
	struct witness w;

	look(&w);
	if (s->connections > 0)
		window = false;
	window = window || (died && place == MBOX);
	if (w.odd > 0 && !window)
		disagree(NULL, "partial: %s", w.what);
	for (unsigned i = 0; i < MAX_FOREIGN; i++)
		if (w.foreign[i] != (i < n_foreign))
			disagree(NULL, "%u copies of foreign mail %u", w.foreign[i], i);
	if (s->fault != KILL && s->fault != ERROR && (s->status == 70 || s->status > 128 + SIGTERM))
		disagree(NULL, "status %d", s->status);
	for (unsigned i = 0; i < s->n; i++)
		if (gone[i] == 'D')
			leave_server(s->list[i]);
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		struct message *m = &messages[i];

		m->again = m->listing && may_come_again(s, m);
		check_message(s, m, w.copies[i] + m->taken, m->listing && !m->here, window);
	}
	if (s->fault == CLEAN)
		check_clean(s);
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		struct message *m = &messages[i];

		if (m->used)
			learn(s, m, w.copies[i] + m->taken);
		if (s->fault == CLEAN && m->listing && !m->here && !m->twin && m->listed > 0)
			confirmed = (struct listed){m->uid, m->id, m->listed};
	}
	if (s->connections > 0)
		unsettled = false;
	if (died && (s->connections > 0 || !unsettled)) {
		unsettled = true;
		unsettled_at = place;
	}
	free(gone);
}

static void play(enum fault fault, bool can_inject)
{
	struct session s = {.fault = fault};
	bool pipelining = chance(70);
	char *transcript;

	sessions++;
	by_fault[fault]++;
	draw_listing(&s);
	spoil_server(&s);
	spoil_machine(&s, can_inject);
	write_script(&s, pipelining);
	start_server();
	write_config(&s);
	run(&s);
	if (fault == KILL || fault == TERM || fault == ERROR)
		await_server();
	transcript = text_of("transcript");
	s.connections = count(transcript, "-- connect\n") - (fault == KILL || fault == TERM || fault == ERROR);
	free(transcript);
	stop_server();
	s.lines[strcspn(s.lines, "\n")] = '\0';
	tell("%s: %s%s limit %lu signal %d line %u; %u messages to place %d, keep %s, received %d%s: "
	     "status %d, %u connections", lots[fault].name, s.lines, s.inject, s.limit, s.signal,
	     s.at_line, s.n, place, keep_words[keep], received, pipelining ? ", pipelining" : "",
	     s.status, s.connections);
	judge(&s);
}

/* All faults are over: then finitely many sessions put everything right. */
static void quiet(void)
{
	unsigned long n = 0;

	do {
		play(CLEAN, false);
		n++;
	} while (keep == KEEP_NO && n_here > 0 && n < MOST_CLEAN);
	if (keep == KEEP_NO && n_here > 0)
		disagree(mailbox[0], "still on the server after %lu sessions without a fault", n);
	quiet_points++;
	if (chance(60) || n_foreign == MAX_FOREIGN)
		all_is_read();
}

static void walk(bool can_inject)
{
	unsigned since = 0;

	while (sessions < sessions_wanted) {
		shake(sessions);
		life_goes_on();
		if (++since < QUIET_EVERY) {
			play(draw_fault(), can_inject);
			continue;
		}
		quiet();
		since = 0;
	}
	quiet();
}

/* -- from the first to the last ------------------------------------------------------------ */

/* Stores its standard input: the MDA. */
static int store(const char *dir)
{
	char part[4300], whole[4300], bytes[65536];
	struct timespec now;
	ssize_t n = -1;
	int fd;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(whole, sizeof whole, "%s/%ld.%09ld.%ld", dir, (long)now.tv_sec, now.tv_nsec,
	         (long)getpid());
	snprintf(part, sizeof part, "%s/.%s", dir, whole + strlen(dir) + 1);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (fd != -1 && (n = read(0, bytes, sizeof bytes)) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			break;
	if (n == 0 && close(fd) == 0 && rename(part, whole) == 0)
		return 0;
	unlink(part);
	return 75;
}

static void clean_up(void)
{
	stop_server();
	if (!keep_directory)
		nftw(work, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static unsigned long number(const char *text)
{
	unsigned long n = 0;

	for (; text && *text >= '0' && *text <= '9' && n < 1000000000; text++)
		n = n * 10 + (unsigned)(*text - '0');
	if (!text || *text)
		die("usage: walk [-s SEED] [-n SESSIONS] [-d]");
	return n;
}

static bool begin(void)
{
	const char *base = getenv("TMPDIR");
	struct stat st;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	pid_t pid;
	int status;

	mailhaul = getenv("MAILHAUL");
	pop3d = getenv("POP3D");
	if (n == -1 || !mailhaul || !pop3d)
		die("MAILHAUL and POP3D must name the programs");
	snprintf(injector, sizeof injector, "%.*s/inject", (int)(strrchr(self, '/') - self), self);
	if (!base)
		base = stat("/dev/shm", &st) == 0 && (st.st_mode & S_ISVTX) ? "/dev/shm" : "/tmp";
	snprintf(work, sizeof work, "%s/mailhaul-walk.XXXXXX", base);
	locks_are_dead = mmap(NULL, sizeof *locks_are_dead, PROT_READ | PROT_WRITE,
	                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!mkdtemp(work) || mkdir(in("texts"), 0700) == -1 || mkdir(in("out"), 0700) == -1 ||
	    locks_are_dead == MAP_FAILED)
		die("%s: %s", work, strerror(errno));
	atexit(clean_up);
	if ((pid = fork()) == 0) {
		execl(injector, injector, "true", (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	bool can_inject;

	if (argc == 3 && strcmp(argv[1], "mda") == 0)
		return store(argv[2]);
	for (int opt; (opt = getopt(argc, argv, "s:n:d")) != -1;) {
		if (opt == 's')
			seed = number(optarg);
		else if (opt == 'n')
			sessions_wanted = number(optarg);
		else
			keep_directory = opt == 'd' || number(NULL);
	}
	can_inject = begin();
	setvbuf(stdout, NULL, _IOLBF, 0);
	walk(can_inject);
	printf("ok 1 - seed %lu: %lu sessions agree with the model\n", seed, sessions);
	for (unsigned i = 0; i < FAULTS; i++)
		printf("%s%s %lu", i ? ", " : "# sessions: ", lots[i].name, by_fault[i]);
	printf("\n# %lu sessions, %u messages, %lu quiet points, %lu second copies that the rules allow, "
	       "%lu twins forgiven, 0 disagreements%s\n1..1\n", sessions, n_ids, quiet_points,
	       seconds_allowed, forgiven, can_inject ? "" : " (without inject)");
	return 0;
}

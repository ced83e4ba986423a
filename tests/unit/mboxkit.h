/* SPDX-License-Identifier: MIT */
/*
 * mboxkit.h - what the tests of the mbox share: three mails, a run that delivers them as fetch.c
 * does, a small reader, and calls that die or fail.
 *
 * The calls that change files are intercepted: the n-th of them kills the process (before it or
 * half way) or fails.  Syncs are counted but not done: a kill loses no pages.
 */
#ifndef MBOXKIT_H
#define MBOXKIT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deliver.h"
#include "spoolkit.h"

#define RUN "0123456789ab"
#define MAILS 3
#define BIG 70000

static char base[128], state[160], box[160];

/* -- calls that die or fail --------------------------------------------------------------- */

static struct {
	enum { NEVER, DIE, DIE_HALF, FAIL_ONCE, FAIL_ON } how;
	int calls; /* left until it happens */
	bool now;  /* the call under way dies at its end */
} fault;

/* True where the call shall fail; cuts *len where it shall die in the middle. */
static inline bool strike(size_t *len)
{
	if (fault.how == NEVER || fault.calls-- > 0)
		return false;
	if (fault.how == DIE)
		kill(getpid(), SIGKILL);
	if (fault.how == FAIL_ONCE)
		fault.how = NEVER;
	if (fault.how == DIE_HALF) {
		fault.now = true;
		if (len != NULL)
			*len /= 2;
		return false;
	}
	errno = EIO;
	return true;
}

static inline long ending(long rc)
{
	if (fault.now)
		kill(getpid(), SIGKILL);
	return rc;
}

/* What was written and not synced since, by descriptor. */
static struct {
	char last[64];     /* 0: synced; 'w': written; 'c': filled by a copy; 't': cut */
	bool filled_early; /* a copy went into a file whose written bytes were not synced */
} unsynced;

static inline void touched(int fd, char how)
{
	if (how == 'c' && unsynced.last[fd % 64] == 'w')
		unsynced.filled_early = true;
	unsynced.last[fd % 64] = how;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	touched(fd, 'w');
	return strike(&len) ? -1 : ending(syscall(SYS_pwrite64, fd, bytes, len, at));
}

ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t len, unsigned flags)
{
	touched(out, 'c');
	return strike(&len) ? -1
	                    : ending(syscall(SYS_copy_file_range, in, in_at, out, out_at, len, flags));
}

int ftruncate(int fd, off_t size)
{
	touched(fd, 't');
	return strike(NULL) ? -1 : (int)ending(syscall(SYS_ftruncate, fd, size));
}

int fdatasync(int fd)
{
	if (strike(NULL))
		return -1;
	touched(fd, 0);
	return (int)ending(fcntl(fd, F_GETFD) == -1 ? -1 : 0);
}

int fsync(int fd)
{
	return fdatasync(fd);
}

/* Waiting for a lock is giving way. */
int poll(struct pollfd *fds, nfds_t n, int ms)
{
	if (n == 0)
		return sched_yield();
	return ppoll(fds, n, &(struct timespec){.tv_sec = ms / 1000}, NULL);
}

/* -- files -------------------------------------------------------------------------------- */

static inline struct str slurp(const char *path)
{
	struct str text = {.max = 1u << 24};
	char buf[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0)
		str_add(&text, buf, (size_t)n);
	if (fd >= 0)
		close(fd);
	str_puts(&text, "");
	return text;
}

static inline void put(const char *path, const char *bytes, size_t len, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

	if (fd == -1 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	close(fd);
}

/* Empties a directory; returns how many entries it had. */
static inline int clear(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int n = 0;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			n++;
			unlinkat(dirfd(dir), e->d_name, 0);
		}
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* -- mail --------------------------------------------------------------------------------- */

static const char old_mail[] = "From a@b Thu Jan  1 00:00:00 1970\nSubject: zero\n\nold\n\n";
static const char late_mail[] = "From c@d Thu Jan  1 00:00:00 1970\nSubject: late\n\nlate\n\n";

static struct str texts[MAILS];

static inline void make_texts(void)
{
	static const char binary[] = "Return-Path: <x@y.example>\nSubject: two\n\n\0\377\r\n\n\nFrom";

	for (int i = 0; i < MAILS; i++)
		texts[i].max = 1u << 20;
	str_puts(&texts[0], "Subject: one\n\nFrom here\n>From once\n>>>From thrice\nFromage\n From\n");
	str_add(&texts[1], binary, sizeof binary - 1);
	str_puts(&texts[2], "Subject: three\n\n");
	while (texts[2].len < BIG)
		str_printf(&texts[2], "line %zu\n%s", texts[2].len, texts[2].len % 7 ? "" : "\nFrom x\n");
}

/* The reference: a mail as mbox(5) wants it, behind its From_ line. */
static inline void quote(struct str *out, const struct str *text)
{
	size_t at = 0;

	while (at < text->len) {
		const char *line = text->s + at, *nl = memchr(line, '\n', text->len - at);
		size_t len = nl != NULL ? (size_t)(nl - line) : text->len - at, gt = 0;

		while (gt < len && line[gt] == '>')
			gt++;
		if (len - gt >= 5 && memcmp(line + gt, "From ", 5) == 0)
			str_puts(out, ">");
		str_add(out, line, len);
		str_puts(out, "\n");
		at += len + 1;
	}
	str_puts(out, "\n");
}

/* A small reader: the mails of an mbox without From_ line, quoting, Received: and Status:, and with
 * one newline at the end. */
static inline size_t parse(const struct str *mbox, struct str *mails, size_t max)
{
	size_t n = 0, at = 0;
	bool header = false, skip = false, blank = true;

	while (at < mbox->len) {
		const char *line = mbox->s + at, *nl = memchr(line, '\n', mbox->len - at);
		size_t len = nl != NULL ? (size_t)(nl - line) + 1 : mbox->len - at, gt = 0;

		at += len;
		if (blank && len >= 5 && memcmp(line, "From ", 5) == 0 && n < max) {
			mails[n++] = (struct str){.max = 1u << 24};
			header = true;
			skip = blank = false;
			continue;
		}
		blank = len == 1 && line[0] == '\n';
		header = header && !blank;
		if (header && line[0] != '\t')
			skip = strncmp(line, "Received:", 9) == 0 || strncmp(line, "Status:", 7) == 0;
		if (n == 0 || (header && skip))
			continue;
		while (gt < len && line[gt] == '>')
			gt++;
		if (gt > 0 && len - gt >= 5 && memcmp(line + gt, "From ", 5) == 0)
			line++, len--;
		str_add(&mails[n - 1], line, len);
	}
	for (size_t i = 0; i < n; i++)
		while (mails[i].len > 1 && mails[i].s[mails[i].len - 1] == '\n' &&
		       mails[i].s[mails[i].len - 2] == '\n')
			str_cut(&mails[i], mails[i].len - 1);
	return n;
}

static inline bool is_text(const struct str *mail, const char *text, size_t len)
{
	size_t missing = len > 0 && text[len - 1] == '\n' ? 0 : 1;

	return mail->len == len + missing && memcmp(mail->s, text, len) == 0;
}

/* How often each text stands in the mbox, whole; returns how many mails there are. */
static inline size_t take_stock(int times[MAILS], int *old, int *late)
{
	struct str mbox = slurp(box), mails[16];
	size_t n = parse(&mbox, mails, 16);

	memset(times, 0, MAILS * sizeof *times);
	*old = *late = 0;
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < MAILS; k++)
			times[k] += is_text(&mails[i], texts[k].s, texts[k].len);
		*old += is_text(&mails[i], "Subject: zero\n\nold\n", 19);
		*late += is_text(&mails[i], "Subject: late\n\nlate\n", 20);
		str_free(&mails[i]);
	}
	str_free(&mbox);
	return n;
}

/* -- the destination ---------------------------------------------------------------------- */

static struct account account;

static inline struct deliver destination(const char *run, bool received)
{
	return (struct deliver){
		.ops = &deliver_mbox, .account = &account, .state_dir = state, .run = run, .path = "",
		.style = {.received = received, .from_host = "pop.example.org",
		          .from_address = "192.0.2.1", .protocol = "POP3S", .by_host = "localhost"},
	};
}

static inline int spool_text(struct deliver *d, struct spool *spool, const struct str *text,
                             struct error *err)
{
	*spool = (struct spool){.num = 1, .fd = -1};
	if (deliver_begin(d, spool, err) == 0 && spool_write(&d->pen, text->s, text->len, err) == 0 &&
	    deliver_end(d, err) == 0)
		return 0;
	deliver_drop(d, spool);
	return -1;
}

static inline void done(struct deliver *d)
{
	if (d->own != NULL)
		d->ops->close(d);
	spooler_free(&d->pen);
}

static inline void fresh(const char *mbox, size_t len)
{
	clear(state);
	clear(base); /* the state directory stays: unlinkat refuses it */
	account = (struct account){.target.mbox = box};
	if (mbox != NULL)
		put(box, mbox, len, O_TRUNC);
}

/* What a process that dies leaves to those after it: the journal. */
struct book {
	struct spool spools[MAILS];
	size_t first; /* intents before it are missing from the journal */
	bool intended, delivered, settled;
	enum spool_fate fates[MAILS];
};

static bool received_too;
static struct book *book;
static enum { NOWHERE, PREPARED, PUBLISHED } die_at; /* between journal and mbox */

/* A run as fetch.c does it. */
static inline int deliver_all(const char *run, bool received, const bool wanted[MAILS],
                              struct error *err)
{
	struct deliver d = destination(run, received);
	struct spool *spools = book->spools;
	size_t n = 0;
	int rc = d.ops->open(&d, err);

	for (int i = 0; i < MAILS && rc == 0; i++)
		if (wanted == NULL || wanted[i])
			rc = spool_text(&d, &spools[n++], &texts[i], err);
	if (rc == 0) {
		rc = d.ops->prepare(&d, spools, n, err);
		book->intended = rc == 0;
		if (die_at == PREPARED)
			kill(getpid(), SIGKILL);
		if (rc == 0)
			rc = d.ops->publish(&d, spools, n, err);
		if (die_at == PUBLISHED)
			kill(getpid(), SIGKILL);
		book->delivered = book->intended && rc == 0;
		d.ops->release(&d, spools, n);
	}
	done(&d);
	return rc;
}

static inline int settle(const char *run, struct error *err)
{
	struct deliver d = destination("ffffffffffff", true);
	struct spool_intent intents[MAILS] = {0};
	struct spool_past past = {.kind = "mbox", .path = box, .run = run, .intents = intents};
	int rc;

	past.intents += book->first;
	past.count = book->intended && !book->delivered ? MAILS - book->first : 0;
	for (int i = 0; i < MAILS; i++) {
		text_copy(intents[i].token, sizeof intents[i].token, book->spools[i].token);
		intents[i].place = book->spools[i].place;
	}
	*err = (struct error){0};
	rc = d.ops->settle(&d, &past, err);
	if ((rc == 0) != (err->kind == ERR_NONE))
		abort(); /* what went well leaves no error behind */
	for (int i = 0; i < MAILS && rc == 0; i++)
		book->fates[i] = book->delivered ? SPOOL_SAFE
		                 : book->intended ? intents[i].fate : SPOOL_VOID;
	book->settled = rc == 0;
	return rc;
}

/* -- after a crash ------------------------------------------------------------------------ */

enum other { NOBODY, APPENDS, REPLACES, REWRITES, EXPUNGES, REMOVES, OTHERS };

/* True where a reservation that nobody filled still stands. */
static inline bool has_hole(void)
{
	struct str mbox = slurp(box), hole = {.max = 100};
	bool there;

	while (str_puts(&hole, "\n") == 0)
		;
	there = memmem(mbox.s, mbox.len, hole.s, hole.len) != NULL;
	str_free(&mbox);
	str_free(&hole);
	return there;
}

/* After the crash: settles, fetches again what was not delivered, and looks at the mbox. */
static inline bool recovers(enum other who, const char *when)
{
	struct error err = {0};
	bool wanted[MAILS], any = false, good;
	int times[MAILS], old, late, dotlocks;
	size_t n, whole = 0;
	char lock[200];

	snprintf(lock, sizeof lock, "%s.lock", box);
	if (!book->settled && settle(RUN, &err) == -1) {
		printf("# %s: settle: %s\n", when, err.text);
		return false;
	}
	good = clear(state) == 0;
	for (int i = 0; i < MAILS; i++) {
		good = good && (book->fates[i] == SPOOL_SAFE || book->fates[i] == SPOOL_VOID);
		wanted[i] = book->fates[i] == SPOOL_VOID;
		any = any || wanted[i];
	}
	if (any && deliver_all("bbbbbbbbbbbb", received_too, wanted, &err) == -1) {
		printf("# %s: deliver: %s\n", when, err.text);
		return false;
	}
	dotlocks = unlink(lock) == 0;
	n = take_stock(times, &old, &late);
	for (int i = 0; i < MAILS; i++) {
		good = good && (times[i] == 1 || (who == REMOVES && times[i] == 0));
		whole += (size_t)times[i];
	}
	good = good && late == (who == APPENDS) && (old == 1 || who == EXPUNGES || who == REMOVES);
	if (who == NOBODY || who == APPENDS)
		good = good && n == whole + 1 + (size_t)late;
	if (who == NOBODY)
		good = good && !has_hole();
	good = good && dotlocks == 0;
	if (!good)
		printf("# %s: %zu mails, ours %d %d %d, old %d, late %d, fates %d %d %d\n", when, n,
		       times[0], times[1], times[2], old, late, (int)book->fates[0],
		       (int)book->fates[1], (int)book->fates[2]);
	return good;
}

/* -- a place of our own ------------------------------------------------------------------- */

static inline bool kit_begin(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(base, sizeof base, "%s/mailhaul-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mkdtemp(base) == NULL || book == MAP_FAILED)
		return false;
	snprintf(state, sizeof state, "%s/state", base);
	snprintf(box, sizeof box, "%s/mbox", base);
	make_texts();
	return mkdir(state, 0700) == 0;
}

static inline bool kit_end(void)
{
	for (int i = 0; i < MAILS; i++)
		str_free(&texts[i]);
	munmap(book, sizeof *book);
	clear(state);
	rmdir(state);
	clear(base);
	return rmdir(base) == 0;
}

#endif

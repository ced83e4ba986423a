/* SPDX-License-Identifier: MIT */
/*
 * test_deliver_maildir.c - the four steps of a Maildir, and what settle makes of every state that
 * a crash or a mail reader can leave between them.
 */
#include "config.h"

#include "deliver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spoolkit.h"
#include "tap.h"

#define RUN "0123456789ab"

static char base[] = "/tmp/mailhaul-test-XXXXXX";
static char box[64];

static const char *in_box(const char *part, const char *name)
{
	static char path[4][2048];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof path[turn], "%s/%s/%s", box, part, name);
	return path[turn];
}

/* Syncs of directories are not done but written down, as inodes, and they can fail. */
static ino_t synced[8];
static size_t syncs;
static bool sync_fails;

int fsync(int fd)
{
	struct stat st;

	errno = EIO;
	if (sync_fails || fstat(fd, &st) == -1)
		return -1;
	synced[syncs++ % 8] = st.st_ino;
	return 0;
}

static ino_t ino_of(const char *part)
{
	struct stat st;

	return stat(in_box(part, ""), &st) == 0 ? st.st_ino : 0;
}

static bool is_there(const char *part, const char *name)
{
	struct stat st;

	return stat(in_box(part, name), &st) == 0;
}

static int count(const char *part)
{
	DIR *dir = opendir(in_box(part, ""));
	struct dirent *e;
	int n = 0;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		n += e->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return n;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void fresh(struct deliver *d, struct account *account)
{
	struct error err = {0};

	remove_tree(box);
	*account = (struct account){.target.maildir = box};
	*d = (struct deliver){.ops = &deliver_maildir, .account = account, .run = RUN, .path = ""};
	EQUAL(d->ops->open(d, &err), 0, "open makes it");
}

static void spool_one(struct deliver *d, struct spool *spool, const char *text)
{
	struct error err = {0};

	*spool = (struct spool){.num = 1, .fd = -1};
	OK(deliver_begin(d, spool, &err) == 0 && spool_write(&d->pen, text, strlen(text), &err) == 0 &&
	       deliver_end(d, &err) == 0, "spooled");
}

static void done(struct deliver *d)
{
	d->ops->close(d);
	spooler_free(&d->pen);
}

static void test_steps(void)
{
	struct account account;
	struct deliver d;
	struct spool spools[3];
	struct error err = {0};
	struct stat st;

	fresh(&d, &account);
	OK(stat(in_box("new", ""), &st) == 0 && (st.st_mode & 0777) == 0700, "directories are 0700");
	for (int i = 0; i < 3; i++)
		spool_one(&d, &spools[i], "A: b\n\nbody\n");
	EQUAL(count("tmp"), 3, "three in tmp");
	EQUAL(count("new"), 0, "nothing visible");
	deliver_drop(&d, &spools[2]);
	deliver_drop(&d, &spools[2]);
	EQUAL(count("tmp"), 2, "one was dropped, twice is fine");
	EQUAL(d.ops->prepare(&d, spools, 2, &err), 0, "prepare");
	EQUAL(count("new"), 0, "still nothing visible");
	EQUAL(d.ops->publish(&d, spools, 2, &err), 0, "publish");
	OK(spools[0].fate == SPOOL_SAFE && spools[1].fate == SPOOL_SAFE, "safe");
	d.ops->release(&d, spools, 2);
	EQUAL(count("new"), 2, "both visible");
	EQUAL(count("tmp"), 0, "tmp is empty");
	OK(is_there("new", spools[0].place), "under the name of the intent");
	OK(stat(in_box("new", spools[0].place), &st) == 0 && (st.st_mode & 0777) == 0600, "0600");
	OK(strstr(spools[0].place, "R" RUN) != NULL && strpbrk(spools[0].place, "/:") == NULL,
	   "the name bears the run's digits and nothing bad");
	done(&d);
}

static void test_failures(void)
{
	struct account account;
	struct deliver d;
	struct spool spools[3];
	struct error err = {0};

	fresh(&d, &account);
	for (int i = 0; i < 3; i++)
		spool_one(&d, &spools[i], "x\n");
	EQUAL(d.ops->prepare(&d, spools, 3, &err), 0, "prepare");
	close(open(in_box("new", spools[1].place), O_CREAT | O_WRONLY, 0600));
	EQUAL(d.ops->publish(&d, spools, 3, &err), -1, "a name that is taken is an error");
	OK(spools[0].fate == SPOOL_SAFE, "what came before it is safe");
	OK(spools[1].fate == SPOOL_VOID && spools[2].fate == SPOOL_VOID, "the rest certainly not");
	EQUAL(count("tmp"), 0, "nothing stays in tmp");
	OK(strstr(err.text, box) != NULL, "the error names the Maildir");
	d.ops->release(&d, spools, 3);
	done(&d);

	account.target.maildir = (char *)"/proc/nonsense/Maildir";
	err = (struct error){0};
	EQUAL(d.ops->open(&d, &err), -1, "a place that cannot be made");
	EQUAL(err.kind, ERR_CANTCREATE, "its kind");
}

/* What has left tmp/ has left it for good before the run counts as clean. */
static void test_close(void)
{
	struct account account;
	struct deliver d;
	struct spool spool;

	for (int fails = 0; fails < 2; fails++) {
		for (int used = 0; used < 2; used++) {
			fresh(&d, &account);
			if (used)
				spool_one(&d, &spool, "x\n");
			if (used)
				deliver_drop(&d, &spool);
			syncs = 0;
			sync_fails = fails;
			EQUAL(d.ops->close(&d), !(fails && used), used ? "used" : "not used");
			sync_fails = false;
			OK(syncs == (used && !fails) && (syncs == 0 || synced[0] == ino_of("tmp")),
			   "synced where it must be");
			spooler_free(&d.pen);
		}
	}
}

/* Where a message stood when the process died, and where it must be after settle. */
static void test_settle(void)
{
	static const struct {
		const char *name, *part, *suffix;
		enum spool_fate fate;
		const char *then;
	} rows[] = {
		{"still in tmp", "tmp", "", SPOOL_SAFE, "new"},
		{"renamed already", "new", "", SPOOL_SAFE, "new"},
		{"read already", "cur", ":2,S", SPOOL_SAFE, "cur"},
		{"read, other suffix", "cur", ",S", SPOOL_SAFE, "cur"},
		{"moved to cur without flags", "cur", "", SPOOL_SAFE, "cur"},
		{"nowhere", NULL, "", SPOOL_VOID, NULL},
	};
	struct account account;
	struct deliver d;
	char names[6][160];
	struct spool_intent intents[6] = {0};
	struct spool_past past = {.kind = "maildir", .path = box, .run = RUN, .intents = intents};
	struct error err = {0};

	fresh(&d, &account);
	for (size_t i = 0; i < 6; i++) {
		char with[1024];

		snprintf(names[i], sizeof names[i], "17.M%zuP1R" RUN "00000000000%zu.host", i, i);
		snprintf(with, sizeof with, "%s%s", names[i], rows[i].suffix);
		if (rows[i].part != NULL)
			close(open(in_box(rows[i].part, with), O_CREAT | O_WRONLY, 0600));
		intents[i].place = names[i];
	}
	past.count = 6;
	close(open(in_box("tmp", "17.M9P1R" RUN "999999999999.host"), O_CREAT | O_WRONLY, 0600));
	close(open(in_box("tmp", "17.M9P1Rffffffffffff999999999999.host"), O_CREAT | O_WRONLY, 0600));
	syncs = 0;
	EQUAL(d.ops->settle(&d, &past, &err), 0, "settle");
	OK(syncs == 3 && synced[0] == ino_of("cur") && synced[1] == ino_of("new") &&
	       synced[2] == ino_of("tmp"), "what is found or brought there is durable");
	for (size_t i = 0; i < 6; i++) {
		char with[1024];

		snprintf(with, sizeof with, "%s%s", names[i], rows[i].suffix);
		EQUAL(intents[i].fate, rows[i].fate, rows[i].name);
		if (rows[i].then != NULL)
			OK(is_there(rows[i].then, with), "it is where it should be");
	}
	EQUAL(count("tmp"), 1, "the run's own leftover is swept, another run's is not");
	EQUAL(count("new"), 2, "none appears twice");
	for (size_t i = 0; i < 6; i++)
		intents[i].fate = SPOOL_UNSURE;
	EQUAL(d.ops->settle(&d, &past, &err), 0, "again");
	for (size_t i = 0; i < 6; i++)
		EQUAL(intents[i].fate, rows[i].fate, "and the same");
	done(&d);
}

/* A file system that cannot rename without replacing: the name was linked, and then the process
 * died.  Whatever a reader made of it, there is no second copy; and no link of others makes a mail
 * count as delivered. */
static void test_settle_linked(void)
{
	static const struct {
		const char *name, *part, *suffix;
		bool is_new; /* and brought there by settle */
	} rows[] = {
		{"not read yet", "new", "", false},
		{"read by now", "cur", ":2,S", false},
		{"moved to cur without flags", "cur", "", false},
		{"a copy by hard links", "..", "-copy", true},
	};
	static const char place[] = "17.M1P1R" RUN "000000000001.host";

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct spool_intent intent = {.place = place};
		struct spool_past past = {.path = box, .run = RUN, .intents = &intent, .count = 1};
		struct account account;
		struct error err = {0};
		struct deliver d;
		char with[200];

		fresh(&d, &account);
		snprintf(with, sizeof with, "%s%s", place, rows[i].suffix);
		close(open(in_box("tmp", place), O_CREAT | O_WRONLY, 0600));
		OK(link(in_box("tmp", place), in_box(rows[i].part, with)) == 0, rows[i].name);
		for (int k = 0; k < 2; k++) {
			EQUAL(d.ops->settle(&d, &past, &err), 0, "settle");
			EQUAL(intent.fate, SPOOL_SAFE, "safe");
			EQUAL(count("tmp"), 0, "tmp is empty");
			OK(is_there(rows[i].part, with), "it stays where it is");
			EQUAL(count("new") + count("cur"), 1, "once");
			EQUAL(is_there("new", place), rows[i].is_new || rows[i].part[0] == 'n', "new or read");
		}
		unlink(in_box("..", with));
		done(&d);
	}
}

static void test_settle_gone(void)
{
	struct spool_intent intents[1] = {{.place = "x"}};
	struct spool_past past = {.path = "/tmp/mailhaul-no-such", .run = RUN, .intents = intents,
	                          .count = 1};
	struct deliver d = {.ops = &deliver_maildir};
	struct error err = {0};

	EQUAL(d.ops->settle(&d, &past, &err), 0, "a Maildir that is gone");
	EQUAL(intents[0].fate, SPOOL_VOID, "holds nothing");
}

/* A group's files are all open at once. */
static void test_group(void)
{
	static const struct {
		rlim_t most;
		unsigned group;
	} rows[] = {{0, 1}, {32, 1}, {33, 1}, {100, 68}, {287, 255}, {288, 256}, {4096, 256}};
	struct account account = {.target.mda_jobs = 3};
	struct deliver d = {.ops = &deliver_maildir};
	struct deliver few = {.ops = &deliver_mda, .account = &account};
	struct rlimit was, now;

	getrlimit(RLIMIT_NOFILE, &was);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		now = (struct rlimit){rows[i].most, was.rlim_max};
		if (now.rlim_cur > now.rlim_max || setrlimit(RLIMIT_NOFILE, &now) == -1)
			continue; /* our own limit is low */
		EQUAL(deliver_group(&d), rows[i].group, "as many messages as there are descriptors");
		EQUAL(deliver_group(&few), rows[i].group < 3 ? rows[i].group : 3, "or MDAs");
	}
	setrlimit(RLIMIT_NOFILE, &was);
}

int main(void)
{
	if (mkdtemp(base) == NULL)
		return 99;
	snprintf(box, sizeof box, "%s/box", base);
	test_steps();
	test_failures();
	test_close();
	test_settle();
	test_settle_linked();
	test_settle_gone();
	test_group();
	remove_tree(base);
	return tap_end();
}

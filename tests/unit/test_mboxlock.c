/* SPDX-License-Identifier: MIT */
/*
 * test_mboxlock.c - which files are taken for an mbox, and how the two locks meet those of others.
 *
 * Waiting is not waited for: a poll without descriptors moves the clock instead.
 */
#include "config.h"

#include "mboxlock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static char base[128], box[160], dot[176], other[160];

/* -- the clock ---------------------------------------------------------------------------- */

static uint64_t skipped_ms;
static const char *while_waiting; /* removed after some waiting */

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, now);

	if (clock == CLOCK_MONOTONIC)
		now->tv_sec += (time_t)(skipped_ms / 1000);
	return rc;
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	(void)fds, (void)n;
	skipped_ms += (uint64_t)ms;
	if (while_waiting != NULL && skipped_ms > 2000) {
		unlink(while_waiting);
		while_waiting = NULL;
	}
	return 0;
}

/* -- somebody quicker --------------------------------------------------------------------- */

static void (*before_lock)(void); /* done once, between open and lock */

int fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (cmd == F_OFD_SETLK && before_lock != NULL) {
		before_lock();
		before_lock = NULL;
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

/* -- files -------------------------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void age(const char *path, time_t seconds)
{
	time_t then = time(NULL) - seconds;
	struct timespec times[2] = {{.tv_sec = then}, {.tv_sec = then}};

	utimensat(AT_FDCWD, path, times, 0);
}

static void clear(void)
{
	unlink(dot);
	rmdir(dot);
	unlink(box);
	rmdir(box);
	unlink(other);
}

/* Takes the locks and gives them back. */
static int take(struct error *err)
{
	struct mboxlock lock = {0};
	int rc;

	*err = (struct error){0};
	skipped_ms = 0;
	rc = mboxlock_take(&lock, box, true, err);
	mboxlock_release(&lock);
	return rc;
}

/* -- which file --------------------------------------------------------------------------- */

static void make_link(void)
{
	put(other, "precious");
	if (symlink(other, box) == -1)
		abort();
}

static void make_dangling(void)
{
	if (symlink(other, box) == -1)
		abort();
}

static void make_hard_link(void)
{
	put(other, "precious");
	if (link(other, box) == -1)
		abort();
}

static void make_fifo(void)
{
	if (mkfifo(box, 0600) == -1)
		abort();
}

static void make_dir(void)
{
	mkdir(box, 0700);
}

static void make_foreign(void)
{
	put(box, "precious");
	if (chown(box, 12345, 12345) == -1)
		abort();
}

static void test_refused(void)
{
	static const struct {
		const char *name;
		void (*make)(void);
		const char *word;
		bool root;
	} rows[] = {
		{"a symbolic link", make_link, "symbolic link", false},
		{"a dangling one", make_dangling, "symbolic link", false},
		{"a hard link", make_hard_link, "hard link", false},
		{"a FIFO", make_fifo, "not a regular file", false},
		{"a directory", make_dir, "directory", false},
		{"somebody else's", make_foreign, "another user", true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};

		clear();
		if (rows[i].root && geteuid() != 0)
			continue;
		rows[i].make();
		EQUAL(mboxlock_open(box, true, &err), -1, rows[i].name);
		EQUAL(err.kind, ERR_CANTCREATE, "its kind");
		OK(strstr(err.text, rows[i].word) != NULL && strstr(err.text, box) != NULL, err.text);
		EQUAL(take(&err), -1, "and is not locked");
		OK(!is_there(dot), "no lock file is made");
		OK(rows[i].make != make_dangling || !is_there(other), "nothing is made behind it");
	}
	clear();
}

static void test_open(void)
{
	struct error err = {0};
	struct stat st;
	int fd;

	EQUAL(mboxlock_open(box, false, &err), -1, "a missing one");
	EQUAL(err.sys, ENOENT, "is told from the rest");
	fd = mboxlock_open(box, true, &err);
	OK(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600, "or made, 0600");
	OK(fcntl(fd, F_GETFD) == FD_CLOEXEC, "closed on exec");
	OK((fcntl(fd, F_GETFL) & (O_NONBLOCK | O_NOATIME)) == O_NOATIME, "and read without a trace");
	close(fd);
	clear();
}

/* -- the locks ---------------------------------------------------------------------------- */

static void test_both(void)
{
	struct mboxlock lock = {0}, second = {0};
	struct error err = {0};
	char text[64] = "", want[32];
	struct flock all = {.l_type = F_WRLCK};
	int fd;

	EQUAL(mboxlock_take(&lock, box, true, &err), 0, "free");
	fd = open(dot, O_RDONLY);
	snprintf(want, sizeof want, "%ld\n", (long)getpid());
	OK(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "a lock file");
	SAME(text, want, "with our number");
	close(fd);
	fd = open(box, O_RDWR);
	OK(fcntl(fd, F_GETLK, &all) == 0 && all.l_type == F_WRLCK, "an fcntl lock");
	close(fd); /* an OFD lock survives this */
	skipped_ms = 0;
	EQUAL(mboxlock_take(&second, box, true, &err), -1, "no second one");
	OK(err.kind == ERR_TEMP && strstr(err.text, box) != NULL, err.text);
	OK(skipped_ms >= 60000 && skipped_ms < 61000, "after 60 s");
	OK(is_there(dot), "the first one stays");
	mboxlock_release(&second);
	mboxlock_release(&lock);
	OK(!is_there(dot), "released");
	mboxlock_release(&lock);
	EQUAL(take(&err), 0, "and free again");
	clear();
}

/* A lock file that another program put in the place of ours is not removed. */
static void test_not_ours(void)
{
	struct mboxlock lock = {0};
	struct error err = {0};

	EQUAL(mboxlock_take(&lock, box, true, &err), 0, "free");
	put(other, "999\n");
	rename(other, dot);
	mboxlock_release(&lock);
	OK(is_there(dot), "another's lock file stays");
	clear();
}

static void replace(void)
{
	put(other, "fresh");
	rename(other, box);
}

static void remove_it(void)
{
	unlink(box);
}

/* A reader puts another file in its place just before we have the lock. */
static void test_replaced(void)
{
	void (*const acts[])(void) = {replace, remove_it};

	for (size_t i = 0; i < 2; i++) {
		struct mboxlock lock = {0};
		struct error err = {0};
		struct stat ours, named;

		put(box, "old");
		before_lock = acts[i];
		EQUAL(mboxlock_take(&lock, box, true, &err), 0, "locked in spite of it");
		OK(fstat(lock.fd, &ours) == 0 && lstat(box, &named) == 0 && ours.st_ino == named.st_ino,
		   "the file of today");
		mboxlock_release(&lock);
		clear();
	}
}

static void test_fcntl_of_others(void)
{
	struct error err;
	int ready[2], status;
	pid_t pid;
	char byte;

	put(box, "");
	fflush(stdout);
	if (pipe(ready) == -1 || (pid = fork()) == -1)
		abort();
	if (pid == 0) { /* the classic lock of another process */
		struct flock all = {.l_type = F_WRLCK};

		if (fcntl(open(box, O_RDWR), F_SETLK, &all) == -1 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	OK(read(ready[0], &byte, 1) == 1, "another holds an fcntl lock");
	EQUAL(take(&err), -1, "waited in vain");
	OK(err.kind == ERR_TEMP && strstr(err.text, "has locked it") != NULL, err.text);
	OK(!is_there(dot), "no lock file meanwhile");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EQUAL(take(&err), 0, "it is gone, the lock is free");
	close(ready[0]);
	close(ready[1]);
	clear();
}

/* The number of a process that is no more. */
static pid_t dead_pid(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static void test_stale(void)
{
	char dead[16], alive[16], own[16], dead_run[32], live_run[32], no_run[32];
	const struct {
		const char *name, *text;
		time_t age;
		bool broken;
	} rows[] = {
		{"dead and old", dead, 400, true},
		{"dead and young", dead, 200, false},
		{"alive and old", alive, 4000, false},
		{"our own number, old", own, 400, true},
		{"our own number, young", own, 10, false},
		{"empty and old", "", 400, true},
		{"empty and young", "", 10, false},
		{"no number", "me\n", 4000, false},
		{"zero", "0", 4000, false},
		{"negative", "-1\n", 4000, false},
		{"huge", "99999999999999999999\n", 4000, false},
		{"dead, old, with a run", dead_run, 400, true},
		{"dead, young, with a run", dead_run, 200, false},
		{"alive, old, with a run", live_run, 400, true},
		{"alive, young, with a run", live_run, 200, false},
		{"alive, old, with a host", no_run, 4000, false},
	};

	snprintf(dead, sizeof dead, "%ld\n", (long)dead_pid());
	snprintf(dead_run, sizeof dead_run, "%s0123456789ab\n", dead);
	snprintf(alive, sizeof alive, "%ld\n", (long)getppid());
	snprintf(live_run, sizeof live_run, "%s0123456789ab\n", alive);
	snprintf(no_run, sizeof no_run, "%sbad.example\n", alive);
	snprintf(own, sizeof own, "%ld", (long)getpid());
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err;

		put(dot, rows[i].text);
		age(dot, rows[i].age);
		EQUAL(take(&err), rows[i].broken ? 0 : -1, rows[i].name);
		EQUAL(is_there(dot), !rows[i].broken, "and what is left");
		if (!rows[i].broken)
			OK(err.kind == ERR_TEMP && strstr(err.text, dot) != NULL, err.text);
		clear();
	}
	put(dot, "");
	OK(truncate(dot, 19) == 0, "zeros, what a power cut leaves");
	age(dot, 400);
	EQUAL(take(&(struct error){0}), 0, "and old");
	clear();
	mkdir(dot, 0700);
	age(dot, 4000);
	EQUAL(take(&(struct error){0}), -1, "a directory is no stale lock");
	clear();
}

static bool dir_synced;

int fsync(int fd)
{
	struct stat st;

	dir_synced = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	return 0;
}

/* What is swept by which run; free: nobody holds the fcntl lock. */
static void test_sweep(void)
{
	static const char ours[] = "0123456789ab";
	static const struct {
		const char *name, *text, *run;
		time_t age;
		bool free, swept;
	} rows[] = {
		{"of the dead run", "1\n0123456789ab\n", ours, 0, true, true},
		{"likewise, mbox in use", "1\n0123456789ab\n", ours, 0, false, true},
		{"of another run", "1\n0123456789ac\n", ours, 0, true, false},
		{"of another run, old", "1\n0123456789ac\n", ours, 400, true, true},
		{"likewise, mbox in use", "1\n0123456789ac\n", ours, 400, false, false},
		{"no run", "1\n", ours, 400, true, false},
		{"the run first", "0123456789ab\n", ours, 400, true, false},
		{"empty", "", ours, 0, true, false},
		{"of any run", "1\n0123456789ab\n", NULL, 0, true, false},
		{"of any run, old", "1\n0123456789ab\n", NULL, 400, true, true},
		{"likewise, mbox in use", "1\n0123456789ab\n", NULL, 400, false, false},
		{"empty, old", "", NULL, 400, true, true},
		{"likewise, mbox in use", "", NULL, 400, false, false},
		{"alive, old", "1\n", NULL, 4000, true, false},
	};
	struct mboxlock lock = {.run = ours};
	struct error err = {0};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct flock all = {.l_type = F_WRLCK};
		int fd;

		put(box, "");
		fd = open(box, O_RDWR);
		OK(rows[i].free || fcntl(fd, F_OFD_SETLK, &all) == 0, rows[i].name);
		put(dot, rows[i].text);
		age(dot, rows[i].age);
		dir_synced = false;
		mboxlock_sweep(box, rows[i].run);
		EQUAL(is_there(dot), !rows[i].swept, rows[i].text);
		EQUAL(dir_synced, rows[i].run != NULL, "durably");
		close(fd);
		clear();
	}
	dir_synced = false;
	mboxlock_sweep(box, ours);
	OK(dir_synced, "one that was there a moment ago does not come back");
	mboxlock_sweep(box, "0123456789ab");
	EQUAL(mboxlock_take(&lock, box, true, &err), 0, "locked as that run");
	mboxlock_sweep(box, "0123456789ab");
	OK(!is_there(dot), "it bears it");
	mboxlock_release(&lock);
	SAME(lock.run, "0123456789ab", "and keeps it");
	clear();
}

static void test_waiting(void)
{
	struct error err;

	put(dot, "1\n");
	while_waiting = dot;
	EQUAL(take(&err), 0, "it goes away while we wait");
	OK(skipped_ms >= 2000 && skipped_ms < 4000, "and is noticed soon");
	EQUAL(err.kind, ERR_NONE, "no error is left of the waiting");
	put(dot, "1\n");
	stop_requested = 1;
	EQUAL(take(&err), -1, "asked to stop");
	EQUAL(err.kind, ERR_STOP, "is why");
	OK(skipped_ms < 1000, "at once");
	stop_requested = 0;
	clear();
	stop_requested = 1;
	EQUAL(take(&err), 0, "a free one is taken all the same");
	stop_requested = 0;
	clear();
}

/* -- a spool directory where we may not write --------------------------------------------- */

static int notes;

static void count_note(enum note_level level, const char *text)
{
	notes += level == NOTE_INFO && strstr(text, dot) != NULL;
}

static int deliver_unprivileged(void)
{
	struct error err;

	note_limit = NOTE_INFO;
	note_hook = count_note;
	if (geteuid() == 0 && (setgid(65534) == -1 || setuid(65534) == -1))
		return 10;
	if (take(&err) == -1)
		return 11;
	if (take(&err) == -1 || notes != 1)
		return 12;
	return mboxlock_open(other, true, &err) == -1 && err.kind == ERR_CANTCREATE ? 0 : 13;
}

static void test_unwritable(void)
{
	int status;
	pid_t pid;

	put(box, "");
	if (geteuid() == 0 && (chmod(base, 0755) == -1 || chown(box, 65534, 65534) == -1))
		abort();
	chmod(base, 0555);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(deliver_unprivileged());
	waitpid(pid, &status, 0);
	chmod(base, 0700);
	EQUAL(status, 0, "the fcntl lock alone, one note; and no mbox can be made");
	clear();
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(base, sizeof base, "%s/mailhaul-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(base) == NULL)
		return 99;
	snprintf(box, sizeof box, "%s/mbox", base);
	snprintf(dot, sizeof dot, "%s/mbox.lock", base);
	snprintf(other, sizeof other, "%s/other", base);
	test_open();
	test_refused();
	test_both();
	test_not_ours();
	test_replaced();
	test_fcntl_of_others();
	test_stale();
	test_sweep();
	test_waiting();
	test_unwritable();
	return rmdir(base) == 0 ? tap_end() : 99;
}

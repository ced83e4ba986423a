/* SPDX-License-Identifier: MIT */
/*
 * mboxlock.c - opens and locks an mbox, in a directory that others may write to.
 *
 * A spool directory is shared ground: a symbolic link, a second hard link, a FIFO or somebody
 * else's file under the mbox's name is refused, and after the locks are there the name is looked
 * up again, for a mail reader may have put another file in its place while we waited.
 *
 * PATH.lock holds "PID\nRUN\n".  One that a crash left is broken when it is older than five minutes
 * and its process is gone or was a mailhaul, or at once when its run is known to be dead; it is
 * renamed first and looked at again, so that a fresh lock that was made in this moment is put back
 * and not removed.  But for that of a dead run the fcntl lock is held meanwhile, so whoever honours
 * it cannot be hurt.
 *
 * On failure nothing is held.  A time stamp of the mbox is never set, and reading it here leaves
 * the access time alone, by which mail readers know new mail.
 */
#include "config.h"

#include "mboxlock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"

#define WAIT_MS 60000    /* for locks of others */
#define NAP_MS 10        /* between two tries: from here ... */
#define NAP_MAX_MS 200   /* ... to here */
#define STALE_S 300      /* a dotlock younger than this is never broken */
#define RUN_DIGITS 12

static char *name_with(const char *path, const char *suffix)
{
	struct str name = {.max = 8192};

	if (str_printf(&name, "%s%s", path, suffix) == -1)
		return xstrdup(""); /* too long: opening it fails, and says so */
	return name.s;
}

/* -- the file ----------------------------------------------------------------------------- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 1: fd is an mbox of ours and stands under its name; 0: the name means another file by now. */
static int check(int fd, const char *path, struct error *err)
{
	struct stat st, named;

	if (fstat(fd, &st) == -1)
		return error_sys(err, ERR_IO, "%s", path);
	if (lstat(path, &named) == -1 || !is_same(&st, &named)) {
		error_set(err, ERR_TEMP, "%s: another file takes its place all the time", path);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_CANTCREATE, "%s: not a regular file", path);
	if (st.st_uid != geteuid())
		return error_set(err, ERR_CANTCREATE, "%s: belongs to another user", path);
	if (st.st_nlink != 1)
		return error_set(err, ERR_CANTCREATE, "%s: the file has a second name (hard link)", path);
	return 1;
}

/* O_NONBLOCK, so that a FIFO cannot hold us; what it is comes out in check. */
static int open_file(const char *path, bool create, struct error *err)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1 && errno == ENOENT && create) {
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd == -1 && errno == EEXIST) /* somebody was quicker */
			fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	if (fd == -1 && errno == ELOOP)
		return error_set(err, ERR_CANTCREATE, "%s: is a symbolic link", path);
	if (fd == -1 && errno == EISDIR)
		return error_set(err, ERR_CANTCREATE, "%s is a directory; an mbox is a file", path);
	if (fd == -1)
		return error_sys(err, error_kind_of(errno), "cannot open %s", path);
	return fd;
}

/* 1: *fd is open; 0 as check. */
static int open_checked(const char *path, bool create, int *fd, struct error *err)
{
	int rc;

	*fd = open_file(path, create, err);
	if (*fd == -1)
		return -1;
	rc = check(*fd, path, err);
	if (rc == 1)
		fcntl(*fd, F_SETFL, O_NOATIME); /* open(2) would refuse it where the owner is wrong */
	else
		close(*fd);
	return rc;
}

int mboxlock_open(const char *path, bool create, struct error *err)
{
	int fd;

	return open_checked(path, create, &fd, err) == 1 ? fd : -1;
}

static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return xmemdup0(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Makes the mbox's name durable.  A directory that may not be read cannot be synced. */
static int sync_name(const char *path, struct error *err)
{
	char *dir = dir_of(path);
	struct error why;
	int rc = 0;
	int fd = file_open_dir(dir, &why);

	if (fd >= 0) {
		rc = file_sync_dir(fd, dir, err);
		close(fd);
	} else if (why.sys != EACCES) {
		*err = why;
		rc = -1;
	}
	free(dir);
	return rc;
}

/* -- PATH.lock ---------------------------------------------------------------------------- */

/* A second line that names a run: a mailhaul's, which held the fcntl lock as long as it lived. */
static bool names_run(const char *lines)
{
	size_t n = lines[0] == '\n' ? strspn(lines + 1, "0123456789abcdef") : 0;

	return n == RUN_DIGITS && lines[1 + n] == '\n';
}

/* Judges a dotlock by what is in it; run is one that is known to be dead, or NULL.  An empty one is
 * what a crash between making and writing leaves, one of zeros what a power cut before the bytes
 * were on the disk.  Our own number is nobody else's: we do not hold it, or we would not ask.
 * locked: we hold the fcntl lock, so no mailhaul does, and a number that lives is somebody else's
 * since a reboot; without it only that run's is abandoned.  *ours: it is that run's. */
static bool is_abandoned(const char *name, const char *run, bool locked, struct stat *st,
                         bool *ours)
{
	char text[64];
	int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = -1;
	size_t line;
	uint64_t pid;

	if (fd == -1)
		return false;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n == -1)
		return false;
	text[n] = '\0';
	line = strcspn(text, "\n");
	*ours = run != NULL && text[line] == '\n' &&
	        strncmp(text + line + 1, run, strlen(run)) == 0;
	if (*ours || !locked)
		return *ours;
	if (time(NULL) - st->st_mtime <= STALE_S)
		return false;
	if (n == 0 || text[0] == '\0' || names_run(text + line))
		return true;
	if (!number_parse(text, line, INT32_MAX, &pid) || pid == 0)
		return false;
	return (pid_t)pid == getpid() || (kill((pid_t)pid, 0) == -1 && errno == ESRCH);
}

/* Takes an abandoned dotlock away: the one that was judged, and no other. */
static void break_stale(const char *name, const char *run, bool locked)
{
	struct stat judged, moved;
	struct error ignored;
	char chance[9], suffix[16], *aside;
	bool ours = false;

	if (!is_abandoned(name, run, locked, &judged, &ours))
		return;
	if (ours) { /* only who has the account's journal may, and that is us: nobody is in the way */
		unlink(name);
		return;
	}
	random_hex(chance, 4);
	snprintf(suffix, sizeof suffix, ".%s", chance);
	aside = name_with(name, suffix);
	if (rename(name, aside) == 0) {
		bool same = lstat(aside, &moved) == 0 && is_same(&judged, &moved);

		/* What was not judged, or cannot go, comes back, unless there is a new one by now. */
		if (!(same && unlink(aside) == 0) &&
		    file_publish(AT_FDCWD, aside, AT_FDCWD, name, &ignored) == -1)
			unlink(aside);
	}
	free(aside);
}

static void warn_once(const char *path)
{
	static bool warned;

	if (!warned)
		note(NOTE_INFO, "%s: cannot make %s.lock: %s; going on with the fcntl lock alone", path,
		     path, strerror(errno));
	warned = true;
}

/* Writes who we are into the fresh dotlock and remembers which file it is. */
static int sign(struct mboxlock *lock, int fd, const char *name, struct error *err)
{
	char text[64];
	struct stat st;

	snprintf(text, sizeof text, "%ld\n%s%s", (long)getpid(), lock->run != NULL ? lock->run : "",
	         lock->run != NULL ? "\n" : "");
	if (file_write(fd, text, strlen(text), name, err) == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		return error_sys(err, ERR_IO, "%s", name);
	lock->dev = st.st_dev;
	lock->ino = st.st_ino;
	return 0;
}

/* Makes the dotlock by giving its name to a file that is signed already: between making and signing
 * a crash would leave an empty one, which nobody may break before it is old.  False where it is
 * there, or where this does not work. */
static bool link_dotlock(struct mboxlock *lock, const char *path, const char *name)
{
	char *dir = dir_of(path), link[40];
	struct error why;
	int fd = file_temp(dir, &why);
	bool made = false;

	free(dir);
	if (fd == -1)
		return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (sign(lock, fd, name, &why) == 0)
		made = linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
	close(fd);
	return made;
}

/* 1: made, or cannot be made here; 0: somebody has it. */
static int take_dotlock(struct mboxlock *lock, const char *path, struct error *err)
{
	char *name = name_with(path, ".lock");
	int rc = 1, fd;

	if (link_dotlock(lock, path, name)) {
		lock->dotlock = name;
		return 1;
	}
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0) {
		rc = sign(lock, fd, name, err) == 0 ? 1 : -1;
		close(fd);
		if (rc == 1) {
			lock->dotlock = name;
			return 1;
		}
		unlink(name);
	} else if (errno == EEXIST) {
		/* Of our own run, and not held: it is that of the run we settle. */
		break_stale(name, lock->run, true);
		error_set(err, ERR_TEMP, "%s: there is a lock file, %s", path, name);
		rc = 0;
	} else if (errno == EACCES || errno == EROFS || errno == EPERM) {
		warn_once(path);
	} else {
		rc = error_sys(err, error_kind_of(errno), "cannot create %s", name);
	}
	free(name);
	return rc;
}

/* -- both --------------------------------------------------------------------------------- */

/* 1: got it; 0: somebody has it. */
static int take_fcntl(int fd, const char *path, struct error *err)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &all) == 0)
		return 1;
	if (errno != EAGAIN && errno != EACCES)
		return error_sys(err, ERR_IO, "cannot lock %s", path);
	error_set(err, ERR_TEMP, "%s: another program has locked it", path);
	return 0;
}

/* One try.  1: all is held; 0: somebody else has something, and nothing is held. */
static int attempt(struct mboxlock *lock, const char *path, bool create, struct error *err)
{
	int rc = open_checked(path, create, &lock->fd, err);

	if (rc != 1)
		return rc;
	lock->held = true;
	rc = take_fcntl(lock->fd, path, err);
	if (rc == 1)
		rc = take_dotlock(lock, path, err);
	if (rc == 1)
		rc = check(lock->fd, path, err);
	if (rc == 1 && create && sync_name(path, err) == -1)
		rc = -1;
	if (rc != 1)
		mboxlock_release(lock);
	return rc;
}

int mboxlock_take(struct mboxlock *lock, const char *path, bool create, struct error *err)
{
	uint64_t deadline = clock_ms() + WAIT_MS;
	struct error why; /* apart: what stood in the way of a lock that came is no error */
	int nap = NAP_MS, rc;

	while ((rc = attempt(lock, path, create, &why)) == 0) {
		if (stop_asked())
			return error_set(err, ERR_STOP, "%s: stopped while waiting for its lock", path);
		if (clock_ms() >= deadline) {
			error_wrap(&why, "waited %d s", WAIT_MS / 1000);
			break;
		}
		poll(NULL, 0, nap);
		nap = nap * 2 < NAP_MAX_MS ? nap * 2 : NAP_MAX_MS;
	}
	if (rc != 1)
		*err = why;
	return rc == 1 ? 0 : -1;
}

/* True where it is gone, or somebody else's by now. */
static bool remove_dotlock(const struct mboxlock *lock)
{
	struct stat st;

	if (lstat(lock->dotlock, &st) == 0) {
		if (st.st_dev != lock->dev || st.st_ino != lock->ino || unlink(lock->dotlock) == 0)
			return true;
	}
	return errno == ENOENT;
}

bool mboxlock_release(struct mboxlock *lock)
{
	bool gone = lock->dotlock == NULL || remove_dotlock(lock);

	free(lock->dotlock);
	if (lock->held)
		close(lock->fd);
	*lock = (struct mboxlock){.run = lock->run};
	return gone;
}

void mboxlock_sweep(const char *path, const char *run)
{
	struct error ignored;
	char *name = name_with(path, ".lock");
	struct stat st;
	int fd;

	if (lstat(name, &st) == 0) {
		bool opened = open_checked(path, false, &fd, &ignored) == 1;

		break_stale(name, run, opened && take_fcntl(fd, path, &ignored) == 1);
		if (opened)
			close(fd);
	}
	if (run != NULL) /* nobody will know whose it was, should a power cut bring it back */
		sync_name(path, &ignored);
	free(name);
}

/* SPDX-License-Identifier: MIT */
/*
 * file.c - files and directories, durably: a thin layer over the system calls.
 *
 * Each call retries EINTR, carries on after a short write, and names the file in its error.
 * What a file system lacks (O_TMPFILE, copy_file_range, renameat2) is done the older way, with
 * the same promise.  Nothing here knows of mail, keeps state, or decides what to do after a
 * failure; a file whose sync failed is the caller's to throw away.
 *
 * On failure: -1 and *err; no descriptor stays open and no half-made name stays behind, but
 * bytes may have been written and directories made.
 *
 * Called by spool, seen, the destinations, conf and secret.
 */
#include "config.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_STEP (1u << 30) /* one call of copy_file_range: it takes a size_t, maybe 32 bits */
#define COPY_BUFFER (64 * 1024)
#define LOOK_MS 20 /* longer than a look at a lock takes */
#define SYNC_THREADS 8
#define SYNC_SHARE 4 /* files for each thread, or it is not worth its start */
#define SYNC_STACK (64 * 1024)

/* -- directories -------------------------------------------------------------------------- */

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Makes the entry of path in its directory durable. */
static int sync_parent(const char *path, struct error *err)
{
	char *copy = xstrdup(path);
	const char *parent = dirname(copy);
	int fd = file_open_dir(parent, err);
	int result = -1;

	if (fd >= 0) {
		result = file_sync_dir(fd, parent, err);
		close(fd); /* opened for reading: nothing can be lost */
	}
	free(copy);
	return result;
}

/* Makes one directory.  One that somebody else made since we looked is synced too: he may not
 * have come to it yet. */
static int make_dir(const char *path, struct error *err)
{
	if (is_dir(path))
		return 0;
	if (mkdir(path, 0700) && (errno != EEXIST || !is_dir(path))) {
		errno = errno == EEXIST ? ENOTDIR : errno; /* it is there, and something else */
		return error_sys(err, error_kind_of(errno), "cannot make directory %s", path);
	}
	return sync_parent(path, err);
}

int file_mkdirs(const char *path, struct error *err)
{
	char *part = xstrdup(path);
	size_t at = 0;
	int result;

	do {
		at += strspn(part + at, "/");
		at += strcspn(part + at, "/");
		part[at] = '\0';
		result = make_dir(part, err);
		part[at] = path[at];
	} while (!result && part[at]);
	free(part);
	return result;
}

static int open_retry(const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int file_open_dir(const char *path, struct error *err)
{
	int fd = open_retry(path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return error_sys(err, error_kind_of(errno), "cannot open directory %s", path);
	return fd;
}

/* The older way to an unlinked file, for NFS, some FUSE and old overlays. */
static int temp_by_name(const char *dir, struct error *err)
{
	struct str name = {.max = 4096};
	int fd = -1;

	errno = ENAMETOOLONG;
	if (str_printf(&name, "%s/mailhaul.XXXXXX", dir) == 0)
		fd = mkostemp(name.s, O_CLOEXEC);
	if (fd < 0) {
		error_sys(err, error_kind_of(errno), "cannot make a temporary file in %s", dir);
	} else if (unlink(name.s)) {
		error_sys(err, error_kind_of(errno), "cannot unlink %s", name.s);
		close(fd);
		fd = -1;
	}
	str_free(&name);
	return fd;
}

int file_temp(const char *dir, struct error *err)
{
	int fd = open_retry(dir, O_TMPFILE | O_RDWR, 0600);

	if (fd >= 0)
		return fd;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOSYS)
		return temp_by_name(dir, err);
	return error_sys(err, error_kind_of(errno), "cannot make a temporary file in %s", dir);
}

int file_small(const char *dir, struct error *err)
{
	int fd = memfd_create("mailhaul", MFD_CLOEXEC);

	if (fd < 0)
		return file_temp(dir, err);
	(void)fchmod(fd, 0600); /* else all may do all with it, who find it below /proc */
	return fd;
}

/* -- bytes -------------------------------------------------------------------------------- */

/* After a write that wrote nothing: returns true where it should be tried again.  Standard
 * output may be a pipe that somebody else made non-blocking. */
static bool write_again(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	if (errno == EINTR)
		return true;
	if (errno != EAGAIN)
		return false;
	return poll(&room, 1, -1) > 0 || errno == EINTR;
}

/* Both file_writes; at -1 is the current offset. */
static int write_all(int fd, const char *bytes, size_t len, off_t at, const char *what,
                     struct error *err)
{
	while (len > 0) {
		ssize_t n = at < 0 ? write(fd, bytes, len) : pwrite(fd, bytes, len, at);

		if (n < 0 && write_again(fd))
			continue;
		if (n == 0)
			errno = EIO; /* no file does this; never spin on one that does */
		if (n <= 0)
			return error_sys(err, error_kind_of(errno), "cannot write %s", what);
		bytes += n;
		len -= (size_t)n;
		at += at < 0 ? 0 : n;
	}
	return 0;
}

int file_write(int fd, const char *bytes, size_t len, const char *what, struct error *err)
{
	return write_all(fd, bytes, len, -1, what, err);
}

int file_write_at(int fd, const char *bytes, size_t len, off_t at, const char *what,
                  struct error *err)
{
	if (at < 0)
		return error_set(err, ERR_BUG, "%s: a negative offset", what);
	return write_all(fd, bytes, len, at, what, err);
}

#ifdef HAVE_COPY_FILE_RANGE
/* True where copy_file_range cannot do it but read and write can: other file system, pipe, old
 * kernel, a file opened for appending (EBADF).  Whatever else is wrong, they will say so. */
static bool copy_otherwise(int sys)
{
	return sys == EXDEV || sys == EINVAL || sys == ENOSYS || sys == EOPNOTSUPP || sys == EBADF;
}

/* Copies in the kernel as far as that goes: *in_at, *out_at and *len tell what is left.  A call
 * that copies nothing proves nothing (some file systems say 0), so reading must find the end. */
static int copy_inside(int in, off_t *in_at, int out, off_t *out_at, uint64_t *len,
                       const char *what, struct error *err)
{
	while (*len > 0) {
		size_t step = *len < COPY_STEP ? (size_t)*len : COPY_STEP;
		ssize_t n = copy_file_range(in, in_at, out, *out_at < 0 ? NULL : out_at, step, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && copy_otherwise(errno)))
			break;
		if (n < 0)
			return error_sys(err, error_kind_of(errno), "cannot write %s", what);
		*len -= (uint64_t)n;
	}
	return 0;
}
#endif

/* By a buffer, which a hardened compiler clears each time: hence apart from file_copy. */
static int copy_through(int in, off_t in_at, int out, off_t out_at, uint64_t len, const char *what,
                        struct error *err)
{
	char buffer[COPY_BUFFER];

	while (len > 0) {
		size_t step = len < sizeof(buffer) ? (size_t)len : sizeof(buffer);
		ssize_t n = pread(in, buffer, step, in_at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, ERR_IO, "cannot read what goes to %s", what);
		if (n == 0)
			return error_set(err, ERR_IO, "what goes to %s ends too early", what);
		if (write_all(out, buffer, (size_t)n, out_at, what, err))
			return -1;
		in_at += n;
		out_at += out_at < 0 ? 0 : n;
		len -= (uint64_t)n;
	}
	return 0;
}

int file_copy(int in, off_t in_at, int out, off_t out_at, uint64_t len, const char *what,
              struct error *err)
{
#ifdef HAVE_COPY_FILE_RANGE
	if (copy_inside(in, &in_at, out, &out_at, &len, what, err))
		return -1;
#endif
	return len > 0 ? copy_through(in, in_at, out, out_at, len, what, err) : 0;
}

/* -- durability --------------------------------------------------------------------------- */

/* fdatasync through signals; errno is set where it says -1. */
static int sync_whole(int fd)
{
	int result;

	do
		result = fdatasync(fd);
	while (result && errno == EINTR);
	return result;
}

int file_sync(int fd, const char *what, struct error *err)
{
	if (sync_whole(fd))
		return error_sys(err, error_kind_of(errno), "cannot sync %s", what);
	return 0;
}

/* A failure is seen by the sync itself. */
void file_write_back(int fd)
{
#ifdef HAVE_SYNC_FILE_RANGE
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
	(void)fd;
#endif
}

int file_sync_dir(int fd, const char *what, struct error *err)
{
	int result;

	do
		result = fsync(fd);
	while (result && errno == EINTR);
	if (result && errno != EINVAL)
		return error_sys(err, error_kind_of(errno), "cannot sync directory %s", what);
	return 0;
}

/* What the threads of file_sync_all share. */
struct syncing {
	const int *fds;
	size_t n;
	atomic_size_t next;
	atomic_int sys; /* errno of a failure */
};

static void *sync_some(void *arg)
{
	struct syncing *all = arg;
	size_t i;

	while (all->sys == 0 && (i = all->next++) < all->n)
		if (sync_whole(all->fds[i]))
			all->sys = errno;
	return NULL;
}

/* One sync after another would wait for as many flushes of the disk; those that are under way at
 * the same time share one.  The threads touch nothing but this struct. */
static void sync_together(struct syncing *all)
{
	pthread_t threads[SYNC_THREADS];
	pthread_attr_t small;
	size_t n = 0, most = all->n / SYNC_SHARE;

	if (pthread_attr_init(&small) == 0) {
		pthread_attr_setstacksize(&small, SYNC_STACK);
		while (n < SYNC_THREADS && n < most &&
		       pthread_create(&threads[n], &small, sync_some, all) == 0)
			n++;
		pthread_attr_destroy(&small);
	}
	sync_some(all); /* ours to do, too; all of it, where no thread can be had */
	while (n > 0)
		pthread_join(threads[--n], NULL);
}

int file_sync_all(const int *fds, size_t n, const char *what, struct error *err)
{
	struct syncing all = {.fds = fds, .n = n};

	/* The disk begins with all of them before we wait for the first. */
	for (size_t i = 0; i < n; i++)
		file_write_back(fds[i]);
	sync_together(&all);
	errno = all.sys;
	return all.sys == 0 ? 0 : error_sys(err, error_kind_of(all.sys), "cannot sync %s", what);
}

/* A rename that never replaces: 0, or -1 and errno. */
static int move(int from_dir, const char *from, int to_dir, const char *to)
{
#ifdef HAVE_RENAMEAT2
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != ENOSYS && errno != EINVAL)
		return -1;
#endif
	if (linkat(from_dir, from, to_dir, to, 0))
		return -1;
	/* It is published: to fail now would have it delivered twice.  A stray name is harmless. */
	if (unlinkat(from_dir, from, 0) && errno != ENOENT)
		note(NOTE_WARN, "cannot unlink %s: %s", from, strerror(errno));
	return 0;
}

int file_publish(int from_dir, const char *from, int to_dir, const char *to, struct error *err)
{
	int result;

	do
		result = move(from_dir, from, to_dir, to);
	while (result && errno == EINTR);
	if (result)
		return error_sys(err, error_kind_of(errno), "cannot move %s to %s", from, to);
	return 0;
}

/* Tries for a lock.  Who only looks whether it is held has it for a moment himself: so twice. */
static int try_lock(int fd, int how)
{
	int result, again = 1;

	while ((result = flock(fd, how | LOCK_NB)) != 0) {
		if (errno == EWOULDBLOCK && how == LOCK_EX && again-- > 0)
			poll(NULL, 0, LOOK_MS);
		else if (errno != EINTR)
			break;
	}
	return result;
}

int file_lock(const char *path, struct error *err)
{
	int fd = open_retry(path, O_RDWR | O_CREAT, 0600);
	int result;

	if (fd < 0)
		return error_sys(err, error_kind_of(errno), "cannot open %s", path);
	result = try_lock(fd, LOCK_EX);
	if (result == 0)
		return fd;
	if (errno == EWOULDBLOCK) {
		error_set(err, ERR_TEMP, "another process holds the lock %s", path);
		err->sys = EWOULDBLOCK;
	} else {
		error_sys(err, error_kind_of(errno), "cannot lock %s", path);
	}
	close(fd);
	return -1;
}

bool file_is_locked(const char *path)
{
	int fd = open_retry(path, O_RDONLY, 0);
	bool locked = fd >= 0 && try_lock(fd, LOCK_SH) == -1 && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return locked;
}

int file_is_private(int fd, const char *path, struct error *err)
{
	struct stat st;
	unsigned me = (unsigned)geteuid();

	if (fstat(fd, &st))
		return error_sys(err, ERR_CONFIG, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return error_set(err, ERR_CONFIG, "%s is not a regular file", path);
	if (st.st_uid != me && st.st_uid != 0)
		return error_set(err, ERR_CONFIG, "it belongs to somebody else (uid %u): chown %u %s",
		                 (unsigned)st.st_uid, me, path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(err, ERR_CONFIG, "others can %s it (mode %03o): chmod 600 %s",
		                 st.st_mode & (S_IRGRP | S_IROTH) ? "read" : "change",
		                 (unsigned)st.st_mode & 0777, path);
	return 0;
}

/* -- places ------------------------------------------------------------------------------- */

char *file_xdg(const char *variable, const char *fallback)
{
	const char *base = getenv(variable), *home = file_home();
	struct str path = {.max = 64 * 1024};
	int full;

	if (base && base[0] == '/')
		full = str_printf(&path, "%s/mailhaul", base);
	else if (home)
		full = str_printf(&path, "%s/%s/mailhaul", home, fallback);
	else
		return NULL;
	if (full)
		str_free(&path);
	return path.s;
}

const char *file_home(void)
{
	static char *home; /* kept: the password database may reuse its own place */
	const char *by_env = getenv("HOME");
	const struct passwd *by_db;

	if (by_env && by_env[0])
		return by_env;
	if (home)
		return home;
	by_db = getpwuid(getuid());
	if (by_db && by_db->pw_dir && by_db->pw_dir[0])
		home = xstrdup(by_db->pw_dir);
	return home;
}

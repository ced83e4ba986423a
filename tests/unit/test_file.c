/* SPDX-License-Identifier: MIT */
/*
 * test_file.c - directories, copies, renames, locks and places, with the system calls that a file
 * system may lack made to fail: this file's own open, renameat2, copy_file_range, fsync and
 * write stand in front of the library's.
 */
#include "config.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BIG 300000

static char root[PATH_MAX];
static char big[BIG];

/* -- the calls that can be made to fail ---------------------------------------------------- */

static int tmpfile_errno, rename_errno, copy_errno, fsync_errno; /* 0: works */
static int fsync_fd;       /* the only one on which it fails; 0: on all */
static ssize_t copy_first; /* this many bytes before copy_errno */
static size_t write_most;  /* 0: no limit */
static int interruptions;  /* this many calls end with EINTR first */
static struct str synced = {.max = 100000}; /* the names of what was synced, a line each */

static bool interrupted(void)
{
	if (interruptions <= 0)
		return false;
	interruptions--;
	errno = EINTR;
	return true;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		mode = va_arg(args, mode_t);
	va_end(args);
	if (interrupted())
		return -1;
	if ((flags & O_TMPFILE) == O_TMPFILE && tmpfile_errno) {
		errno = tmpfile_errno;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (interrupted())
		return -1;
	if (rename_errno) {
		errno = rename_errno;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
                        unsigned flags)
{
	if (interrupted())
		return -1;
	if (copy_errno && copy_first == 0) {
		errno = copy_errno > 0 ? copy_errno : 0;
		return copy_errno > 0 ? -1 : 0;
	}
	if (copy_errno) {
		len = (size_t)copy_first;
		copy_first = 0;
	}
	return syscall(SYS_copy_file_range, in, in_at, out, out_at, len, flags);
}

int fsync(int fd)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* threads sync, too */
	char link[64], name[1024];
	ssize_t n;
	int rc = -1;

	pthread_mutex_lock(&lock);
	if (!interrupted()) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, name, sizeof(name));
		errno = fsync_fd == 0 || fsync_fd == fd ? fsync_errno : 0;
		rc = errno ? -1 : str_printf(&synced, "%.*s\n", (int)n, name);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

int fdatasync(int fd)
{
	return fsync(fd);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	if (interrupted())
		return -1;
	return syscall(SYS_write, fd, bytes, write_most && len > write_most ? write_most : len);
}

/* -- helpers ------------------------------------------------------------------------------- */

/* A name under root; four live at a time. */
static const char *under(const char *name)
{
	static char names[4][PATH_MAX + 64];
	static int next;

	next = (next + 1) % 4;
	snprintf(names[next], sizeof(names[next]), "%s/%s", root, name);
	return names[next];
}

static int make(const char *name, const char *bytes)
{
	int fd = open(under(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, strlen(bytes)) != (ssize_t)strlen(bytes))
		perror(name);
	return fd;
}

/* The bytes of a file from its start. */
static const char *content(int fd)
{
	static char bytes[256];
	ssize_t n = pread(fd, bytes, sizeof(bytes) - 1, 0);

	bytes[n > 0 ? n : 0] = '\0';
	return bytes;
}

static bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static int mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : (int)(st.st_mode & 07777);
}

/* -- the tests ----------------------------------------------------------------------------- */

static void test_mkdirs(void)
{
	struct error err = {0};
	char want[3 * PATH_MAX + 64];
	int fd;

	str_free(&synced);
	EQUAL(file_mkdirs(under("a/b//c/"), &err), 0, "missing parents are made");
	EQUAL(mode_of(under("a")), 0700, "private ones");
	EQUAL(mode_of(under("a/b/c")), 0700, "to the end");
	snprintf(want, sizeof(want), "%s\n%s/a\n%s/a/b\n", root, root, root);
	SAME(synced.s, want, "each parent with a new entry is synced, in order");

	str_free(&synced);
	EQUAL(file_mkdirs(under("a/b/c"), &err), 0, "an existing one is fine");
	EQUAL(file_mkdirs("/", &err), 0, "so is /");
	SAME(synced.s, NULL, "and nothing is synced");

	close(make("plain", ""));
	EQUAL(file_mkdirs(under("plain"), &err), -1, "a file in its place");
	EQUAL(err.kind, ERR_CANTCREATE, "is ERR_CANTCREATE");
	snprintf(want, sizeof(want), "cannot make directory %s/plain: Not a directory", root);
	SAME(err.text, want, "with its name");
	EQUAL(file_mkdirs(under("plain/x"), &err), -1, "a file as parent");
	snprintf(want, sizeof(want), "cannot make directory %s/plain: Not a directory", root);
	SAME(err.text, want, "is named, not what was to be in it");
	OK(symlink("nowhere", under("dangling")) == 0, "symlink");
	EQUAL(file_mkdirs(under("dangling"), &err), -1, "a dangling link");
	EQUAL(file_mkdirs("", &err), -1, "no name");
	EQUAL(err.sys, ENOENT, "is ENOENT");
	fsync_errno = EIO;
	EQUAL(file_mkdirs(under("d"), &err), -1, "a parent that cannot be synced");
	EQUAL(err.kind, ERR_IO, "is ERR_IO");
	fsync_errno = EINVAL;
	EQUAL(file_mkdirs(under("e"), &err), 0, "but EINVAL says only that it cannot be done");
	fsync_errno = 0;

	if (chdir(root) == 0)
		EQUAL(file_mkdirs("relative/x", &err), 0, "a relative name");
	EQUAL(mode_of(under("relative/x")), 0700, "is made where we are");

	fd = file_open_dir(under("a"), &err);
	OK(fd >= 0 && is_cloexec(fd), "file_open_dir");
	close(fd);
	EQUAL(file_open_dir(under("plain"), &err), -1, "file_open_dir of a file");
	EQUAL(file_open_dir(under("missing"), &err), -1, "file_open_dir of nothing");
	snprintf(want, sizeof(want), "cannot open directory %s/missing: No such file or directory",
	         root);
	SAME(err.text, want, "with its name");
}

static void test_temp(void)
{
	static const int lacking[] = {0, EOPNOTSUPP, EISDIR, EINVAL, ENOSYS};
	struct error err = {0};
	struct stat st;

	for (size_t i = 0; i < LEN(lacking); i++) {
		int fd;

		tmpfile_errno = lacking[i];
		fd = file_temp(under("a"), &err);
		OK(fd >= 0, lacking[i] ? strerror(lacking[i]) : "file_temp by O_TMPFILE");
		OK(is_cloexec(fd), "is close-on-exec");
		OK(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 0777) == 0600,
		   "is private and has no name");
		EQUAL(file_write(fd, "abc", 3, "it", &err), 0, "can be written");
		SAME(content(fd), "abc", "and read");
		close(fd);
		EQUAL(file_temp(under("missing"), &err), -1, "needs its directory");
		EQUAL(err.kind, ERR_CANTCREATE, "which is ERR_CANTCREATE");
	}
	tmpfile_errno = ENOSPC;
	EQUAL(file_temp(under("a"), &err), -1, "other errors are errors");
	EQUAL(err.sys, ENOSPC, "as they are");
	tmpfile_errno = 0;
	OK(rmdir(under("a/b/c")) == 0 && rmdir(under("a/b")) == 0 && rmdir(under("a")) == 0,
	   "nothing stays behind");
}

static void test_write(void)
{
	struct error err = {0};
	int fd = make("w", ""), full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	write_most = 2;
	interruptions = 2;
	EQUAL(file_write(fd, "0123456", 7, "w", &err), 0, "short writes and EINTR");
	SAME(content(fd), "0123456", "make a whole");
	write_most = 0;
	EQUAL(file_write_at(fd, "ab", 2, 3, "w", &err), 0, "file_write_at");
	SAME(content(fd), "012ab56", "writes there");
	EQUAL(file_write(fd, "7", 1, "w", &err), 0, "file_write goes on at the offset");
	SAME(content(fd), "012ab567", "which file_write_at left alone");
	EQUAL(file_write_at(fd, "x", 1, -1, "w", &err), -1, "no negative offset");
	EQUAL(err.kind, ERR_BUG, "which would be ours");
	EQUAL(file_write(full, "x", 1, "the disk", &err), -1, "a full disk");
	SAME(err.text, "cannot write the disk: No space left on device", "says so");
	EQUAL(err.kind, ERR_IO, "and is ERR_IO");
	EQUAL(file_write(full, "", 0, "the disk", &err), 0, "nothing fits even there");
	close(full);
	close(fd);
}

/* Sends big through a non-blocking pipe, by file_copy or file_write, to a child that reads slowly
 * and ends with 0 where all came. */
static int through_pipe(bool copy)
{
	struct error err = {0};
	int ends[2], status = -1, in, failed;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		static char got[BIG + 1];
		size_t len = 0;
		ssize_t n = 1;

		close(ends[1]);
		fcntl(ends[0], F_SETFL, 0);
		usleep(50000);
		for (; n > 0 && len < sizeof(got); len += (size_t)n)
			n = read(ends[0], got + len, sizeof(got) - len);
		_exit(n != 0 || len != BIG || memcmp(got, big, BIG) != 0);
	}
	close(ends[0]);
	in = make("in", "");
	failed = file_write(in, big, BIG, "in", &err);
	if (!failed && copy)
		failed = file_copy(in, 0, ends[1], -1, BIG, "a pipe", &err);
	else if (!failed)
		failed = file_write(ends[1], big, BIG, "a pipe", &err);
	close(in);
	close(ends[1]);
	waitpid(pid, &status, 0);
	return failed ? failed : status;
}

static void test_copy(void)
{
	static const int lacking[] = {0, EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EBADF, -1};
	static char back[BIG + 4];
	struct error err = {0};
	int in = make("from", "0123456789"), out, append;

	for (size_t i = 0; i < LEN(lacking); i++) {
		for (ssize_t first = 0; first <= 3; first += 3) {
			const char *how = lacking[i] > 0 ? strerror(lacking[i])
			                                 : (lacking[i] ? "copies 0 bytes" : "in the kernel");

			out = make("to", "abcdefghij");
			copy_errno = lacking[i];
			copy_first = first;
			interruptions = 1;
			EQUAL(file_copy(in, 2, out, 1, 6, "to", &err), 0, how);
			SAME(content(out), "a234567hij", "the bytes at their places");
			copy_first = first;
			EQUAL(file_copy(in, 0, out, -1, 4, "to", &err), 0, "at the offset");
			SAME(content(out), "a234567hij0123", "which is the end");
			copy_first = first;
			EQUAL(file_copy(in, 5, out, 0, 6, "the box", &err), -1, "too little to copy");
			SAME(err.text, "what goes to the box ends too early", "says so");
			EQUAL(err.kind, ERR_IO, "and is ERR_IO");
			EQUAL(file_copy(in, 5, out, 0, 0, "to", &err), 0, "nothing to copy");
			close(out);
		}
	}
	out = make("to", "");
#ifdef HAVE_COPY_FILE_RANGE
	copy_errno = ENOSPC;
	EQUAL(file_copy(in, 0, out, 0, 3, "to", &err), -1, "another error is one");
	EQUAL(err.sys, ENOSPC, "as it is");
#endif
	copy_errno = 0;
	append = open(under("to"), O_WRONLY | O_APPEND | O_CLOEXEC);
	EQUAL(file_copy(in, 0, append, -1, 3, "to", &err), 0, "to a file opened for appending");
	SAME(content(out), "012", "works");
	close(append);
	append = open(under("to"), O_RDONLY | O_CLOEXEC);
	EQUAL(file_copy(in, 0, append, -1, 3, "to", &err), -1, "to one opened for reading");
	EQUAL(err.sys, EBADF, "does not");
	close(append);
	close(in);

	in = make("in", "");
	EQUAL(file_write(in, big, BIG, "in", &err), 0, "many bytes");
	copy_errno = EXDEV;
	copy_first = 1000;
	EQUAL(file_copy(in, 0, out, 3, BIG, "to", &err), 0, "more than one buffer");
	copy_errno = 0;
	OK(pread(out, back, sizeof(back), 3) == BIG && memcmp(back, big, BIG) == 0, "comes whole");
	close(in);
	close(out);
	EQUAL(through_pipe(true), 0, "file_copy into a full pipe that does not block");
	EQUAL(through_pipe(false), 0, "file_write into one");
}

static void test_sync(void)
{
	struct error err = {0};
	int fd = make("s", "");

	interruptions = 1;
	EQUAL(file_sync(fd, "s", &err), 0, "file_sync");
	EQUAL(file_sync_dir(fd, "s", &err), 0, "file_sync_dir");
	fsync_errno = EINVAL;
	EQUAL(file_sync(fd, "s", &err), -1, "file_sync minds EINVAL");
	EQUAL(file_sync_dir(fd, "s", &err), 0, "file_sync_dir does not");
	fsync_errno = EIO;
	EQUAL(file_sync(fd, "s", &err), -1, "file_sync minds EIO");
	SAME(err.text, "cannot sync s: Input/output error", "and says so");
	EQUAL(file_sync_dir(fd, "dir", &err), -1, "file_sync_dir too");
	SAME(err.text, "cannot sync directory dir: Input/output error", "and says so");
	fsync_errno = 0;
	close(fd);
}

/* Each of n files once, by threads or without; and one that fails. */
static void test_sync_all(int n)
{
	struct error err = {0};
	int fds[64];
	char name[16];
	size_t lines = 0;

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "all%02d", i);
		fds[i] = make(name, "x");
	}
	str_cut(&synced, 0);
	interruptions = 3;
	EQUAL(file_sync_all(fds, (size_t)n, "them", &err), 0, "file_sync_all");
	interruptions = 0;
	for (size_t i = 0; i < synced.len; i++)
		lines += synced.s[i] == '\n';
	EQUAL(lines, n, "as many as there are");
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "all%02d\n", i);
		lines -= strstr(synced.s, name) != NULL;
	}
	EQUAL(lines, 0, "each");
	fsync_errno = EIO;
	fsync_fd = n > 0 ? fds[n - 1] : 0;
	EQUAL(file_sync_all(fds, (size_t)n, "them", &err), n > 0 ? -1 : 0, "one fails");
	SAME(err.text, n > 0 ? "cannot sync them: Input/output error" : "", "and says so");
	fsync_errno = fsync_fd = 0;
	for (int i = 0; i < n; i++) {
		file_write_back(fds[i]);
		close(fds[i]);
	}
}

static void test_publish(void)
{
	static const int lacking[] = {0, ENOSYS, EINVAL};
	struct error err = {0};
	int from, to, fd;

	file_mkdirs(under("tmp"), &err);
	file_mkdirs(under("new"), &err);
	from = file_open_dir(under("tmp"), &err);
	to = file_open_dir(under("new"), &err);
	for (size_t i = 0; i < LEN(lacking); i++) {
		rename_errno = lacking[i];
		close(make("tmp/x", "one"));
		interruptions = 1;
		EQUAL(file_publish(from, "x", to, "y", &err), 0,
		      lacking[i] ? strerror(lacking[i]) : "file_publish");
		interruptions = 0;
		EQUAL(mode_of(under("tmp/x")), -1, "the old name is gone");
		close(make("tmp/x", "two"));
		EQUAL(file_publish(from, "x", to, "y", &err), -1, "a name that is taken");
		EQUAL(err.sys, EEXIST, "is EEXIST");
		SAME(err.text, "cannot move x to y: File exists", "with both names");
		fd = open(under("new/y"), O_RDONLY | O_CLOEXEC);
		SAME(content(fd), "one", "what was there stays");
		close(fd);
		OK(mode_of(under("tmp/x")) >= 0, "and so does the other");
		EQUAL(file_publish(from, "none", to, "z", &err), -1, "what is not there");
		EQUAL(err.sys, ENOENT, "is ENOENT");
		OK(unlink(under("tmp/x")) == 0 && unlink(under("new/y")) == 0, "unlink");
	}
#ifdef HAVE_RENAMEAT2
	rename_errno = EACCES;
	close(make("tmp/x", ""));
	EQUAL(file_publish(from, "x", to, "y", &err), -1, "another error");
	EQUAL(err.sys, EACCES, "is taken as it is");
#endif
	rename_errno = 0;
	close(from);
	close(to);
}

static void test_lock(void)
{
	struct error err = {0};
	char want[PATH_MAX + 64];
	struct stat st;
	int fd, other;

	interruptions = 1;
	fd = file_lock(under("lock"), &err);
	OK(fd >= 0 && is_cloexec(fd), "file_lock");
	EQUAL(mode_of(under("lock")), 0600, "makes a private file");
	EQUAL(file_lock(under("lock"), &err), -1, "a second one");
	EQUAL(err.kind, ERR_TEMP, "is told to come later");
	EQUAL(err.sys, EWOULDBLOCK, "with the reason");
	snprintf(want, sizeof(want), "another process holds the lock %s/lock", root);
	SAME(err.text, want, "in words");
	OK(file_is_locked(under("lock")), "who only looks sees it held");
	close(fd);
	OK(!file_is_locked(under("lock")) && !file_is_locked(under("unlocked")), "and free");
	OK(stat(under("unlocked"), &st) == -1, "looking makes no file");
	other = file_lock(under("lock"), &err);
	OK(other >= 0, "once it is free it can be had again");
	close(other);
	EQUAL(file_lock(under("missing/lock"), &err), -1, "where it cannot be made");
	EQUAL(err.kind, ERR_CANTCREATE, "is another error");
}

static void test_private(void)
{
	static const struct {
		mode_t mode;
		bool good;
	} modes[] = {{0600, true},  {0400, true},  {0700, true},  {0640, false}, {0604, false},
	             {0610, false}, {0620, false}, {0602, false}, {0777, false}};
	struct error err = {0};
	int fd = make("secret", ""), ends[2];
	char want[PATH_MAX + 64];

	for (size_t i = 0; i < LEN(modes); i++) {
		char what[32];

		fchmod(fd, modes[i].mode);
		snprintf(what, sizeof(what), "mode %03o", (unsigned)modes[i].mode);
		EQUAL(file_is_private(fd, "secret", &err), modes[i].good ? 0 : -1, what);
	}
	EQUAL(err.kind, ERR_CONFIG, "open to others: ERR_CONFIG");
	SAME(err.text, "others can read it (mode 777): chmod 600 secret", "says what mends it");
	fchmod(fd, 0602);
	EQUAL(file_is_private(fd, "secret", &err), -1, "mode 602");
	SAME(err.text, "others can change it (mode 602): chmod 600 secret", "says what is wrong");
	fchmod(fd, 0600);
	if (geteuid() == 0) {
		OK(fchown(fd, 12345, (gid_t)-1) == 0, "chown");
		EQUAL(file_is_private(fd, "secret", &err), -1, "somebody else's");
		SAME(err.text, "it belongs to somebody else (uid 12345): chown 0 secret",
		     "says what mends it");
	}
	close(fd);
	fd = file_open_dir(root, &err);
	EQUAL(file_is_private(fd, root, &err), -1, "a directory");
	snprintf(want, sizeof(want), "%s is not a regular file", root);
	SAME(err.text, want, "says what is wrong");
	close(fd);
	if (OK(pipe(ends) == 0, "pipe")) {
		EQUAL(file_is_private(ends[0], "a pipe", &err), 0, "a pipe is as good as a file");
		close(ends[0]);
		close(ends[1]);
	}
	EQUAL(file_is_private(-1, "nothing", &err), -1, "no file");
}

static void test_places(void)
{
	static const struct {
		const char *xdg, *home, *want;
	} cases[] = {
		{"/x", "/h", "/x/mailhaul"},          {NULL, "/h", "/h/.config/mailhaul"},
		{"", "/h", "/h/.config/mailhaul"},    {"rel", "/h", "/h/.config/mailhaul"},
		{"/x", NULL, "/x/mailhaul"},
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		char *got;

		unsetenv("XDG_CONFIG_HOME");
		unsetenv("HOME");
		if (cases[i].xdg)
			setenv("XDG_CONFIG_HOME", cases[i].xdg, 1);
		if (cases[i].home)
			setenv("HOME", cases[i].home, 1);
		got = file_xdg("XDG_CONFIG_HOME", ".config");
		SAME(got, cases[i].want, "file_xdg");
		free(got);
	}
	setenv("HOME", "/h", 1);
	SAME(file_home(), "/h", "file_home by HOME");
	setenv("HOME", "", 1);
	OK(!file_home() || file_home()[0] == '/', "file_home by the password database");
	OK(file_home() == file_home(), "and it stays");
}

int main(void)
{
	char name[PATH_MAX];
	pid_t pid;

	snprintf(name, sizeof(name), "%s/test_file.XXXXXX",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(name) || !realpath(name, root))
		return 1;
	umask(022);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 31 + i / 251);
	test_mkdirs();
	test_temp();
	test_write();
	test_copy();
	test_sync();
	test_sync_all(0);
	test_sync_all(1);
	test_sync_all(7);
	test_sync_all(50);
	test_publish();
	test_lock();
	test_private();
	test_places();
	str_free(&synced);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		execlp("rm", "rm", "-rf", "--", root, (char *)NULL);
	waitpid(pid, NULL, 0);
	return tap_end();
}

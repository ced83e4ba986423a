/* SPDX-License-Identifier: MIT */
/*
 * platter.c - a disk that keeps what was synced and, of the rest, what chance picks.
 *
 * platter begin STORE ROOT              all that is below ROOT is on the platter
 * platter step STORE ROOT SEED [PATH]   a step: chance writes back a little of what differs,
 *                                       and then PATH, which was synced, whole
 * platter cut STORE OUT                 the power is cut: what is found then goes to OUT, a new
 *                                       directory
 * platter nudge ROOT SEED               for real file systems: asks the kernel to write back
 *                                       parts of files, some directories, or all metadata
 *
 * POSIX promises no more than this: fsync of a file keeps its bytes and its size, fsync of a
 * directory keeps the names in it.  Everything else may reach the disk in any order: each sector,
 * each size, each name, on its own.  Real file systems are kinder.  SEED 0 never writes
 * anything back.  The same seeds give the same disk.
 *
 * STORE has an entry for each inode, named by its key: for a file the size that is on the platter,
 * 8 bytes, then the sectors (those beyond the size, too); for a directory a directory of symbolic
 * links, NAME -> key.  STORE/root -> the key of ROOT.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define HEAD sizeof(uint64_t) /* the size in front of a stored file */

static const char *store;
static uint64_t chance_state;
static unsigned chance_percent; /* 0: never, 100: always */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "platter: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift64*: the same everywhere. */
static uint64_t chance_number(void)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (chance_state * UINT64_C(2685821657736338717)) >> 33;
}

static bool chance(void)
{
	return chance_percent == 100 || (chance_percent > 0 && chance_number() % 100 < chance_percent);
}

static void seed(const char *digits)
{
	static const unsigned percents[] = {3, 12, 30, 60};
	unsigned long n = 0;

	while (*digits >= '0' && *digits <= '9')
		n = 10 * n + (unsigned long)(*digits++ - '0');
	chance_state = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < 8; i++)
		chance_number();
	chance_percent = n == 0 ? 0 : percents[chance_number() % 4];
}

static char *join(char path[PATH_MAX], const char *dir, const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		die(dir);
	}
	return path;
}

/* Which inode it is, a reused number excluded: "f" or "d", the number, its birth.  Returns false
 * where path is gone, or neither file nor directory. */
static bool key_of(const char *path, char key[64])
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) == -1 ||
	    (!S_ISREG(st.stx_mode) && !S_ISDIR(st.stx_mode)))
		return false;
	snprintf(key, 64, "%c%llu-%llx.%x", S_ISDIR(st.stx_mode) ? 'd' : 'f',
	         (unsigned long long)st.stx_ino, (unsigned long long)st.stx_btime.tv_sec,
	         (unsigned)st.stx_btime.tv_nsec);
	return true;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd == -1)
		die(path);
	return fd;
}

/* Whole, or up to the end of the file; what is behind that is zeros. */
static void read_sector(int fd, char bytes[SECTOR], off_t at)
{
	ssize_t n = pread(fd, bytes, SECTOR, at);

	if (n == -1)
		die("read");
	memset(bytes + n, 0, SECTOR - (size_t)n);
}

static void write_at(int fd, const void *bytes, size_t len, off_t at)
{
	if (pwrite(fd, bytes, len, at) != (ssize_t)len)
		die("write");
}

/* -- writing back ------------------------------------------------------------------------- */

static void write_back_file(const char *path, const char *kept)
{
	int from = open_or_die(path, O_RDONLY), to = open_or_die(kept, O_RDWR | O_CREAT);
	char theirs[SECTOR], ours[SECTOR];
	uint64_t size = 0;
	struct stat st;

	if (fstat(from, &st) == -1 || pread(to, &size, HEAD, 0) == -1)
		die(path);
	for (off_t at = 0; at < st.st_size; at += SECTOR) {
		read_sector(from, theirs, at);
		read_sector(to, ours, (off_t)HEAD + at);
		if (memcmp(ours, theirs, SECTOR) != 0 && chance())
			write_at(to, theirs, SECTOR, (off_t)HEAD + at);
	}
	if (size != (uint64_t)st.st_size && chance()) {
		if (size > (uint64_t)st.st_size && ftruncate(to, (off_t)HEAD + st.st_size) == -1)
			die(kept);
		size = (uint64_t)st.st_size;
	}
	write_at(to, &size, HEAD, 0);
	close(from);
	close(to);
}

/* Both lists of names: those that are there now, and those on the platter. */
static void write_back_names(const char *path, const char *kept)
{
	char name[PATH_MAX], link[PATH_MAX], key[64], old[64];
	struct dirent *e;
	DIR *dir;

	if (mkdir(kept, 0700) == -1 && errno != EEXIST)
		die(kept);
	if ((dir = opendir(path)) == NULL)
		die(path);
	while ((e = readdir(dir)) != NULL) {
		ssize_t n = readlink(join(link, kept, e->d_name), old, sizeof old - 1);

		old[n > 0 ? n : 0] = '\0';
		if (e->d_name[0] == '.' || !key_of(join(name, path, e->d_name), key) ||
		    strcmp(old, key) == 0 || !chance())
			continue;
		unlink(link);
		if (symlink(key, link) == -1)
			die(link);
	}
	closedir(dir);
	if ((dir = opendir(kept)) == NULL)
		die(kept);
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && !key_of(join(name, path, e->d_name), key) && chance())
			unlink(join(link, kept, e->d_name));
	closedir(dir);
}

static void write_back(const char *path)
{
	char kept[PATH_MAX], key[64];

	if (!key_of(path, key))
		return; /* removed meanwhile */
	join(kept, store, key);
	if (key[0] == 'f')
		write_back_file(path, kept);
	else
		write_back_names(path, kept);
}

static void write_back_all(const char *path, void (*act)(const char *path))
{
	char name[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	act(path);
	if ((dir = opendir(path)) == NULL)
		return; /* a file */
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			write_back_all(join(name, path, e->d_name), act);
	closedir(dir);
}

/* -- the cut ------------------------------------------------------------------------------ */

static void find_file(const char *kept, const char *out)
{
	int to = open_or_die(out, O_WRONLY | O_CREAT | O_EXCL), from = open(kept, O_RDONLY);
	uint64_t size = 0;
	char bytes[SECTOR];

	if (from >= 0 && pread(from, &size, HEAD, 0) == -1)
		die(kept);
	for (uint64_t at = 0; at < size; at += SECTOR) {
		read_sector(from, bytes, (off_t)(HEAD + at));
		write_at(to, bytes, size - at < SECTOR ? (size_t)(size - at) : SECTOR, (off_t)at);
	}
	close(to);
	if (from >= 0)
		close(from);
}

static void find_all(const char *key, const char *out)
{
	char kept[PATH_MAX], link[PATH_MAX], name[PATH_MAX], its[64];
	struct dirent *e;
	DIR *dir;

	join(kept, store, key);
	if (key[0] == 'f') {
		find_file(kept, out);
		return;
	}
	if (mkdir(out, 0700) == -1)
		die(out);
	if ((dir = opendir(kept)) == NULL)
		return; /* its name is on the platter, but none of those in it */
	while ((e = readdir(dir)) != NULL) {
		ssize_t n = readlink(join(link, kept, e->d_name), its, sizeof its - 1);

		if (n > 0) {
			its[n] = '\0';
			find_all(its, join(name, out, e->d_name));
		}
	}
	closedir(dir);
}

/* -- real file systems -------------------------------------------------------------------- */

static void nudge(const char *path)
{
	struct stat st;
	int fd = open_or_die(path, O_RDONLY);

	if (fstat(fd, &st) == -1)
		die(path);
	for (off_t at = 0; S_ISREG(st.st_mode) && at < st.st_size; at += 4096)
		if (chance())
			sync_file_range(fd, at, 4096, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	if (S_ISDIR(st.st_mode) && chance() && chance())
		fsync(fd);
	close(fd);
}

/* Commits the metadata of the file system by syncing a file that is nobody's. */
static void commit(const char *root)
{
	char path[PATH_MAX];
	int fd = open_or_die(join(path, root, ".nudge"), O_RDWR | O_CREAT);

	write_at(fd, "x", 1, 0);
	fsync(fd);
	close(fd);
	unlink(path);
}

int main(int argc, char **argv)
{
	char link[PATH_MAX], key[64];
	const char *verb = argc > 3 ? argv[1] : "";
	ssize_t n;

	store = argc > 2 ? argv[2] : "";
	if (strcmp(verb, "begin") == 0) {
		if (mkdir(store, 0700) == -1 || !key_of(argv[3], key) ||
		    symlink(key, join(link, store, "root")) == -1)
			die(store);
		chance_percent = 100;
		write_back_all(argv[3], write_back);
	} else if (strcmp(verb, "step") == 0 && argc > 4) {
		seed(argv[4]);
		if (chance_percent > 0)
			write_back_all(argv[3], write_back);
		chance_percent = 100;
		if (argc > 5)
			write_back(argv[5]);
	} else if (strcmp(verb, "cut") == 0) {
		if ((n = readlink(join(link, store, "root"), key, sizeof key - 1)) == -1)
			die(link);
		key[n] = '\0';
		find_all(key, argv[3]);
	} else if (strcmp(verb, "nudge") == 0) {
		seed(argv[3]);
		write_back_all(argv[2], nudge);
		if (chance())
			commit(argv[2]);
	} else {
		fputs("usage: see the head of platter.c\n", stderr);
		return 2;
	}
	return 0;
}

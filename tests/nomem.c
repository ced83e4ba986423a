/* SPDX-License-Identifier: MIT */
/*
 * nomem.c - a library to be preloaded: one allocation of the program fails.
 *
 *     NOMEM="N LOG" LD_PRELOAD=.../nomem.so mailhaul ...
 *
 * The N-th call of malloc, calloc, realloc, aligned_alloc or posix_memalign answers "no memory",
 * counted over all processes that the program forks (not over what they execute: mailhaul gives
 * programs an environment of their own), from its first call of umask on.  Then a line
 * "N ! nomem" is appended to LOG.
 *
 * What libiniparser asks for is not counted: it does not look whether it got it, and dies.
 *
 * For glibc, whose own functions stand behind these as __libc_malloc and so on.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

static atomic_ulong *count; /* shared by all processes; NULL: nothing is counted yet */
static unsigned long fatal; /* the N */
static char log_path[4096];

/* Says that it has happened; nothing here may allocate. */
static void tell(void)
{
	static const char line[] = "N ! nomem\n";
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd == -1 || write(fd, line, sizeof line - 1) == -1)
		_exit(125);
	close(fd);
}

/* caller: an address in the code that asks. */
static bool fails(const void *caller)
{
	int saved = errno;
	Dl_info info;

	if (!count || (dladdr(caller, &info) && strstr(info.dli_fname, "iniparser")))
		return false;
	if (atomic_fetch_add(count, 1) + 1 != fatal)
		return false;
	tell();
	errno = saved;
	return true;
}

static void *nothing(void)
{
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t size)
{
	return fails(__builtin_return_address(0)) ? nothing() : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? nothing() : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails(__builtin_return_address(0)) ? nothing() : __libc_realloc(p, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return fails(__builtin_return_address(0)) ? nothing() : __libc_memalign(align, size);
}

int posix_memalign(void **p, size_t align, size_t size)
{
	if (fails(__builtin_return_address(0)) || !(*p = __libc_memalign(align, size)))
		return ENOMEM;
	return 0;
}

static void begin(void)
{
	const char *words = getenv("NOMEM");
	void *page;

	if (!words || count)
		return;
	for (; *words >= '0' && *words <= '9'; words++)
		fatal = fatal * 10 + (unsigned long)(*words - '0');
	if (*words == ' ')
		snprintf(log_path, sizeof log_path, "%s", words + 1);
	page = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED)
		count = page;
}

mode_t umask(mode_t mask)
{
	begin();
	return (mode_t)syscall(SYS_umask, mask);
}

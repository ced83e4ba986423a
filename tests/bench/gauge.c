/* SPDX-License-Identifier: MIT */
/*
 * gauge.c - runs a command and appends what it cost to a file: one line with seconds by the clock,
 * seconds of CPU (user and system, children included), kilobytes of the largest process, and the
 * exit status.
 *
 *     gauge [-w MIB] FILE COMMAND [ARGUMENT...]
 *     gauge -n COUNT COMMAND [ARGUMENT...]
 *
 * -w touches so much memory and frees it before: a virtual machine may give free memory back, and
 * getting it anew for the page cache costs whoever comes by, up to a second for each GiB.
 *
 * The second form only runs it so many times, by posix_spawn and waitpid, which is the floor for
 * whoever runs a program for each message.  Used by bench.sh.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static unsigned long number(const char *s)
{
	unsigned long n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (unsigned long)(*s - '0');
	return n;
}

static void warm(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return; /* a small machine: then it is as it is */
	for (size_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
	munmap(memory, bytes);
}

static int repeat(const char *count, char **argv)
{
	unsigned long n = number(count);
	pid_t pid;
	int status;

	while (n-- > 0)
		if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0 ||
		    waitpid(pid, &status, 0) != pid)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double begin, end;
	int status, code;
	FILE *file;
	pid_t pid;

	if (argc > 3 && strcmp(argv[1], "-n") == 0)
		return repeat(argv[2], argv + 3);
	if (argc > 3 && strcmp(argv[1], "-w") == 0) {
		warm(number(argv[2]) << 20);
		argv += 2;
		argc -= 2;
	}
	if (argc < 3)
		return 2;
	begin = seconds();
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "gauge: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (pid == -1 || wait4(pid, &status, 0, &used) != pid)
		return 2;
	end = seconds();
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	file = fopen(argv[1], "a");
	if (file == NULL || fprintf(file, "%.4f %.4f %ld %d\n", end - begin,
	                            of(used.ru_utime) + of(used.ru_stime), used.ru_maxrss, code) < 0 ||
	    fclose(file) != 0)
		return 2;
	return code;
}

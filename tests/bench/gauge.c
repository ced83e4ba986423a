/* SPDX-License-Identifier: MIT */
/*
 * gauge.c - runs a command and appends what it cost to a file: one line with seconds by the clock,
 * seconds of CPU (user and system, children included), kilobytes of the largest process, and the
 * exit status.
 *
 *     gauge FILE COMMAND [ARGUMENT...]
 *     gauge -n COUNT COMMAND [ARGUMENT...]
 *
 * The second form only runs it so many times, by posix_spawn and waitpid, which is the floor for
 * whoever runs a program for each message.  Used by bench.sh.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
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

static int repeat(const char *count, char **argv)
{
	unsigned long n = 0;
	pid_t pid;
	int status;

	for (; *count >= '0' && *count <= '9'; count++)
		n = n * 10 + (unsigned long)(*count - '0');
	while (n-- > 0)
		if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0 ||
		    waitpid(pid, &status, 0) != pid)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double begin = seconds(), end;
	int status, code;
	FILE *file;
	pid_t pid;

	if (argc > 3 && strcmp(argv[1], "-n") == 0)
		return repeat(argv[2], argv + 3);
	if (argc < 3)
		return 2;
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

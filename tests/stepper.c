/* SPDX-License-Identifier: MIT */
/*
 * stepper.c - runs a program and, behind each of its system calls that changes what is on a disk
 * or tells a server something, a shell command while the program stands still.
 *
 * stepper -d DIRECTORY... -c COMMAND PROGRAM [ARGUMENT...]
 *
 * Steps are: writing to, syncing or shortening a file below one of the directories; making,
 * renaming or removing a name, anywhere; sending to a socket.  Calls that failed are none.
 * COMMAND is run by sh; a failure of it ends everything.  Its environment has
 *
 *   STEP   the number of this step, 1, 2, ...
 *   CALL   the call's name: write, fsync, rename ...
 *   FILE   the path of the file that was written to or synced; else empty
 *
 * Children of the program are followed.  Exit status: the program's (128 + N: died by signal N),
 * 125 where something here failed.  Needs root: mailhaul forbids others to look into it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h> /* after the C library's, or they quarrel */
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	MAX_DIRS = 8,
	MAX_TRACEES = 64
};

/* What makes a call a step. */
enum object {
	NAME,    /* any */
	CREATED, /* O_CREAT among the flags, which are argument `at` */
	FILE_AT, /* the file of the descriptor that is argument `at` */
	SOCKET   /* likewise, but a socket */
};

struct call {
	unsigned long number;
	const char *name;
	enum object object;
	unsigned at;
};

static const struct call calls[] = {
#ifdef SYS_open
	{SYS_open, "open", CREATED, 1},
#endif
	{SYS_openat, "open", CREATED, 2},
#ifdef SYS_mkdir
	{SYS_mkdir, "mkdir", NAME, 0},
	{SYS_unlink, "unlink", NAME, 0},
	{SYS_rename, "rename", NAME, 0},
	{SYS_link, "link", NAME, 0},
	{SYS_rmdir, "rmdir", NAME, 0},
#endif
	{SYS_mkdirat, "mkdir", NAME, 0},
	{SYS_unlinkat, "unlink", NAME, 0},
#ifdef SYS_renameat
	{SYS_renameat, "rename", NAME, 0},
#endif
	{SYS_renameat2, "rename", NAME, 0},
	{SYS_linkat, "link", NAME, 0},
	{SYS_write, "write", FILE_AT, 0},
	{SYS_writev, "write", FILE_AT, 0},
	{SYS_pwrite64, "write", FILE_AT, 0},
	{SYS_pwritev, "write", FILE_AT, 0},
	{SYS_sendfile, "write", FILE_AT, 0},
	{SYS_copy_file_range, "write", FILE_AT, 2},
	{SYS_fallocate, "fallocate", FILE_AT, 0},
	{SYS_ftruncate, "ftruncate", FILE_AT, 0},
	{SYS_fsync, "fsync", FILE_AT, 0},
	{SYS_fdatasync, "fsync", FILE_AT, 0},
	{SYS_write, "send", SOCKET, 0},
	{SYS_sendto, "send", SOCKET, 0},
};

/* A process that is traced; where it entered a system call: which. */
struct tracee {
	pid_t pid;
	struct ptrace_syscall_info call;
};

static struct tracee tracees[MAX_TRACEES];
static const char *dirs[MAX_DIRS], *command;
static size_t n_dirs;
static unsigned long steps;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "stepper: %s: %s\n", what, strerror(errno));
	exit(125); /* PTRACE_O_EXITKILL takes the tracees along */
}

static struct tracee *tracee_of(pid_t pid)
{
	for (size_t i = 0; i < MAX_TRACEES; i++)
		if (tracees[i].pid == pid)
			return &tracees[i];
	for (size_t i = 0; i < MAX_TRACEES; i++) {
		if (tracees[i].pid == 0) {
			tracees[i] = (struct tracee){.pid = pid};
			return &tracees[i];
		}
	}
	errno = ENOMEM;
	die("too many processes");
}

/* The path that a descriptor of a tracee stands for. */
static bool path_of(pid_t pid, unsigned long fd, char *path, size_t size)
{
	char name[64];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/%ld/fd/%d", (long)pid, (int)fd);
	n = readlink(name, path, size - 1);
	path[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool is_below(const char *path)
{
	for (size_t i = 0; i < n_dirs; i++) {
		size_t len = strlen(dirs[i]);

		if (strncmp(path, dirs[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return true;
	}
	return false;
}

/* Whether a call that succeeded is a step; for FILE_AT sets path. */
static bool is_step(pid_t pid, const struct call *call, const unsigned long long *args,
                    char *path, size_t size)
{
	path[0] = '\0';
	switch (call->object) {
	case NAME:
		return true;
	case CREATED:
		return (args[call->at] & 0100) != 0; /* O_CREAT, the same everywhere */
	case FILE_AT:
		return path_of(pid, args[call->at], path, size) && is_below(path);
	case SOCKET:
		if (!path_of(pid, args[call->at], path, size) || strncmp(path, "socket:", 7) != 0)
			return false;
		path[0] = '\0';
		return true;
	}
	return false;
}

static void run_command(const char *call, const char *path)
{
	char number[32];
	pid_t pid;
	int status;

	snprintf(number, sizeof number, "%lu", ++steps);
	pid = fork();
	if (pid == -1)
		die("fork");
	if (pid == 0) {
		setenv("STEP", number, 1);
		setenv("CALL", call, 1);
		setenv("FILE", path, 1);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			die("waitpid");
	if (status != 0) {
		errno = 0;
		die("the command failed");
	}
}

static void left_call(const struct tracee *tracee)
{
	char path[4096];

	for (size_t i = 0; i < COUNT(calls); i++) {
		if (calls[i].number == tracee->call.entry.nr &&
		    is_step(tracee->pid, &calls[i], (const void *)tracee->call.entry.args, path,
		            sizeof path)) {
			run_command(calls[i].name, path);
			return;
		}
	}
}

/* A stop at the border of the kernel. */
static void syscall_stop(struct tracee *tracee)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, sizeof info, &info) == -1)
		return; /* killed meanwhile */
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		tracee->call = info;
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT && !info.exit.is_error)
		left_call(tracee);
}

/* Takes up what waitpid said of a tracee that stopped, and sends it on. */
static void go_on(struct tracee *tracee, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80)) {
		syscall_stop(tracee);
		sig = 0;
	} else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		ptrace(PTRACE_LISTEN, tracee->pid, NULL, NULL); /* SIGSTOP and the like */
		return;
	} else if (event != 0) {
		sig = 0;
	}
	ptrace(PTRACE_SYSCALL, tracee->pid, NULL, (long)sig);
}

/* Until the last of them is gone.  Returns the status of the first. */
static int trace(pid_t first)
{
	int status, result = 125;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (pid <= 0)
			continue;
		if (WIFSTOPPED(status)) {
			go_on(tracee_of(pid), status);
			continue;
		}
		tracee_of(pid)->pid = 0;
		if (pid == first)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return result;
}

int main(int argc, char **argv)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	               PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	int option, status;
	pid_t pid;

	while ((option = getopt(argc, argv, "+d:c:")) != -1) {
		if (option == 'd' && n_dirs < MAX_DIRS)
			dirs[n_dirs++] = optarg;
		else if (option == 'c')
			command = optarg;
		else
			return 125;
	}
	if (command == NULL || optind == argc)
		return 125;
	pid = fork();
	if (pid == -1)
		die("fork");
	if (pid == 0) {
		raise(SIGSTOP); /* until we are seized */
		execvp(argv[optind], argv + optind);
		_exit(127);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SEIZE, pid, NULL, options) == -1)
		die("ptrace");
	kill(pid, SIGCONT);
	return trace(pid);
}

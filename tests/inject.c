/* SPDX-License-Identifier: MIT */
/*
 * inject.c - runs a program and lets one of its system calls go wrong, or kills it there.
 *
 * inject [-n N] [-k | -K | -r | -e ERROR | -s] [-a] [-c CALL,...] [-b CALL] [-u CALL]
 *        [-l LOG] [-t CALL,...] PROGRAM [ARGUMENT]...
 *
 * Follows every process that PROGRAM starts, counts the system calls named, over all of them, in
 * the order in which they are entered, and at the N-th:
 *
 * -k  kills (SIGKILL) the process that makes it     -e  lets it fail with ERROR, undone; but a
 * -K  kills all processes                               close is done, as the kernel would
 * -r  kills the first process, PROGRAM itself       -s  does half of it: a short read or write
 *
 * The kills come before the call; with -a, or with -s, behind it: "-s -K" tears a write.  Without
 * any of them it only counts.
 *
 * -c  the calls that count.  Default: those by which files, locks, sockets and processes change.
 *     fcntl counts where it locks, close where it closes a file with a name
 * -b  counts from the program's first call of this one on (default umask; "-": from its start).
 *     So what the dynamic linker does is left out: mailhaul calls umask first of all
 * -u  and until the first call of this one, which does not count
 * -l  here each call that counted is a line: its number, the process, the call and its arguments
 *     that say something, and " ! WORD" behind the N-th.  Strings are only seen where the kernel
 *     lets us read them (root, or a program that is dumpable).  "-": standard error
 * -t  calls that are lines, too, but do not count: "0" stands for their number
 *
 * Exit status: PROGRAM's, 128 + the signal where one has killed it; 125: something was wrong with
 * us; 77: it cannot be done here (another processor, no ptrace, no seccomp).  It ends when all
 * processes have ended.
 *
 * A seccomp filter makes the kernel stop at the calls named and no others, so a run costs little
 * more than without.  The filter stays with programs that are executed; so does the tracing.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BROKEN = 125, IMPOSSIBLE = 77 };

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__))
int main(void)
{
	fputs("inject: this needs Linux on x86-64 or aarch64\n", stderr);
	return IMPOSSIBLE;
}
#else

#include <elf.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_PROCESSES 256

/* -- the calls ---------------------------------------------------------------------------- */

enum { NONE = -1 };
#ifdef __x86_64__
#define OLD(name) SYS_##name
#else
#define OLD(name) NONE /* newer processors do without */
#endif

/* The arguments, a letter each: f descriptor, s string, n number, N the length that -s halves;
 * "." and those behind say nothing. */
static const struct call {
	const char *name;
	long nr;
	bool counts; /* if -c is not given */
	const char *arguments;
} calls[] = {
	{"open", OLD(open), true, "s"},
	{"openat", SYS_openat, true, "fs"},
	{"creat", OLD(creat), true, "s"},
	{"write", SYS_write, true, "f.N"},
	{"pwrite64", SYS_pwrite64, true, "f.Nn"},
	{"writev", SYS_writev, true, "f"},
	{"pwritev", SYS_pwritev, true, "f"},
	{"copy_file_range", SYS_copy_file_range, true, "f.f.N"},
	{"sendfile", SYS_sendfile, true, "ff.N"},
	{"fsync", SYS_fsync, true, "f"},
	{"fdatasync", SYS_fdatasync, true, "f"},
	{"sync_file_range", SYS_sync_file_range, true, "f"},
	{"ftruncate", SYS_ftruncate, true, "fn"},
	{"rename", OLD(rename), true, "ss"},
	{"renameat", SYS_renameat, true, "fsfs"},
	{"renameat2", SYS_renameat2, true, "fsfs"},
	{"link", OLD(link), true, "ss"},
	{"linkat", SYS_linkat, true, "fsfs"},
	{"unlink", OLD(unlink), true, "s"},
	{"unlinkat", SYS_unlinkat, true, "fs"},
	{"mkdir", OLD(mkdir), true, "s"},
	{"mkdirat", SYS_mkdirat, true, "fs"},
	{"fcntl", SYS_fcntl, true, "fn"},
	{"flock", SYS_flock, true, "fn"},
	{"close", SYS_close, true, "f"},
	{"sendto", SYS_sendto, true, "f.N"},
	{"sendmsg", SYS_sendmsg, true, "f"},
	{"recvfrom", SYS_recvfrom, true, "f.N"},
	{"recvmsg", SYS_recvmsg, true, "f"},
	{"clone", SYS_clone, true, ""},
	{"clone3", SYS_clone3, true, ""},
	{"fork", OLD(fork), true, ""},
	{"vfork", OLD(vfork), true, ""},
	{"execve", SYS_execve, true, "s"},
	{"exit_group", SYS_exit_group, true, "n"},
	{"read", SYS_read, false, "f.N"},
	{"pread64", SYS_pread64, false, "f.Nn"},
	{"getdents64", SYS_getdents64, false, "f"},
	{"newfstatat", SYS_newfstatat, false, "fs"},
	{"lseek", SYS_lseek, false, "fn"},
	{"memfd_create", SYS_memfd_create, false, "s"},
	{"pipe2", SYS_pipe2, false, ""},
	{"socket", SYS_socket, false, "n"},
	{"socketpair", SYS_socketpair, false, "n"},
	{"connect", SYS_connect, false, "f"},
	{"poll", OLD(poll), false, ""},
	{"ppoll", SYS_ppoll, false, ""},
	{"wait4", SYS_wait4, false, ""},
	{"waitid", SYS_waitid, false, ""},
	{"getrandom", SYS_getrandom, false, ".N"},
	{"umask", SYS_umask, false, ""},
};

#define E(name) {#name, name}
static const struct {
	const char *name;
	int number;
} errors[] = {
	E(EACCES), E(EAGAIN), E(EBADF), E(EBUSY), E(ECHILD), E(ECONNREFUSED), E(ECONNRESET), E(EDQUOT),
	E(EEXIST), E(EFBIG), E(EINTR), E(EINVAL), E(EIO), E(EMFILE), E(EMLINK), E(ENETUNREACH),
	E(ENFILE), E(ENOBUFS), E(ENOENT), E(ENOLCK), E(ENOMEM), E(ENOSPC), E(ENOSYS), E(ENOTCONN),
	E(EOPNOTSUPP), E(EPERM), E(EPIPE), E(EROFS), E(ESTALE), E(ETIMEDOUT), E(ETXTBSY), E(EXDEV),
};

/* -- what is asked for, and how far we are ------------------------------------------------ */

static struct {
	uint64_t n;
	int kill; /* the option: k, K, r, or 0 */
	int error;
	const char *word; /* for the log */
	bool half, after;
	bool counts[COUNT(calls)]; /* by -c */
	bool shown[COUNT(calls)];  /* by -t */
	long begin, until;         /* a call's number, NONE: not given */
	FILE *log;
} want = {.begin = SYS_umask, .until = NONE, .word = "counted"};

static uint64_t count;
static bool begun, ended;
static pid_t first;
static int first_status = BROKEN;
static bool all_shall_die;
static pid_t processes[MAX_PROCESSES];
static size_t n_processes;

__attribute__((format(printf, 2, 3))) static _Noreturn void die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("inject: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	exit(status);
}

/* -- registers ---------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define ANSWER(regs) ((regs).rax)

static unsigned long long *argument(struct user_regs_struct *regs, size_t i)
{
	unsigned long long *const all[] = {&regs->rdi, &regs->rsi, &regs->rdx,
	                                   &regs->r10, &regs->r8,  &regs->r9};

	return all[i];
}

static void skip_call(pid_t pid, struct user_regs_struct *regs)
{
	(void)pid;
	regs->orig_rax = (unsigned long long)-1;
}
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define ANSWER(regs) ((regs).regs[0])

static unsigned long long *argument(struct user_regs_struct *regs, size_t i)
{
	return &regs->regs[i];
}

static void skip_call(pid_t pid, struct user_regs_struct *regs)
{
	int none = NONE;
	struct iovec nr = {.iov_base = &none, .iov_len = sizeof none};

	(void)regs;
	ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &nr);
}
#endif

/* Both change nothing where the process is dead; waitpid tells of that. */
static void set_argument(pid_t pid, size_t i, uint64_t value)
{
	struct user_regs_struct regs;
	struct iovec all = {.iov_base = &regs, .iov_len = sizeof regs};

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) == -1)
		return;
	*argument(&regs, i) = value;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
}

/* skip: the call is not done.  Else it is over, and only its answer becomes another one. */
static void set_answer(pid_t pid, int error, bool skip)
{
	struct user_regs_struct regs;
	struct iovec all = {.iov_base = &regs, .iov_len = sizeof regs};

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) == -1)
		return;
	if (skip)
		skip_call(pid, &regs);
	ANSWER(regs) = (unsigned long long)-error;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
}

/* -- the log ------------------------------------------------------------------------------ */

static void show_string(pid_t pid, uint64_t at)
{
	char text[200];
	struct iovec here = {.iov_base = text, .iov_len = sizeof text - 1};
	struct iovec there = {.iov_base = (void *)(uintptr_t)at, .iov_len = sizeof text - 1};
	size_t page = 4096 - at % 4096; /* the next one may not be there */
	ssize_t n;

	if (page < there.iov_len)
		there.iov_len = here.iov_len = page;
	n = process_vm_readv(pid, &here, 1, &there, 1, 0);
	text[n > 0 ? n : 0] = '\0';
	fprintf(want.log, " \"%s\"", text);
}

/* Where a descriptor leads; "" where that cannot be seen. */
static const char *file_of(pid_t pid, uint64_t fd)
{
	static char text[4096];
	char name[64];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/%ld/fd/%d", (long)pid, (int)fd);
	n = readlink(name, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void log_call(uint64_t n, pid_t pid, const struct call *call, const uint64_t *args,
                     const char *word)
{
	if (!want.log)
		return;
	fprintf(want.log, "%llu %ld %s", (unsigned long long)n, (long)pid, call->name);
	for (size_t i = 0; call->arguments[i]; i++) {
		switch (call->arguments[i]) {
		case 'f':
			if ((int)args[i] != AT_FDCWD)
				fprintf(want.log, " %d<%s>", (int)args[i], file_of(pid, args[i]));
			break;
		case 's':
			show_string(pid, args[i]);
			break;
		case 'n':
		case 'N':
			fprintf(want.log, " %llu", (unsigned long long)args[i]);
			break;
		}
	}
	fprintf(want.log, "%s%s\n", word ? " ! " : "", word ? word : "");
	fflush(want.log);
}

/* -- at a call ---------------------------------------------------------------------------- */

static const struct call *find_call(long nr)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if (calls[i].nr == nr)
			return &calls[i];
	return NULL;
}

static bool is_lock(uint64_t command)
{
	return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
	       command == F_OFD_SETLKW;
}

/* True where this call is to be counted or shown. */
static bool is_wanted(pid_t pid, const struct call *call, const uint64_t *args)
{
	if (call->nr == want.begin)
		begun = true;
	if (begun && call->nr == want.until)
		ended = true;
	if (!begun || ended || !(want.counts[call - calls] || want.shown[call - calls]))
		return false;
	if (call->nr == SYS_fcntl)
		return is_lock(args[1]);
	/* One that cannot be seen counts, too. */
	return call->nr != SYS_close || strchr("/", *file_of(pid, args[0]));
}

static void kill_wanted(pid_t caller)
{
	if (want.kill == 'k' || want.kill == 'r')
		kill(want.kill == 'k' ? caller : first, SIGKILL);
	if (want.kill != 'K')
		return;
	all_shall_die = true; /* and those that are born in this moment */
	for (size_t i = 0; i < n_processes; i++)
		kill(processes[i], SIGKILL);
}

static void halve(pid_t pid, const struct call *call, const uint64_t *args)
{
	const char *length = strchr(call->arguments, 'N');
	size_t i = length ? (size_t)(length - call->arguments) : 0;

	if (length && args[i] > 1)
		set_argument(pid, i, args[i] / 2);
}

/* Does what is wanted at the N-th call.  Returns how the process goes on: PTRACE_SYSCALL stops it
 * behind the call, see at_return. */
static enum __ptrace_request act(pid_t pid, const struct call *call, const uint64_t *args)
{
	log_call(count, pid, call, args, want.word);
	if (want.half)
		halve(pid, call, args);
	if (want.error && call->nr != SYS_close) {
		set_answer(pid, want.error, true);
		return PTRACE_CONT;
	}
	if (want.error || want.half || want.after)
		return PTRACE_SYSCALL;
	kill_wanted(pid);
	return PTRACE_CONT;
}

static enum __ptrace_request at_call(pid_t pid)
{
	struct __ptrace_syscall_info info;
	const struct call *call;
	uint64_t args[6];
	bool counts;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		return PTRACE_CONT; /* killed meanwhile */
	call = find_call((long)info.seccomp.nr);
	for (size_t i = 0; i < COUNT(args); i++)
		args[i] = info.seccomp.args[i];
	if (!call || all_shall_die || !is_wanted(pid, call, args))
		return PTRACE_CONT;
	counts = want.counts[call - calls];
	if (counts && ++count == want.n)
		return act(pid, call, args);
	log_call(counts ? count : 0, pid, call, args, NULL);
	return PTRACE_CONT;
}

static void at_return(pid_t pid)
{
	if (want.error)
		set_answer(pid, want.error, false);
	else
		kill_wanted(pid);
}

/* -- the processes ------------------------------------------------------------------------ */

static void meet(pid_t pid)
{
	for (size_t i = 0; i < n_processes; i++)
		if (processes[i] == pid)
			return;
	if (n_processes == MAX_PROCESSES)
		die(BROKEN, "too many processes");
	processes[n_processes++] = pid;
	if (all_shall_die)
		kill(pid, SIGKILL);
}

static void forget(pid_t pid, int status)
{
	for (size_t i = 0; i < n_processes; i++)
		if (processes[i] == pid)
			processes[i] = processes[--n_processes];
	if (pid == first)
		first_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void handle(pid_t pid, int status)
{
	enum __ptrace_request how = PTRACE_CONT;
	int event = status >> 16, signal = 0;

	if (!WIFSTOPPED(status)) {
		forget(pid, status);
		return;
	}
	meet(pid);
	if (event == PTRACE_EVENT_SECCOMP)
		how = at_call(pid);
	else if (event == 0 && WSTOPSIG(status) == (SIGTRAP | 0x80))
		at_return(pid);
	else if (event == 0)
		signal = WSTOPSIG(status);
	ptrace(how, pid, 0, signal);
}

/* The filter: the calls that are to be counted stop for us, all else runs on. */
static void filter_calls(void)
{
	struct sock_filter code[4 + 2 * COUNT(calls)] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	for (size_t i = 0; i < COUNT(calls); i++) {
		long nr = calls[i].nr;

		if (nr == NONE ||
		    !(want.counts[i] || want.shown[i] || nr == want.begin || nr == want.until))
			continue;
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(IMPOSSIBLE);
}

/* Starts the program; it waits at the pipe until it is traced. */
static void start(char **argv)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	                     PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP |
	                     PTRACE_O_TRACESYSGOOD;
	int gate[2];
	char go;

	if (pipe2(gate, O_CLOEXEC) == -1 || (first = fork()) == -1)
		die(BROKEN, "%s", strerror(errno));
	if (first == 0) {
		if (read(gate[0], &go, 1) != 1)
			_exit(BROKEN);
		filter_calls();
		execvp(argv[0], argv);
		fprintf(stderr, "inject: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (ptrace(PTRACE_SEIZE, first, 0, options) == -1) {
		int why = errno;

		kill(first, SIGKILL);
		die(IMPOSSIBLE, "ptrace: %s", strerror(why));
	}
	meet(first);
	if (write(gate[1], "", 1) != 1)
		die(BROKEN, "%s", strerror(errno));
	close(gate[0]);
	close(gate[1]);
}

/* -- the command line --------------------------------------------------------------------- */

static const struct call *call_named(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if (strlen(calls[i].name) == len && memcmp(calls[i].name, name, len) == 0)
			return &calls[i];
	die(BROKEN, "unknown call %.*s", (int)len, name);
}

static void choose_calls(const char *names, bool chosen[COUNT(calls)])
{
	while (*names) {
		size_t len = strcspn(names, ",");

		chosen[call_named(names, len) - calls] = true;
		names += len + (names[len] == ',');
	}
}

static int error_named(const char *name)
{
	for (size_t i = 0; i < COUNT(errors); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].number;
	die(BROKEN, "unknown error %s", name);
}

static uint64_t number(const char *text)
{
	uint64_t n = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || n > UINT32_MAX)
			die(BROKEN, "no number: %s", text);
		n = n * 10 + (uint64_t)(*p - '0');
	}
	return n;
}

/* Returns where PROGRAM stands. */
static int read_options(int argc, char **argv)
{
	bool by_default = true;
	int c;

	while ((c = getopt(argc, argv, "+n:kKre:sac:b:u:l:t:")) != -1) {
		switch (c) {
		case 'n': want.n = number(optarg); break;
		case 'k': case 'K': case 'r':
			want.kill = c;
			want.word = "kill";
			break;
		case 'e': want.error = error_named(want.word = optarg); break;
		case 's': want.half = true; break;
		case 'a': want.after = true; break;
		case 'c':
			choose_calls(optarg, want.counts);
			by_default = false;
			break;
		case 't': choose_calls(optarg, want.shown); break;
		case 'b':
			begun = strcmp(optarg, "-") == 0;
			want.begin = begun ? NONE : call_named(optarg, strlen(optarg))->nr;
			break;
		case 'u': want.until = call_named(optarg, strlen(optarg))->nr; break;
		case 'l':
			want.log = strcmp(optarg, "-") == 0 ? stderr : fopen(optarg, "we");
			if (!want.log)
				die(BROKEN, "%s: %s", optarg, strerror(errno));
			break;
		default: exit(BROKEN);
		}
	}
	if (want.half)
		want.word = "half";
	if (optind == argc)
		die(BROKEN, "no program; the head of inject.c tells how it is used");
	for (size_t i = 0; by_default && i < COUNT(calls); i++)
		want.counts[i] = calls[i].counts;
	return optind;
}

int main(int argc, char **argv)
{
	int at = read_options(argc, argv), status;
	pid_t pid;

	start(argv + at);
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR)
		if (pid > 0)
			handle(pid, status);
	return first_status;
}
#endif

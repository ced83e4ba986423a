/* SPDX-License-Identifier: MIT */
/*
 * stage.c - where the points of a sweep are played.
 *
 * Everything is below one scratch directory:
 *
 *     script port gone texts/  pop3d's; gone has a byte for each message: "." or "D", deleted
 *     config stderr log        mailhaul's configuration and words, inject's list of calls
 *     state/                   XDG_STATE_HOME; earlier is its journal at first, if any
 *     mail/                    box/ is the Maildir, mbox the mbox, out/ what the MDA has stored
 *
 * The server goes on from point to point; its messages are put back through gone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char work[200], self[4096], inject[4200], nomem[4200];
static const char *mailhaul, *pop3d;

static const struct scene *scene;
static pid_t server;
static unsigned port, messages;
static unsigned foreign; /* mails of others in the mbox */

/* -- small things ------------------------------------------------------------------------- */

static char *in(const char *name)
{
	static char paths[32][300];
	static unsigned next;
	char *path = paths[next++ % COUNT(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", work, name);
	return path;
}

/* -- running ------------------------------------------------------------------------------ */

/* The signals that are only taken while we wait: a child has died; somebody wants us to stop. */
static sigset_t awaited(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGTERM);
	return set;
}

/* Starts a program in a process group of its own, its words in the file stderr. */
static pid_t launch(char *const argv[], char *const env[])
{
	pid_t pid = fork();
	sigset_t set = awaited();
	int null, words;

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (scene != NULL && scene->files > 0)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){scene->files, scene->files});
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	words = open(in("stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (dup2(null, 0) != -1 && dup2(null, 1) != -1 && dup2(words, 2) != -1)
		execve(argv[0], argv, env);
	_exit(127);
}

/* Waits for its end.  What inject has started dies with it. */
static int await(pid_t pid)
{
	const struct timespec limit = {.tv_sec = STAGE_LIMIT};
	sigset_t set = awaited();
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		int signal = sigtimedwait(&set, NULL, &limit);

		if (signal == SIGCHLD || (signal == -1 && errno == EINTR))
			continue;
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (signal != -1)
			exit(1);
		return STAGE_LATE;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The environment as cron would have it.  Below ptrace there can be no search for leaks. */
static char **environment(const char *allocation)
{
	static char words[7][4300];
	static char *env[COUNT(words) + 1];
	const char *asan = getenv("ASAN_OPTIONS"), *ubsan = getenv("UBSAN_OPTIONS");

	snprintf(words[0], sizeof words[0], "HOME=%s", work);
	snprintf(words[1], sizeof words[1], "XDG_STATE_HOME=%s/state", work);
	snprintf(words[2], sizeof words[2], "LC_ALL=C");
	snprintf(words[3], sizeof words[3], "ASAN_OPTIONS=%s:detect_leaks=0", asan ? asan : "");
	snprintf(words[4], sizeof words[4], "UBSAN_OPTIONS=%s", ubsan ? ubsan : "");
	snprintf(words[5], sizeof words[5], "NOMEM=%s %s/log", allocation ? allocation : "", work);
	snprintf(words[6], sizeof words[6], "LD_PRELOAD=%s", nomem);
	for (size_t i = 0; i < COUNT(words); i++)
		env[i] = words[i];
	env[allocation ? COUNT(words) : COUNT(words) - 2] = NULL;
	return env;
}

int stage_run(const char *step)
{
	bool memory = step && strncmp(step, "-m ", 3) == 0;
	char *argv[32], *options = strdup(step ? step : ""), *rest = options, *word;
	size_t n = 0;
	int status;

	unlink(in("log"));
	if (step)
		argv[n++] = inject; /* in any case, for it waits until all processes have ended */
	if (step && !memory) {
		argv[n++] = (char *)"-l";
		argv[n++] = in("log");
		while ((word = strsep(&rest, " ")) && n < 24)
			argv[n++] = word;
	}
	argv[n++] = (char *)mailhaul;
	argv[n++] = (char *)"-f";
	argv[n++] = in("config");
	if (step) { /* whoever fails to send waits for an answer */
		argv[n++] = (char *)"-o";
		argv[n++] = (char *)"timeout=1";
	}
	argv[n] = NULL;
	status = await(launch(argv, environment(memory ? step + 3 : NULL)));
	free(options);
	return status;
}

char *stage_words(void)
{
	return text_of(in("stderr"));
}

char *stage_log(void)
{
	return text_of(in("log"));
}

/* -- the server --------------------------------------------------------------------------- */

static void start_server(const char *mailbox)
{
	const char *const common = "capa PIPELINING\ncapa UIDL\ncapa TOP\ncapa USER\n";
	char *script, *argv[] = {(char *)pop3d, (char *)"-p", in("port"), in("script"), NULL};
	char *extract[] = {(char *)pop3d, (char *)"-x", in("texts"), in("script"), NULL};
	int n = asprintf(&script, "%spersist %s\n%s", common, in("gone"), mailbox);

	if (n == -1)
		die("no memory");
	write_file(in("script"), script, (size_t)n);
	free(script);
	unlink(in("gone"));
	unlink(in("port"));
	remove_tree(in("texts"));
	make_dir(in("texts"));
	if (await(launch(extract, environ)) != 0)
		die("pop3d -x: %s", text_of(in("stderr")));
	messages = witness_learn(in("texts"));
	server = launch(argv, environ);
	for (int i = 0; i < 2000; i++) {
		char *text = text_of(in("port"));

		port = 0;
		for (const char *p = text; *p >= '0' && *p <= '9'; p++)
			port = port * 10 + (unsigned)(*p - '0');
		free(text);
		if (port != 0)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	die("pop3d did not start: %s", text_of(in("stderr")));
}

void stage_await_server(void)
{
	await_server(port);
}

static void write_gone(const char gone[MAX_MESSAGES])
{
	int fd = open(in("gone"), O_WRONLY | O_CLOEXEC);

	if (fd == -1 || pwrite(fd, gone, messages, 0) != (ssize_t)messages)
		die("%s: %s", in("gone"), strerror(errno));
	close(fd);
}

void stage_gone(char gone[MAX_MESSAGES])
{
	int fd = open(in("gone"), O_RDONLY | O_CLOEXEC);

	if (fd == -1 || pread(fd, gone, messages, 0) != (ssize_t)messages)
		die("%s: %s", in("gone"), strerror(errno));
	close(fd);
}

unsigned stage_messages(void)
{
	return messages;
}

/* -- the beginning ------------------------------------------------------------------------ */

static void write_config(void)
{
	char place[4600], *text;
	int n;

	if (scene->place == MAILDIR)
		snprintf(place, sizeof place, "maildir = %s", in("mail/box"));
	else if (scene->place == MBOX)
		snprintf(place, sizeof place, "mbox = %s", in("mail/mbox"));
	else
		snprintf(place, sizeof place, "mda = %s mda %s\nmda_jobs = %u", self, in("mail/out"),
		         scene->jobs);
	n = asprintf(&text, "[work]\nhost = 127.0.0.1\nport = %u\nuser = joe\npassword = secret\n"
	             "tls = off\ntimeout = 10\ncomplain_after = 0\nkeep = %s\npipelining = %s\n%s%s\n",
	             port,
	             scene->keep ? "yes" : "no", scene->lock_step ? "off" : "auto",
	             scene->headers ? "max_size = 1\noversize = headers\n" : "", place);
	if (n == -1)
		die("no memory");
	write_file(in("config"), text, (size_t)n);
	free(text);
}

/* What the mbox holds at the beginning: nothing, a mail that ends as it should, or in one way or
 * the other not, or no byte.  Who appends to what does not end in an empty line does harm by
 * himself, so these two are not for points with an appender. */
static void begin_mbox(unsigned variant)
{
	unsigned form = variant / 2 % 5;
	const char *mail = witness_foreign(0);

	if (variant % 2 == 1 && (form == 2 || form == 3))
		form -= 2;
	foreign = form >= 1 && form <= 3;
	if (form == 4)
		write_file(in("mail/mbox"), "", 0);
	else if (form > 0)
		write_file(in("mail/mbox"), mail, strlen(mail) - (form - 1));
}

void stage_again(unsigned variant)
{
	char gone[MAX_MESSAGES], *journal;
	size_t len;

	remove_tree(in("state"));
	remove_tree(in("mail"));
	make_dir(in("mail"));
	make_dir(in("mail/out"));
	foreign = 0;
	if (scene->place == MBOX)
		begin_mbox(variant);
	if ((journal = read_file(in("earlier"), &len))) {
		make_dir(in("state"));
		make_dir(in("state/mailhaul"));
		make_dir(in("state/mailhaul/work"));
		write_file(in("state/mailhaul/work/journal"), journal, len);
		free(journal);
	}
	memset(gone, '.', sizeof gone);
	write_gone(gone);
}

void stage_begin(const struct scene *which)
{
	scene = which;
	unlink(in("earlier"));
	if (scene->earlier) {
		start_server(scene->earlier);
		write_config();
		stage_again(0);
		if (stage_run(NULL) != 0)
			die("the earlier run: %s", text_of(in("stderr")));
		rename(in("state/mailhaul/work/journal"), in("earlier"));
		end_server(&server);
	}
	start_server(scene->mailbox);
	write_config();
}

void stage_end(void)
{
	end_server(&server);
}

/* -- others ------------------------------------------------------------------------------- */

/* A mail reader finds new mail. */
static void read_mail(void)
{
	DIR *stream = opendir(in("mail/box/new"));
	struct dirent *e;
	char from[600], to[600];

	while (stream && (e = readdir(stream))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(from, sizeof from, "%s/%s", in("mail/box/new"), e->d_name);
		snprintf(to, sizeof to, "%s/%s:2,S", in("mail/box/cur"), e->d_name);
		if (rename(from, to) == -1)
			die("%s: %s", to, strerror(errno));
	}
	if (stream)
		closedir(stream);
}

/* Another program delivers as Postfix does: dotlock, fcntl lock, append.  The locks of the dead do
 * not count; for a dotlock it would wait until that is old enough, which is left out here. */
static _Noreturn void append_mail(void)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *mail = witness_foreign(foreign);
	int lock, fd;

	unlink(in("mail/mbox.lock"));
	lock = open(in("mail/mbox.lock"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	fd = open(in("mail/mbox"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (lock == -1 || fd == -1 || fcntl(fd, F_SETLK, &all) == -1 ||
	    write(fd, mail, strlen(mail)) != (ssize_t)strlen(mail) || close(fd) == -1)
		_exit(1);
	unlink(in("mail/mbox.lock"));
	_exit(0);
}

void stage_let_others_act(void)
{
	pid_t pid;

	if (scene->place == MAILDIR)
		read_mail();
	if (scene->place != MBOX)
		return;
	if ((pid = fork()) == 0)
		append_mail();
	if (await(pid) != 0)
		die("the appender failed: %s", strerror(errno));
	foreign++;
}

unsigned stage_foreign(void)
{
	return foreign;
}

int stage_mda(const char *dir)
{
	const char *id = getenv("DELIVERY_ID"), *attempt = getenv("DELIVERY_ATTEMPT");
	char part[4300], whole[4300], bytes[65536];
	struct timespec now;
	ssize_t n = -1, written = 0;
	int fd;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(part, sizeof part, "%s/.%s-%s-%ld.%09ld.%ld", dir, id ? id : "",
	         attempt ? attempt : "", (long)now.tv_sec, now.tv_nsec, (long)getpid());
	snprintf(whole, sizeof whole, "%s/%s", dir, part + strlen(dir) + 2);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (fd != -1 && written != -1 && (n = read(0, bytes, sizeof bytes)) > 0)
		for (ssize_t at = 0; at < n && written != -1; at += written)
			written = write(fd, bytes + at, (size_t)(n - at));
	if (n != 0 || written == -1 || close(fd) == -1 || rename(part, whole) == -1)
		return 75;
	return 0;
}

/* -- from the first to the last ----------------------------------------------------------- */

static void leave(void)
{
	end_server(&server);
	remove_tree(work);
}

static bool can_inject(void)
{
	char *argv[] = {inject, (char *)"true", NULL};

	return await(launch(argv, environ)) == 0;
}

/* Not below AddressSanitizer, and not without glibc. */
bool stage_can_lack_memory(void)
{
	char *argv[] = {(char *)mailhaul, (char *)"--version", NULL};

	return await(launch(argv, environment("0"))) == 0;
}

const char *stage_path(const char *name)
{
	return in(name);
}

const char *stage_self(void)
{
	return self;
}

const char *stage_init(bool keep_directory)
{
	const char *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	sigset_t set = awaited();

	if (n == -1 || !(slash = strrchr(self, '/')))
		return "there is no /proc";
	snprintf(inject, sizeof inject, "%.*s/inject", (int)(slash - self), self);
	snprintf(nomem, sizeof nomem, "%.*s/nomem.so", (int)(slash - self), self);
	if (!(mailhaul = getenv("MAILHAUL")) || !(pop3d = getenv("POP3D")))
		return "MAILHAUL and POP3D must name the programs";
	make_scratch(work, sizeof work, "sweep");
	if (keep_directory)
		printf("# in %s\n", work);
	else
		atexit(leave);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return can_inject() ? NULL : "inject cannot work here";
}

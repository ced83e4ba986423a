/* SPDX-License-Identifier: MIT */
/*
 * walk_world.c - the server, mailhaul, and others who work on the same mail.
 *
 * Everything is below one scratch directory, in $TMPDIR or, for speed, /dev/shm:
 *
 *     box-a/ box-b/ mbox out/  where mail goes: Maildirs, an mbox, what the MDA has stored
 *     texts/                   of the messages
 *     script transcript gone   pop3d's; gone has a byte for each message: "." or "D", deleted
 *     verdicts asked           the filter's: what it is to say, and whom it was asked about
 *     config stderr state/     mailhaul's configuration and words; XDG_STATE_HOME
 *
 * Each session has a server of its own, and a process above mailhaul that outlives all that it
 * has started.  Nothing is judged here but what a run without a fault says and leaves.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 100 }; /* seconds that a run may take */

char work[200];
unsigned n_foreign;

static char self[4096], inject[4200];
static const char *mailhaul, *pop3d;
static const bool *remove_work;
static pid_t server;
static unsigned port;
static volatile bool *locks_are_dead; /* told to those who wait for them */

/* -- small things -------------------------------------------------------------------------- */

char *in(const char *name)
{
	static char paths[8][600];
	static unsigned next;
	char *path = paths[next++ % COUNT(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", work, name);
	return path;
}

static FILE *create(const char *name)
{
	FILE *f = fopen(in(name), "we");

	if (!f || fchmod(fileno(f), 0600) == -1)
		die("%s: %s", in(name), strerror(errno));
	return f;
}

static void sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

/* By name, which in a Maildir is the order of delivery. */
static unsigned for_each_file(const char *dir, void (*act)(const char *dir, const char *name))
{
	struct dirent **names;
	int n = scandir(in(dir), &names, NULL, alphasort);
	unsigned acted = 0;

	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			act(dir, names[i]->d_name);
			acted++;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return acted;
}

/* -- others who work on the mail ----------------------------------------------------------- */

void world_look(struct witness *w)
{
	memset(w, 0, sizeof *w);
	witness_maildir(w, in("box-a"));
	witness_maildir(w, in("box-b"));
	witness_mbox(w, in("mbox"));
	witness_files(w, in("out"));
}

static void find_new(const char *dir, const char *name)
{
	char from[300], to[300];

	snprintf(from, sizeof from, "%s/%s", dir, name);
	snprintf(to, sizeof to, "%.5s/cur/%s:2,%s", dir, name, chance(50) ? "S" : "");
	if (chance(70))
		rename(in(from), in(to));
}

static void remove_file(const char *dir, const char *name)
{
	char path[300];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	remove(in(path));
}

static void remove_some(const char *dir, const char *name)
{
	if (chance(40))
		remove_file(dir, name);
}

void world_read_mail(void)
{
	struct witness before, after;
	unsigned n = for_each_file("box-a/new", find_new) + for_each_file("box-b/new", find_new);

	world_look(&before);
	for_each_file("box-a/cur", remove_some);
	for_each_file("box-b/cur", remove_some);
	world_look(&after);
	model_taken(&before, &after);
	tell("a reader finds %u new mails, and deletes old ones", n);
}

void world_take_all(void)
{
	static const char *const dirs[] = {"box-a/new", "box-a/cur", "box-b/new", "box-b/cur", "out"};
	struct witness before, after;

	world_look(&before);
	for (size_t i = 0; i < COUNT(dirs); i++)
		for_each_file(dirs[i], remove_file);
	if (chance(50))
		unlink(in("mbox"));
	else if (truncate(in("mbox"), 0) == -1 && errno != ENOENT)
		die("%s: %s", in("mbox"), strerror(errno));
	n_foreign = 0;
	world_look(&after);
	model_taken(&before, &after);
}

/* As Postfix does: dotlock, fcntl lock, append.  Locks of the dead do not count. */
static bool append(void)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *mail = witness_foreign(n_foreign);
	int lock = open(in("mbox.lock"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int fd = lock == -1 ? -1 : open(in("mbox"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	bool done = fd != -1 && fcntl(fd, F_SETLK, &all) != -1;

	if (done && write(fd, mail, strlen(mail)) != (ssize_t)strlen(mail))
		die("%s: %s", in("mbox"), strerror(errno));
	if (fd != -1)
		close(fd);
	if (lock != -1)
		close(lock);
	if (lock != -1 || *locks_are_dead)
		unlink(in("mbox.lock"));
	return done;
}

void world_append(void)
{
	if (n_foreign == MAX_FOREIGN)
		return;
	*locks_are_dead = true;
	while (!append())
		;
	tell("another program appends mail %u to the mbox", n_foreign++);
}

/* While mailhaul runs: into the mbox comes mail, in a Maildir it is read, but not deleted. */
static pid_t let_others_act(enum place place)
{
	unsigned nap = below(20000);
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (int i = 0; i < 3 && place != MBOX; i++) {
		sleep_us(nap);
		for_each_file(place == BOX_A ? "box-a/new" : "box-b/new", find_new);
	}
	sleep_us(nap);
	while (place == MBOX && !append())
		sleep_us(500);
	_exit(0);
}

/* -- the server ---------------------------------------------------------------------------- */

static void write_script(const struct session *s)
{
	FILE *f = create("script");

	fprintf(f, "persist %s\ncapa UIDL\ncapa TOP\ncapa USER\n%s", in("gone"),
	        s->pipelining ? "capa PIPELINING\n" : "");
	for (unsigned i = 0; i < s->n; i++) {
		const struct message *m = s->list[i];

		fprintf(f, "message %s %s\n", uid_text(m->uid), in(text_name(m)));
		if (m->listed == 0)
			fprintf(f, "list-octets %u %s\n", i + 1, m->id % 2 ? "0" : "much");
		else if (m->listed != m->size)
			fprintf(f, "list-octets %u %lu\n", i + 1, m->listed);
	}
	if (s->fault == NAMELESS) {
		fprintf(f, "on UIDL raw +OK\\r\\n");
		for (unsigned i = 0; i < s->n; i++)
			if (!s->list[i]->nameless)
				fprintf(f, "%u %s\\r\\n", i + 1, uid_text(s->list[i]->uid));
		fprintf(f, ".\\r\\n\n");
	}
	fprintf(f, "%s\n", s->lines);
	fclose(f);
}

static void write_verdicts(const struct session *s)
{
	FILE *f = create("verdicts");

	fprintf(f, "\n");
	for (unsigned i = 0; i < s->n; i++) {
		struct message *m = s->list[i];
		bool fails = s->fault == SIFTING && chance(30);

		fprintf(f, "%u %d\n", m->id, (int)(fails ? SIFT_FAIL : m->verdict));
	}
	fclose(f);
	unlink(in("asked"));
}

static void start_server(void)
{
	char *argv[] = {(char *)pop3d, (char *)"-t", in("transcript"), in("script"), NULL}, byte;
	int ends[2];

	unlink(in("gone"));
	unlink(in("transcript"));
	if (pipe2(ends, O_CLOEXEC) == -1 || (server = fork()) == -1)
		die("%s", strerror(errno));
	if (server == 0) {
		dup2(ends[1], 1);
		execv(pop3d, argv);
		_exit(127);
	}
	close(ends[1]);
	for (port = 0; read(ends[0], &byte, 1) == 1 && byte >= '0' && byte <= '9';)
		port = port * 10 + (unsigned)(byte - '0');
	close(ends[0]);
	if (port == 0)
		die("%s did not start with %s", pop3d, in("script"));
}

/* How often a word is in the transcript. */
static unsigned transcribed(const char *word)
{
	char *text = text_of(in("transcript"));
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		n++;
	free(text);
	return n;
}

/* -- mailhaul ------------------------------------------------------------------------------ */

static void write_config(const struct session *s)
{
	static const char *const keeps[KEEPS] = {"no", "yes", "30d", "1s"};
	static const char *const places[] = {"box-a", "box-b", "mbox"};
	static const char *const pipelining[] = {"auto", "auto", "on", "off"};
	static const char *const sizes[OVERSIZES] = {"leave", "headers", "delete"};
	FILE *f = create("config");

	fprintf(f, "[work]\nhost = 127.0.0.1\nport = %u\nuser = joe\npassword = secret\ntls = off\n"
	        "timeout = %d\ncomplain_after = 0\npipelining = %s\nkeep = %s\nreceived = %s\n", port,
	        s->fault == STALL || s->fault == BROKEN ? 1 : 30, pipelining[below(4)],
	        keeps[s->rules.keep], s->rules.received ? "yes" : "no");
	if (s->rules.place == MDA)
		fprintf(f, "mda = %s mda %s\n", self, in("out"));
	else
		fprintf(f, "%s = %s\n", s->rules.place == MBOX ? "mbox" : "maildir",
		        in(places[s->rules.place]));
	fprintf(f, "limit = %u\nmax_size = %lu\noversize = %s\n", s->rules.limit, s->rules.max_size,
	        sizes[s->rules.oversize]);
	if (s->rules.filter)
		fprintf(f, "filter = %s filter %s\n", self, work);
	fclose(f);
}

/* As cron would run it.  Below ptrace there can be no search for leaks. */
static _Noreturn void be_mailhaul(const struct session *s)
{
	static char home[300], state[300], asan[1000];
	char *argv[32], *env[] = {home, state, asan, (char *)"LC_ALL=C", NULL};
	char *options = strdup(s->inject), *word;
	const char *given = getenv("ASAN_OPTIONS");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int words = open(in("stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	size_t n = 0;

	snprintf(home, sizeof home, "HOME=%s", work);
	snprintf(state, sizeof state, "XDG_STATE_HOME=%s/state", work);
	snprintf(asan, sizeof asan, "ASAN_OPTIONS=%s:detect_leaks=0", given ? given : "");
	if (s->inject[0])
		argv[n++] = inject;
	while (s->inject[0] && (word = strsep(&options, " ")) && n < 24)
		argv[n++] = word;
	argv[n++] = (char *)mailhaul;
	argv[n++] = (char *)"-f";
	argv[n++] = in("config");
	if (s->retry)
		argv[n++] = (char *)"--retry";
	argv[n] = NULL;
	setpgid(0, 0);
	if (s->room > 0)
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){s->room, s->room});
	if (dup2(null, 0) != -1 && dup2(null, 1) != -1 && dup2(words, 2) != -1)
		execve(argv[0], argv, env);
	_exit(127);
}

/* Sends the signal when it is time, or never. */
static void strike(const struct session *s, pid_t child)
{
	siginfo_t over = {0};

	while (over.si_pid == 0 && transcribed("\n") < s->at_line) {
		sleep_us(200);
		waitid(P_PID, (id_t)child, &over, WEXITED | WNOHANG | WNOWAIT);
	}
	sleep_us(s->behind_us);
	kill(s->group ? -child : child, s->signal);
}

/* The process above it.  It ends, with mailhaul's status, when all have ended that this started. */
static _Noreturn void watch_over(const struct session *s)
{
	int status, result = 0;
	pid_t pid, child;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if ((child = fork()) == 0)
		be_mailhaul(s);
	setpgid(child, child);
	if (s->signal)
		strike(s, child);
	while ((pid = wait(&status)) != -1)
		if (pid == child)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	_exit(result);
}

static void run(struct session *s)
{
	bool company = s->company && s->rules.place != MDA && n_foreign < MAX_FOREIGN;
	pid_t others = company ? let_others_act(s->rules.place) : 0, watch;
	int ends[2], status;

	if (pipe2(ends, O_CLOEXEC) == -1 || (watch = fork()) == -1)
		die("%s", strerror(errno));
	if (watch == 0)
		watch_over(s);
	close(ends[1]);
	if (poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, PATIENCE * 1000) != 1)
		disagree(NULL, "mailhaul runs for %d s", PATIENCE);
	close(ends[0]);
	waitpid(watch, &status, 0);
	s->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	*locks_are_dead = true;
	if (company)
		waitpid(others, NULL, 0);
	if (company && s->rules.place == MBOX)
		tell("meanwhile another program has appended mail %u to the mbox", n_foreign++);
}

void world_play(struct session *s)
{
	bool wait = s->fault == KILL || s->fault == TERM || s->fault == ERROR;

	write_script(s);
	write_verdicts(s);
	start_server();
	write_config(s);
	*locks_are_dead = false;
	run(s);
	if (wait)
		await_server(port);
	s->connections = transcribed("-- connect\n") - wait;
	end_server(&server);
}

static void check_dir(const char *dir, const char *names)
{
	const char *stray = stray_in(in(dir), names);

	if (stray)
		disagree(NULL, "%s/%s is left behind", dir, stray);
}

bool world_told_deleted(unsigned long octets)
{
	char *words = text_of(in("stderr")), what[100];
	bool told;

	snprintf(what, sizeof what, " has %lu octets", octets);
	told = strstr(words, what) && strstr(words, "it is deleted without being fetched");
	free(words);
	return told;
}

unsigned world_check_clean(const struct session *s)
{
	char *words = text_of(in("stderr")), *rest = words, *line;
	unsigned left = 0;

	while ((line = strsep(&rest, "\n")) && *line) {
		if (s->rules.max_size == 0 || !strstr(line, "max_size"))
			disagree(NULL, "a session without a fault says: %s", line);
		left += !strstr(line, "it is deleted");
	}
	free(words);
	if (s->status != 0)
		disagree(NULL, "a session without a fault: status %d", s->status);
	check_dir("state/mailhaul/work", " journal lock last ");
	check_dir("state/mailhaul", " work ");
	check_dir("box-a/tmp", "");
	check_dir("box-b/tmp", "");
	check_dir(".", " box-a box-b mbox out texts script gone transcript verdicts asked config "
	               "stderr state ");
	return left;
}

/* -- from the first to the last ------------------------------------------------------------ */

int world_store(const char *dir)
{
	char part[4300], whole[4300], bytes[65536];
	struct timespec now;
	ssize_t n = -1;
	int fd;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(whole, sizeof whole, "%s/%ld.%09ld.%ld", dir, (long)now.tv_sec, now.tv_nsec,
	         (long)getpid());
	snprintf(part, sizeof part, "%s/.%s", dir, whole + strlen(dir) + 1);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (fd != -1 && (n = read(0, bytes, sizeof bytes)) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			break;
	if (n == 0 && close(fd) == 0 && rename(part, whole) == 0)
		return 0;
	unlink(part);
	return 75;
}

/* By the number of the letter, which the header has. */
int world_sift(const char *dir)
{
	static const int statuses[] = {0, 10, 20, 1};
	char header[65536], path[4300], line[40], *verdicts;
	size_t len = fread(header, 1, sizeof header - 1, stdin);
	const char *at;
	unsigned verdict;
	FILE *f;

	header[len] = '\0';
	at = strstr(header, "Subject: letter ");
	if (!at)
		return 1;
	at += strlen("Subject: letter ");
	snprintf(line, sizeof line, "\n%.*s ", (int)strspn(at, "0123456789"), at);
	snprintf(path, sizeof path, "%s/verdicts", dir);
	verdicts = text_of(path);
	at = strstr(verdicts, line);
	verdict = at ? (unsigned)(at[strlen(line)] - '0') : SIFT_FAIL;
	free(verdicts);
	snprintf(path, sizeof path, "%s/asked", dir);
	f = fopen(path, "ae");
	line[0] = ' ';
	if (!f || fputs(line, f) == EOF || fclose(f) != 0)
		return 1;
	return verdict < COUNT(statuses) ? statuses[verdict] : 1;
}

static void clean_up(void)
{
	end_server(&server);
	if (*remove_work)
		remove_tree(work);
}

static bool can_inject(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl(inject, inject, "true", (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool world_begin(const bool *remove)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	mailhaul = getenv("MAILHAUL");
	pop3d = getenv("POP3D");
	if (n == -1 || !mailhaul || !pop3d)
		die("MAILHAUL and POP3D must name the programs");
	snprintf(inject, sizeof inject, "%.*s/inject", (int)(strrchr(self, '/') - self), self);
	make_scratch(work, sizeof work, "walk");
	locks_are_dead = mmap(NULL, sizeof *locks_are_dead, PROT_READ | PROT_WRITE,
	                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	make_dir(in("texts"));
	make_dir(in("out"));
	if (locks_are_dead == MAP_FAILED)
		die("%s: %s", work, strerror(errno));
	remove_work = remove;
	atexit(clean_up);
	return can_inject();
}

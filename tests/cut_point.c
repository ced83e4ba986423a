/* SPDX-License-Identifier: MIT */
/*
 * cut_point.c - plays one point of cut, and judges what is there.
 *
 * Everything is in run/ below the scratch directory and made anew for each point: pop3d with its
 * script, a home, a destination with mail in it.  The head of cut.c tells what must be true after
 * the run with the cut, and after the clean one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cut.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PATH = 4096,
	PATIENCE = 20, /* seconds a run may last */
	SHOWN = 10     /* violations of one check that are told */
};

const char *const hows[] = {"fin", "rst", "tls", "notls"};
const char *const dests[] = {"maildir", "mbox", "mda"};
const char *const modes[] = {"lock-step", "pipelined", "pipelined, tried again"};

/* What a client should fetch; the fields are pop3d's.  The last one has no line end. */
static const struct mail {
	const char *uid, *text;
} mails[] = {
	{"one", "Return-Path: <ann@example.org>\r\nSubject: 1\r\n\r\nFrom here\r\n.dot\r\n.\r\n"},
	{"two", "Subject: 2\r\n\r\n"},
	{"three", "Subject: 3\r\n\r\n>From a\rb\xff\r\n\r\n\r\n"},
	{"four", "Subject: 4\r\n\r\nthe end"},
};
enum { MAILS = COUNT(mails) };

static const char foreign[] = "From old@example.org Mon Jan  1 00:00:00 2001\nSubject: old\n\nbody";

static const char *pop3d, *mailhaul, *certs;
static char root[PATH], self[PATH], home[PATH + 16];
static struct bytes expected[MAILS], quoted[MAILS]; /* as in a Maildir; as in an mbox */
static const struct setting *now;
static char now_at[200]; /* the script's line that cuts */

struct found found;

/* -- small things ---------------------------------------------------------------------- */

static void *need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

/* Something is wrong after a run. */
FORMAT(2) static void fault(unsigned long *counter, const char *fmt, ...)
{
	va_list ap;

	++*counter;
	if (found.now++ >= SHOWN)
		return;
	printf("# %s, %s, %s, '%s': ", dests[now->dest], now->keep ? "keep" : "delete",
	       modes[now->mode], now_at);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* A missing one is empty, p NULL. */
static struct bytes bytes_of(const char *path)
{
	struct bytes b;

	b.p = read_file(path, &b.len);
	return b;
}

/* -- programs -------------------------------------------------------------------------- */

/* Starts a program; its standard output goes to *out where that is not NULL, its standard error
 * to a file. */
static pid_t start(const char *const argv[], const char *errors, int *out)
{
	int ends[2] = {-1, -1};
	sigset_t none;
	pid_t pid;

	if (out && pipe(ends) != 0)
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		int err = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(null, 0);
		dup2(out ? ends[1] : null, 1);
		dup2(err, 2);
		for (int fd = 3; fd < 20; fd++)
			close(fd);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (out) {
		close(ends[1]);
		*out = ends[0];
	}
	return pid;
}

/* Its exit status; 128 and more for a signal.  It is killed when it lasts too long. */
static int finish(pid_t pid)
{
	struct timespec left = {PATIENCE, 0};
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, &status, WNOHANG) == 0)
		if (sigtimedwait(&set, NULL, &left) < 0 && errno == EAGAIN) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return 128 + SIGKILL;
		}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Starts the server; port: 8 bytes. */
static pid_t start_pop3d(const char *script, const char *transcript, char *port)
{
	const char *with[] = {pop3d, "-c", certs ? certs : ".", "-t", transcript, script, NULL};
	pid_t pid;
	int out;
	ssize_t n;

	pid = start(with, "run/pop3d.err", &out);
	n = read(out, port, 7);
	close(out);
	if (n < 2)
		die("pop3d does not start: %s", bytes_of("run/pop3d.err").p);
	port[n - 1] = '\0';
	return pid;
}

/* -- the scene ------------------------------------------------------------------------- */

/* The server's script, with one line more. */
static void write_script(const char *path, int mode, bool tls, const char *more)
{
	char text[2 * PATH];
	int n = snprintf(text, sizeof text, "capa UIDL\ncapa USER\n%stls %s\n%s\n",
	                 mode != LOCK_STEP ? "capa PIPELINING\n" : "", tls ? "implicit" : "off", more);

	for (size_t i = 0; i < MAILS; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, "message %s raw mail%zu\n", mails[i].uid,
		              i);
	write_file(path, text, (size_t)n);
}

/* A fresh home and a fresh destination in run/. */
static void set_scene(const struct setting *s, const char *more)
{
	char line[300];

	remove_tree("run");
	make_dir("run");
	make_dir("run/home");
	make_dir("run/mda");
	write_file("run/mbox", foreign, sizeof foreign - 1);
	snprintf(line, sizeof line, "persist run/gone\n%s", more);
	write_script("run/script", s->mode, s->tls, line);
}

static void write_config(const struct setting *s, const char *port)
{
	char text[4 * PATH], place[2 * PATH + 16];
	int n;

	if (s->dest == MDA)
		snprintf(place, sizeof place, "%s -m %s/run/mda", self, root);
	else
		snprintf(place, sizeof place, "%s/run/%s", root, dests[s->dest]);
	n = snprintf(text, sizeof text, "[work]\nhost = 127.0.0.1\nport = %s\nuser = joe\n"
	             "password = secret\ntimeout = 10\nreceived = no\ncomplain_after = 0\n"
	             "keep = %s\n%s = %s\n"
	             "tls = %s\npipelining = %s\n", port, s->keep ? "yes" : "no", dests[s->dest], place,
	             s->tls ? "implicit" : "off", s->mode == PIPELINED ? "on" : "auto");
	if (s->tls)
		n += snprintf(text + n, sizeof text - (size_t)n, "tls_ca_file = %s/ca.pem\n", certs);
	write_file("run/config", text, (size_t)n);
}

static int run_mailhaul(void)
{
	const char *const argv[] = {mailhaul, "-f", "run/config", NULL};

	found.runs++;
	return finish(start(argv, "run/err", NULL));
}

/* -- what was delivered ---------------------------------------------------------------- */

/* Which message a text is: the whole of it must be one.  MAILS: none. */
static size_t which(struct bytes text)
{
	size_t i = 0;

	while (i < MAILS && (text.len != expected[i].len ||
	                     memcmp(text.p, expected[i].p, text.len) != 0))
		i++;
	return i;
}

/* Each file of a directory is a message. */
static void count_files(const char *dir, bool by_uid, unsigned got[MAILS])
{
	DIR *stream = opendir(dir);
	char path[PATH];
	struct dirent *e;

	while (stream && (e = readdir(stream)))
		if (e->d_name[0] != '.') {
			struct bytes text;
			size_t i;

			snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
			text = bytes_of(path);
			i = which(text);
			if (i == MAILS)
				fault(&found.partial, "%s is no message, %zu bytes", path, text.len);
			else if (by_uid && strncmp(e->d_name, mails[i].uid, strlen(mails[i].uid)) != 0)
				fault(&found.partial, "%s is message %s", path, mails[i].uid);
			else
				got[i]++;
			free(text.p);
		}
	if (stream)
		closedir(stream);
}

/* At a From_ line: the message behind it, or MAILS.  *p is set behind its empty line. */
static size_t next_in_mbox(const char **p, const char *end)
{
	const char *lf = memchr(*p, '\n', (size_t)(end - *p));

	if (strncmp(*p, "From ", 5) != 0 || !lf)
		return MAILS;
	for (size_t i = 0; i < MAILS; i++) {
		size_t n = quoted[i].len;

		if ((size_t)(end - lf - 1) > n && memcmp(lf + 1, quoted[i].p, n) == 0 &&
		    lf[1 + n] == '\n' && (lf + n + 2 == end || strncmp(lf + n + 2, "From ", 5) == 0)) {
			*p = lf + n + 2;
			return i;
		}
	}
	return MAILS;
}

/* The foreign mail is untouched, the rest is whole messages. */
static void count_mbox(unsigned got[MAILS])
{
	struct bytes mbox = bytes_of("run/mbox");
	const char *p = mbox.p + sizeof foreign - 1, *end = mbox.p + mbox.len;
	size_t i;

	if (mbox.len < sizeof foreign - 1 || memcmp(mbox.p, foreign, sizeof foreign - 1) != 0) {
		fault(&found.partial, "the foreign mail is not what it was");
	} else if (p < end) {
		if (strncmp(p, "\n\n", 2) == 0)
			p += 2;
		while (p < end && (i = next_in_mbox(&p, end)) < MAILS)
			got[i]++;
		if (p < end)
			fault(&found.partial, "the mbox has no message at %td of %zu", p - mbox.p, mbox.len);
	}
	free(mbox.p);
}

/* Nothing but these, each between blanks, is in a directory. */
static void check_rest(const char *dir, const char *names)
{
	const char *stray = stray_in(dir, names);

	if (stray)
		fault(&found.untrue, "%s/%s is left", dir, stray);
}

/* -- judging a run --------------------------------------------------------------------- */

/* The status and what was said fit: 0 and nothing, where all is done; 75 and one line, where it is
 * not, or where the answer to QUIT did not tell that the mail is deleted. */
static void check_words(int status, bool done, bool may_know)
{
	struct bytes err = bytes_of("run/err");
	const char *lf = err.p ? strchr(err.p, '\n') : NULL;
	bool one_line = lf && lf[1] == '\0' && strncmp(err.p, "mailhaul: work: ", 16) == 0;

	if (status == 0 ? !done || err.len > 0 : status != 75 || !one_line || (done && may_know))
		fault(&found.untrue, "%s, and the status is %d: %s",
		      done ? "all is done" : "not all is done", status, err.p ? err.p : "");
	free(err.p);
}

/* After a run.  clean: it had no trouble. */
static void judge(const struct setting *s, int status, bool clean)
{
	unsigned got[MAILS] = {0};
	struct bytes gone = bytes_of("run/gone");
	bool done = true;

	if (gone.len != MAILS)
		die("run/gone has %zu bytes", gone.len);
	if (s->dest == MBOX)
		count_mbox(got);
	else
		count_files(s->dest == MDA ? "run/mda" : "run/maildir/new", s->dest == MDA, got);
	for (size_t i = 0; i < MAILS; i++) {
		if (got[i] == 0 && (gone.p[i] == 'D' || clean))
			fault(&found.lost, "message %s is not delivered, %s", mails[i].uid,
			      gone.p[i] == 'D' ? "and deleted" : "and on the server");
		if (got[i] > 1)
			fault(&found.doubled, "message %s is delivered %u times", mails[i].uid, got[i]);
		if (s->keep ? gone.p[i] == 'D' : clean && gone.p[i] != 'D')
			fault(&found.untrue, "message %s is %s", mails[i].uid,
			      s->keep ? "deleted" : "an orphan");
		done = done && got[i] > 0 && (s->keep || gone.p[i] == 'D');
	}
	check_rest("run/maildir/tmp", "");
	check_rest("run/maildir/cur", "");
	check_rest("run/home/.local/state/mailhaul/work", " journal lock last ");
	if (open("run/mbox.lock", O_RDONLY) >= 0)
		fault(&found.untrue, "run/mbox.lock is left");
	check_words(status, done, clean || s->keep);
	free(gone.p);
}

void point_try(const struct setting *s, const char *trouble)
{
	char port[8];
	pid_t server;

	now = s;
	snprintf(now_at, sizeof now_at, "%s", trouble);
	set_scene(s, trouble);
	server = start_pop3d("run/script", "run/transcript", port);
	write_config(s, port);
	judge(s, run_mailhaul(), false);
	judge(s, run_mailhaul(), true);
	end_server(&server);
	found.points++;
}

/* -- the reference --------------------------------------------------------------------- */

/* Says the commands to a server of its own, in clear, and returns what it says. */
static struct bytes replay(const struct setting *s, const char *commands, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct bytes said = {need(malloc(65536)), 0};
	char port[8];
	pid_t server;
	ssize_t n;
	int fd;

	write_script("run/script", s->mode, false, "");
	server = start_pop3d("run/script", "/dev/null", port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (const char *p = port; *p; p++)
		to.sin_port = (in_port_t)(to.sin_port * 10 + (*p - '0'));
	to.sin_port = htons(to.sin_port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
	    write(fd, commands, len) != (ssize_t)len)
		die("replay: %s", strerror(errno));
	while (said.len < 65535 && (n = read(fd, said.p + said.len, 65535 - said.len)) > 0)
		said.len += (size_t)n;
	said.p[said.len] = '\0';
	close(fd);
	end_server(&server);
	return said;
}

void point_learn(struct setting *s)
{
	char commands[4096], port[8];
	unsigned long sent = 0;
	size_t len = 0;
	struct bytes heard;
	pid_t server;

	now = s;
	snprintf(now_at, sizeof now_at, "nothing");
	set_scene(s, "");
	server = start_pop3d("run/script", "run/transcript", port);
	write_config(s, port);
	judge(s, run_mailhaul(), true);
	end_server(&server);
	heard = bytes_of("run/transcript");
	for (char *line = heard.p, *lf; line && (lf = strchr(line, '\n')); line = lf + 1) {
		*lf = '\0';
		if (strncmp(line, "-- sent ", 8) == 0)
			for (const char *p = line + 8; *p; p++)
				sent = sent * 10 + (unsigned long)(*p - '0');
		if (strncmp(line, "-- ", 3) == 0)
			continue;
		len += (size_t)snprintf(commands + len, sizeof commands - len, "%s\r\n", line);
		s->commands++;
	}
	free(heard.p);
	s->said = replay(s, commands, len);
	if (s->said.len == 0 || s->said.len != sent)
		die("pop3d sent %lu bytes and %zu when it was asked the same again", sent, s->said.len);
}

bool point_has_shaken(void)
{
	struct bytes transcript = bytes_of("run/transcript");
	bool has = strncmp(transcript.p, "-- connect\n-- tls\n", 18) == 0;

	free(transcript.p);
	return has;
}

/* -- from the first to the last -------------------------------------------------------- */

int point_store(const char *dir)
{
	const char *uid = getenv("UIDL");
	char path[PATH], buf[8192];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/%s.XXXXXX", dir, uid ? uid : "");
	fd = mkstemp(path);
	while (fd >= 0 && (n = read(0, buf, sizeof buf)) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return 1;
	return fd < 0;
}

/* Writes the messages for pop3d, and has it say how they should lie in a Maildir. */
static void prepare(void)
{
	const char *const extract[] = {pop3d, "-x", "want", "script", NULL};
	char path[40];

	for (size_t i = 0; i < MAILS; i++) {
		snprintf(path, sizeof path, "mail%zu", i);
		write_file(path, mails[i].text, strlen(mails[i].text));
	}
	write_script("script", LOCK_STEP, false, "");
	make_dir("want");
	if (finish(start(extract, "errors", NULL)) != 0)
		die("%s -x: %s", pop3d, bytes_of("errors").p);
	for (size_t i = 0; i < MAILS; i++) {
		struct bytes *from = &expected[i], *to = &quoted[i];

		snprintf(path, sizeof path, "want/%zu", i + 1);
		*from = bytes_of(path);
		to->p = need(malloc(from->len * 2 + 1));
		for (size_t at = 0; at < from->len; at++) {
			const char *line = from->p + at;

			if (at == 0 || line[-1] == '\n')
				if (strncmp(line + strspn(line, ">"), "From ", 5) == 0)
					to->p[to->len++] = '>';
			to->p[to->len++] = *line;
		}
	}
}

void point_begin(const char *with_certs)
{
	sigset_t set;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	pop3d = getenv("POP3D");
	mailhaul = getenv("MAILHAUL");
	if (!pop3d || !mailhaul)
		die("POP3D and MAILHAUL are not set");
	if (n < 0)
		die("/proc/self/exe: %s", strerror(errno));
	certs = with_certs;
	make_scratch(root, sizeof root, "cut");
	if (chdir(root) != 0)
		die("%s: %s", root, strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_CONFIG_HOME");
	snprintf(home, sizeof home, "%s/run/home", root);
	setenv("HOME", home, 1);
	prepare();
}

void point_end(void)
{
	if (chdir("/") == 0)
		remove_tree(root);
}

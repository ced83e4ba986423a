/* SPDX-License-Identifier: MIT */
/*
 * cut.c - the connection is cut after every byte of a session, and nothing is lost or doubled.
 *
 * cut [-n POINTS] [-c CERTDIR]      with MAILHAUL and POP3D in the environment; run by cut.t
 * cut -m DIRECTORY                  is the MDA of those runs
 *
 * A setting is one of {Maildir, mbox, MDA} x {keep, delete} x {lock-step, pipelined without and
 * with a second try}.  In each the session is run once as a reference.  Then, for each number of
 * octets that the server sent there, and for each end {FIN, RST, TLS goodbye, TLS without goodbye}:
 * a run whose first connection ends after so many octets, looked at; and one more run without
 * trouble, looked at.  Then the same for the end at each command of the client, unanswered, and
 * for the end after each byte of the TLS handshake.
 *
 * After the run with the cut: each message is on the server or delivered, none twice, none in part;
 * what was there before is as it was; no temporary file is left; the status is 0 where all is
 * done and 75 with one line where it is not.  After the clean run: status 0, each message is
 * delivered once, and by keep all or none of them are on the server.
 *
 * -n  try so many points only, those at the ends of lines before others (default: all)
 * -c  where make-certs.sh was; without, the ends in TLS are left out
 *
 * Everything lies in $TMPDIR or, for speed, /dev/shm: what a cut leaves is the same everywhere.
 * TAP, a check for each setting and kind of end; the counts in the last line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/tap.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum {
	PATH = 4096,
	PATIENCE = 20, /* seconds a run may last */
	SHOWN = 10,    /* violations of one check that are told */
	SETTINGS = 18
};

static const char *const hows[] = {"fin", "rst", "tls", "notls"}; /* as pop3d has them */
enum { FIN, RST, TLS, NOTLS };

static const char *const dests[] = {"maildir", "mbox", "mda"};
enum { MAILDIR, MBOX, MDA };

struct bytes {
	char *p; /* a NUL behind it */
	size_t len;
};

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

static const char *const modes[] = {"lock-step", "pipelined", "pipelined, tried again"};
enum { LOCK_STEP, PIPELINED, TRIED_AGAIN };

/* What a session is like, undisturbed. */
struct setting {
	int dest, mode;
	bool keep, tls;
	struct bytes said; /* by the server */
	unsigned commands; /* by the client */
};

static const char *pop3d, *mailhaul, *certs;
static char root[PATH], self[PATH], home[PATH + 16];
static struct bytes expected[MAILS], quoted[MAILS]; /* as in a Maildir; as in an mbox */
static unsigned long points, sessions, lost, doubled, partial, untrue;
static unsigned faults; /* of the check at hand */
static const struct setting *now;
static char now_at[200]; /* the script's line that cuts */

/* -- small things ------------------------------------------------------------------------- */

PRINTF(1, 2) static _Noreturn void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	printf("\n");
	exit(1);
}

static void *need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

/* Something is wrong after a run. */
PRINTF(2, 3) static void fault(unsigned long *counter, const char *fmt, ...)
{
	va_list ap;

	++*counter;
	if (faults++ >= SHOWN)
		return;
	printf("# %s, %s, %s, '%s': ", dests[now->dest], now->keep ? "keep" : "delete",
	       modes[now->mode], now_at);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* Reads a file; a missing one is empty, p NULL. */
static struct bytes read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes b = {0};
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return b;
	if (fstat(fd, &st) != 0)
		die("%s: %s", path, strerror(errno));
	b.p = need(malloc((size_t)st.st_size + 1));
	while (b.len < (size_t)st.st_size &&
	       (n = read(fd, b.p + b.len, (size_t)st.st_size - b.len)) > 0)
		b.len += (size_t)n;
	b.p[b.len] = '\0';
	close(fd);
	return b;
}

static void write_file(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || close(fd) != 0)
		die("%s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	(void)st;
	(void)kind;
	(void)place;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0700) != 0)
		die("%s: %s", path, strerror(errno));
}

/* -- programs ----------------------------------------------------------------------------- */

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
		die("pop3d does not start: %s", read_file("run/pop3d.err").p);
	port[n - 1] = '\0';
	return pid;
}

static void stop_pop3d(pid_t pid)
{
	kill(pid, SIGTERM);
	finish(pid);
}

/* -- the scene ---------------------------------------------------------------------------- */

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
	             "password = secret\ntimeout = 10\nreceived = no\nkeep = %s\n%s = %s\n"
	             "tls = %s\npipelining = %s\n", port, s->keep ? "yes" : "no", dests[s->dest], place,
	             s->tls ? "implicit" : "off", s->mode == PIPELINED ? "on" : "auto");
	if (s->tls)
		n += snprintf(text + n, sizeof text - (size_t)n, "tls_ca_file = %s/ca.pem\n", certs);
	write_file("run/config", text, (size_t)n);
}

static int run_mailhaul(void)
{
	const char *const argv[] = {mailhaul, "-f", "run/config", NULL};

	sessions++;
	return finish(start(argv, "run/err", NULL));
}

/* -- what was delivered ------------------------------------------------------------------- */

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
			text = read_file(path);
			i = which(text);
			if (i == MAILS)
				fault(&partial, "%s is no message, %zu bytes", path, text.len);
			else if (by_uid && strncmp(e->d_name, mails[i].uid, strlen(mails[i].uid)) != 0)
				fault(&partial, "%s is message %s", path, mails[i].uid);
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
	struct bytes mbox = read_file("run/mbox");
	const char *p = mbox.p + sizeof foreign - 1, *end = mbox.p + mbox.len;
	size_t i;

	if (mbox.len < sizeof foreign - 1 || memcmp(mbox.p, foreign, sizeof foreign - 1) != 0) {
		fault(&partial, "the foreign mail is not what it was");
	} else if (p < end) {
		if (strncmp(p, "\n\n", 2) == 0)
			p += 2;
		while (p < end && (i = next_in_mbox(&p, end)) < MAILS)
			got[i]++;
		if (p < end)
			fault(&partial, "the mbox has no message at %td of %zu", p - mbox.p, mbox.len);
	}
	free(mbox.p);
}

/* Nothing but these, each between blanks, is in a directory. */
static void check_rest(const char *dir, const char *names)
{
	DIR *stream = opendir(dir);
	struct dirent *e;

	while (stream && (e = readdir(stream))) {
		char word[270];

		snprintf(word, sizeof word, " %s ", e->d_name);
		if (e->d_name[0] != '.' && !strstr(names, word))
			fault(&untrue, "%s/%s is left", dir, e->d_name);
	}
	if (stream)
		closedir(stream);
}

/* -- judging a run ------------------------------------------------------------------------ */

/* The status and what was said fit: 0 and nothing, where all is done; 75 and one line, where it is
 * not, or where the answer to QUIT did not tell that the mail is deleted. */
static void check_words(int status, bool done, bool may_know)
{
	struct bytes err = read_file("run/err");
	const char *lf = err.p ? strchr(err.p, '\n') : NULL;
	bool one_line = lf && lf[1] == '\0' && strncmp(err.p, "mailhaul: work: ", 16) == 0;

	if (status == 0 ? !done || err.len > 0 : status != 75 || !one_line || (done && may_know))
		fault(&untrue, "%s, and the status is %d: %s", done ? "all is done" : "not all is done",
		      status, err.p ? err.p : "");
	free(err.p);
}

/* After a run.  clean: it had no trouble. */
static void judge(const struct setting *s, int status, bool clean)
{
	unsigned got[MAILS] = {0};
	struct bytes gone = read_file("run/gone");
	bool done = true;

	if (gone.len != MAILS)
		die("run/gone has %zu bytes", gone.len);
	if (s->dest == MBOX)
		count_mbox(got);
	else
		count_files(s->dest == MDA ? "run/mda" : "run/maildir/new", s->dest == MDA, got);
	for (size_t i = 0; i < MAILS; i++) {
		if (got[i] == 0 && (gone.p[i] == 'D' || clean))
			fault(&lost, "message %s is not delivered, %s", mails[i].uid,
			      gone.p[i] == 'D' ? "and deleted" : "and on the server");
		if (got[i] > 1)
			fault(&doubled, "message %s is delivered %u times", mails[i].uid, got[i]);
		if (s->keep ? gone.p[i] == 'D' : clean && gone.p[i] != 'D')
			fault(&untrue, "message %s is %s", mails[i].uid, s->keep ? "deleted" : "an orphan");
		done = done && got[i] > 0 && (s->keep || gone.p[i] == 'D');
	}
	check_rest("run/maildir/tmp", "");
	check_rest("run/maildir/cur", "");
	check_rest("run/home/.local/state/mailhaul/work", " journal lock last ");
	if (open("run/mbox.lock", O_RDONLY) >= 0)
		fault(&untrue, "run/mbox.lock is left");
	check_words(status, done, clean || s->keep);
	free(gone.p);
}

/* One point: a run with the trouble that the line of script makes, and one without. */
static void try_point(const struct setting *s, const char *trouble)
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
	stop_pop3d(server);
	points++;
}

/* -- the reference ------------------------------------------------------------------------ */

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
	stop_pop3d(server);
	return said;
}

/* Runs the session undisturbed: what it is like, and that there is something to cut. */
static void learn(struct setting *s)
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
	stop_pop3d(server);
	heard = read_file("run/transcript");
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

/* -- the points --------------------------------------------------------------------------- */

/* Whether a cut here is near a line's end, in the bytes themselves or at either end of all. */
static bool is_edge(const struct bytes *said, size_t at)
{
	return at <= 1 || at + 1 >= said->len || said->p[at] == '\n' || said->p[at - 1] == '\n' ||
	       said->p[at - 2] == '\n' || said->p[at] == '.';
}

/* Every point, or so many, two of three at edges; another choice for each setting. */
static void cut_all(const struct setting *s, int how, unsigned long want, size_t phase)
{
	size_t all = s->said.len + 1, step = 7919 % all ? 7919 : 7927;
	unsigned long tried = 0, edges = 0;
	char trouble[100];

	for (size_t i = 0; i < all && (want == 0 || tried < want); i++) {
		size_t at = want == 0 ? i : (i * step + phase) % all;

		if (want > 0 && edges * 3 < tried * 2 && !is_edge(&s->said, at))
			continue;
		edges += is_edge(&s->said, at);
		snprintf(trouble, sizeof trouble, "cut-after %zu %s conn 1", at, hows[how]);
		try_point(s, trouble);
		tried++;
	}
}

/* The end at each command, unanswered; and QUIT obeyed, but not answered. */
static void hang_up_all(const struct setting *s, int how, unsigned long want, size_t phase)
{
	unsigned step = want > 0 ? s->commands / (unsigned)want + 1 : 1;
	char trouble[100];

	for (unsigned k = 1 + (unsigned)phase % step; k <= s->commands; k += step) {
		snprintf(trouble, sizeof trouble, "on ANY nth %u conn 1 %s", k,
		         how == RST ? "reset" : "close");
		try_point(s, trouble);
	}
	if (how == FIN)
		try_point(s, "on QUIT conn 1 apply-close");
}

/* Whether the first connection came to the end of the handshake. */
static bool has_shaken(void)
{
	struct bytes transcript = read_file("run/transcript");
	bool has = strncmp(transcript.p, "-- connect\n-- tls\n", 18) == 0;

	free(transcript.p);
	return has;
}

/* The end after each byte of the handshake. */
static void shake_all(const struct setting *s, int how, unsigned long want)
{
	char trouble[100];
	unsigned n = 0;

	do {
		snprintf(trouble, sizeof trouble, "on TLS conn 1 %s %u",
		         how == RST ? "cut-reset" : "cut-notls", n);
		try_point(s, trouble);
		n += want > 0 ? 211 : 1;
	} while (!has_shaken());
}

/* -- all of it ---------------------------------------------------------------------------- */

static void check(const struct setting *s, const char *how, unsigned long before)
{
	char name[200];

	snprintf(name, sizeof name, "%s, %s, %s, %s: %lu cuts", dests[s->dest],
	         s->keep ? "keep" : "delete", modes[s->mode], how, points - before);
	OK(faults == 0, name);
	fflush(stdout);
	faults = 0;
}

static void try_setting(struct setting *s, int how, unsigned long want, size_t phase)
{
	unsigned long before = points;

	s->tls = how == TLS || how == NOTLS;
	if (s->tls && !certs)
		return;
	cut_all(s, how, want, phase);
	check(s, hows[how], before);
	before = points;
	if (!s->tls) {
		hang_up_all(s, how, want ? want / 3 + 1 : 0, phase);
		check(s, how == RST ? "RST at commands" : "FIN at commands", before);
	} else if (s->dest == MAILDIR && !s->keep && s->mode == LOCK_STEP) {
		shake_all(s, how == NOTLS ? FIN : RST, want);
		check(s, how == NOTLS ? "FIN in the handshake" : "RST in the handshake", before);
	}
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
		die("%s -x: %s", pop3d, read_file("errors").p);
	for (size_t i = 0; i < MAILS; i++) {
		struct bytes *from = &expected[i], *to = &quoted[i];

		snprintf(path, sizeof path, "want/%zu", i + 1);
		*from = read_file(path);
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

/* As the MDA: keeps what comes in under its UID, with a name that is nobody else's. */
static int be_mda(const char *dir)
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

int main(int argc, char **argv)
{
	unsigned long want = 0;
	const char *base;
	struct stat st;
	sigset_t set;
	ssize_t n;
	int option, failed;

	while ((option = getopt(argc, argv, "n:c:m:")) != -1) {
		if (option == 'm')
			return be_mda(optarg);
		else if (option == 'c')
			certs = need(realpath(optarg, NULL));
		else if (option == 'n')
			for (const char *p = optarg; *p >= '0' && *p <= '9'; p++)
				want = want * 10 + (unsigned long)(*p - '0');
		else
			return 2;
	}
	pop3d = getenv("POP3D");
	mailhaul = getenv("MAILHAUL");
	if (!pop3d || !mailhaul)
		die("POP3D and MAILHAUL are not set");
	if ((n = readlink("/proc/self/exe", self, sizeof self - 1)) < 0)
		die("/proc/self/exe: %s", strerror(errno));
	base = getenv("TMPDIR");
	if (!base)
		base = stat("/dev/shm", &st) == 0 && (st.st_mode & S_ISVTX) ? "/dev/shm" : "/tmp";
	snprintf(root, sizeof root, "%s/mailhaul-cut.XXXXXX", base);
	if (!mkdtemp(root) || chdir(root) != 0)
		die("%s: %s", root, strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_CONFIG_HOME");
	snprintf(home, sizeof home, "%s/run/home", root);
	setenv("HOME", home, 1);
	prepare();
	for (int i = 0; i < SETTINGS; i++) {
		struct setting s = {.dest = i % 3, .keep = i / 3 % 2, .mode = i / 6};

		learn(&s);
		for (int how = FIN; how <= NOTLS; how++)
			try_setting(&s, how, want ? want / SETTINGS / 4 + 1 : 0, (size_t)(i * 4 + how) * 101);
		free(s.said.p);
	}
	if (chdir("/") == 0)
		remove_tree(root);
	failed = tap_end();
	printf("# %lu cuts, %lu runs%s: %lu lost, %lu doubled, %lu partial, %lu otherwise wrong\n",
	       points, sessions, certs ? "" : " (none in TLS: there are no certificates)", lost,
	       doubled, partial, untrue);
	return failed;
}

/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the life of one account's process.
 *
 * The steps stand in `steps`, and their order is the security design: what was left open by a
 * crash is settled before anybody dials; the user's own programs run before a hostile byte is
 * read; a destination that cannot be used is found out before the server is bothered.  After
 * the connection is made nothing is executed any more: an MDA is the supervisor's to run.
 *
 * There are two exceptions, between two sessions, when the connection to that server is closed: a
 * command whose password or token was refused is run once more, and a tunnel for each session.
 *
 * The worker prints nothing.  Its notes, failures and last word go through the link.
 */
#include "config.h"

#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "deliver.h"
#include "fetch.h"
#include "file.h"
#include "history.h"
#include "inspect.h"
#include "link.h"
#include "look.h"
#include "manners.h"
#include "pop3.h"
#include "secret.h"
#include "seen.h"
#include "settle.h"
#include "status.h"
#include "tls.h"

#define DAY 86400
#define LEAST_WINDOW 100  /* messages of a session behind which more may wait */
#define MOST_WINDOWS 1000 /* sessions of a run */
#define CERT_DAYS 14 /* before its end a certificate is warned of */
#define LOOK_AGAIN_MS 200     /* how often the end of another run is looked for */
#define MOST_WAIT_MS 3600000  /* and how long: no wait is without end */

/* Every destination there is: a new one is a line here. */
static const struct deliver_ops *const destinations[] = {
	&deliver_maildir, &deliver_mbox, &deliver_mda, &deliver_stdout, NULL,
};

struct worker {
	const struct account *account; /* foreign */
	int link;                      /* foreign */
	char *state_dir;
	char run[SPOOL_TOKEN / 2 + 1];
	char host[64];                 /* our own name */
	char *password;                /* or token */
	bool asked_again;              /* its command was run a second time */
	bool refused;                  /* by the server: the last session's login */
	bool windows;                  /* a session shows a part of the mailbox */
	struct seen *seen;
	struct deliver deliver;
	struct tls_trust *trust;
	struct conn conn;
	struct fetch_tally tally;
};

/* note() has no argument to carry it. */
static int note_link = -1;

static void send_note(enum note_level level, const char *text)
{
	struct event event = {.kind = EVENT_NOTE, .level = level};

	text_copy(event.text, sizeof event.text, text);
	link_tell(note_link, &event);
}

static void send_alive(void *arg)
{
	const struct worker *w = arg;

	link_tell(w->link, &(struct event){.kind = EVENT_ALIVE});
}

char *worker_state_dir(const char *account)
{
	struct str path = {.max = 8192};
	char *base = file_xdg("XDG_STATE_HOME", ".local/state");

	if (base != NULL)
		str_printf(&path, "%s/%s", base, account);
	free(base);
	return path.s;
}

/* -- the steps ---------------------------------------------------------------------------- */

/* The journal, and with it the lock: this account is being fetched by us.  Where another run has
 * it, the user may rather wait. */
static int open_journal(struct worker *w, struct error *err)
{
	uint64_t until = clock_ms() + MOST_WAIT_MS;

	w->state_dir = worker_state_dir(w->account->name);
	if (w->state_dir == NULL)
		return error_set(err, ERR_CONFIG, "there is no home directory to keep the journal in; "
		                 "set HOME or XDG_STATE_HOME");
	while (seen_open(&w->seen, w->state_dir, w->account->rebuild, err) == -1) {
		if (!err->waiting || !w->account->wait || clock_ms() >= until)
			return -1;
		if (stop_asked())
			return error_set(err, ERR_STOP, "stopped while waiting for another run to end");
		send_alive(w);
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
	return 0;
}

static const struct deliver_ops *destination_of(const struct target *target)
{
	if (target->maildir != NULL)
		return &deliver_maildir;
	if (target->mbox != NULL)
		return &deliver_mbox;
	return target->to_stdout ? &deliver_stdout : &deliver_mda;
}

static int open_destination(struct worker *w, struct error *err)
{
	struct deliver *d = &w->deliver;

	random_hex(w->run, SPOOL_TOKEN / 4);
	deliver_host_name(w->host, sizeof w->host);
	*d = (struct deliver){
		.ops = destination_of(&w->account->target),
		.account = w->account,
		.state_dir = w->state_dir,
		.run = w->run,
		.path = "",
		.link_fd = w->link,
		.style = {
			.received = w->account->target.received,
			.from_host = w->account->server.host,
			.from_address = w->conn.peer,
			.protocol = w->account->server.tls == TLS_OFF ? "POP3" : "POP3S",
			.by_host = w->host,
		},
	};
	if (settle_run(w->seen, d, destinations, err) == -1)
		return -1;
	return d->ops->open(d, err);
}

/* Before a command that may ask a person for something is run in vain. */
static int wait_turn(struct worker *w, struct error *err)
{
	return manners_may_dial(w->seen, (uint64_t)time(NULL), err);
}

/* While a command asks a person for something the terminal is left to it. */
static char *ask_password(const struct worker *w, struct error *err)
{
	struct event event = {.kind = EVENT_ASKING, .num = secret_may_change(&w->account->login)};
	char *password;

	link_tell(w->link, &event);
	password = secret_get(&w->account->login, err);
	event.num = 0;
	link_tell(w->link, &event);
	return password;
}

static int get_password(struct worker *w, struct error *err)
{
	w->password = ask_password(w, err);
	if (w->password == NULL)
		return -1;
	return manners_may_try(w->seen, w->account, w->password, (uint64_t)time(NULL), err);
}

static int load_trust(struct worker *w, struct error *err)
{
	if (w->account->server.tls == TLS_OFF)
		return 0;
	w->trust = tls_trust_load(&w->account->server, TLS_JUDGE, err);
	return w->trust != NULL ? 0 : -1;
}

/* True once a day: cron would else tell the same every five minutes.  The file's time is the
 * memory; where there can be none, it is told each time. */
static bool is_due(const char *state_dir)
{
	struct str path = {.max = 8192};
	time_t now = time(NULL);
	struct stat st;
	bool due = true;
	int fd;

	str_printf(&path, "%s/warned", state_dir);
	fd = open(path.s, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 && errno == EEXIST)
		fd = open(path.s, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	else if (fd != -1)
		now = 0; /* it is new */
	if (fd != -1 && now != 0 && fstat(fd, &st) == 0)
		due = st.st_mtime > now || now - st.st_mtime >= DAY;
	if (fd != -1 && due)
		(void)futimens(fd, NULL);
	if (fd != -1)
		close(fd);
	str_free(&path);
	return due;
}

/* Says in good time that the server will soon be refused.  With pins nobody looks at dates. */
static void warn_of_end(const struct worker *w)
{
	const struct server *server = &w->account->server;
	int64_t now = (int64_t)time(NULL), until;
	char day[16];

	if (w->conn.tls == NULL || server->tls_pin != NULL)
		return;
	until = tls_cert(w->conn.tls)->until;
	if (until - now < CERT_DAYS * DAY && is_due(w->state_dir))
		note(NOTE_WARN, "the certificate of %s ends in %lld days, on %s: if it is not made anew, "
		     "no mail can be fetched from then on; tell the provider", server->host,
		     (long long)(until - now) / DAY, cert_day(day, until));
}

enum session { SESSION_FETCH, SESSION_DELETES, SESSION_LOOK };

/* A session that takes no mail.  What it has found goes the way of a tally. */
static int look_around(struct worker *w, struct pop3 *pop3, struct error *err)
{
	struct look look = {.account = w->account, .pop3 = pop3, .seen = w->seen, .link = w->link};
	int rc = look_run(&look, err);

	w->tally.fetched = look.waiting;
	w->tally.bytes = look.octets;
	w->tally.kept = look.kept;
	return rc;
}

/* One session.  *was_ahead: pop3_was_ahead at its end. */
static int run_session(struct worker *w, enum session kind, bool lock_step, bool *was_ahead,
                       struct error *err)
{
	struct pop3 pop3 = {.lock_step = lock_step};
	struct error late;
	struct fetch fetch = {
		.account = w->account,
		.pop3 = &pop3,
		.seen = w->seen,
		.deliver = &w->deliver,
		.link = w->link,
		.deletes_only = kind == SESSION_DELETES,
		.tally = &w->tally,
	};
	int rc;

	w->conn = (struct conn){.fd = -1, .alive = send_alive, .alive_arg = w};
	rc = conn_dial(&w->conn, &w->account->server, err);
	if (rc == 0)
		rc = pop3_start(&pop3, &w->conn, w->account, w->trust, w->password, err);
	if (rc == 0)
		warn_of_end(w);
	if (rc == 0)
		rc = kind == SESSION_LOOK ? look_around(w, &pop3, err) : fetch_run(&fetch, err);
	note(NOTE_INFO, "%lu round trip%s", w->conn.flights,
	     w->conn.flights == 1 ? "" : "s");
	*was_ahead = pop3_was_ahead(&pop3);
	w->refused = pop3.refused;
	w->windows = pop3.capa.windows;
	if (manners_learn(w->seen, w->account, w->password, &pop3, (uint64_t)time(NULL),
	                  rc == 0 ? err : &late) == -1)
		rc = -1;
	if (rc == -1 && w->refused && seen_login(w->seen)->refused >= MANNERS_REFUSALS)
		error_wrap(err, "refused %llu times in a row, and not tried again for an hour unless user "
		           "or password change",
		           (unsigned long long)seen_login(w->seen)->refused);
	pop3_free(&pop3);
	conn_close(&w->conn);
	return rc;
}

/* A token lives for an hour or so, and a password may have been changed: where the server refuses
 * what a command said, the command is asked once more.  True where it now says something else. */
static bool ask_again(struct worker *w)
{
	char *old = w->password;
	struct error err;

	if (!w->refused || w->asked_again || !secret_may_change(&w->account->login) || stop_requested)
		return false;
	w->asked_again = true;
	note(NOTE_INFO, "the server refused what the command said; it is run once more");
	w->password = ask_password(w, &err);
	if (w->password == NULL || strcmp(w->password, old) == 0) {
		if (w->password == NULL)
			note(NOTE_WARN, "%s", err.text);
		secret_free(&w->password);
		w->password = old;
		return false;
	}
	secret_free(&old);
	return true;
}

/* Fetches; and where the server broke with several commands before it, once more in lock-step.
 * The journal keeps what the first session brought, so nothing comes twice.  A network that
 * failed looks the same: so once is forgiven, and after twice pipelining is left for 30 days. */
static int fetch_mail(struct worker *w, struct error *err)
{
	uint64_t now = (uint64_t)time(NULL);
	bool lock_step = seen_lock_step(w->seen, now), was_ahead, broke;
	int rc = run_session(w, SESSION_FETCH, lock_step, &was_ahead, err);

	if (rc == -1 && ask_again(w))
		rc = run_session(w, SESSION_FETCH, lock_step, &was_ahead, err);
	broke = rc == -1 && was_ahead && !w->tally.stuck &&
	        (err->kind == ERR_PROTOCOL || err->kind == ERR_TEMP);
	if (broke) {
		struct error first = *err;
		bool listed = w->tally.listed;
		uint64_t kept = w->tally.kept;

		note(NOTE_INFO, "%s; once more, one command at a time", first.text);
		w->tally.failed = w->tally.due = 0;
		w->tally.unsafe = false;
		rc = run_session(w, SESSION_FETCH, true, &was_ahead, err);
		if (listed) /* the second listing counts what the first session has brought */
			w->tally.kept = kept;
		if (rc == -1 && err->kind == ERR_TEMP) /* "in use", by the session we just lost */
			*err = first;
		else if (rc == -1 && err->kind == ERR_UNAVAILABLE) /* not why it broke */
			error_wrap(err, "%.250s; once more", first.text);
	}
	if (rc == 0 && !lock_step)
		rc = seen_pipelining(w->seen, broke, now, err);
	return rc;
}

/* Gmail shows a few hundred messages in a session, and the next ones in the next: so where a window
 * came that may have been a full one, there is another session, until one brings little. */
static int fetch_all(struct worker *w, struct error *err)
{
	uint64_t before, kept;
	int rc;

	for (unsigned windows = 1;; windows++) {
		before = w->tally.fetched;
		kept = w->tally.kept;
		rc = fetch_mail(w, err);
		if (windows > 1) /* what the first sessions brought is listed again where it stays */
			w->tally.kept = kept;
		if (rc == -1 || !w->windows || w->tally.fetched - before < LEAST_WINDOW ||
		    windows == MOST_WINDOWS || w->account->policy.limit > 0 || w->tally.unsafe ||
		    stop_requested)
			return rc;
		note(NOTE_INFO, "this server shows its mail in parts: one more session");
	}
}

/* A session that may not QUIT leaves its deletes undone; one without RETR can do them at once, so
 * that a message which ends every session cannot keep the others on the server. */
static int run_sessions(struct worker *w, struct error *err)
{
	int rc = fetch_all(w, err);
	struct error late;
	bool was_ahead;

	if (!w->tally.unsafe || w->tally.due == 0 || stop_requested)
		return rc;
	w->tally.unsafe = false;
	if (run_session(w, SESSION_DELETES, true, &was_ahead, rc == 0 ? err : &late) == -1)
		return -1;
	return rc;
}

/* It takes the journal as it is: what a crash has left is for the next fetch to settle. */
static int look_at_mail(struct worker *w, struct error *err)
{
	bool lock_step = seen_lock_step(w->seen, (uint64_t)time(NULL)), was_ahead;
	int rc = run_session(w, SESSION_LOOK, lock_step, &was_ahead, err);

	if (rc == -1 && ask_again(w))
		rc = run_session(w, SESSION_LOOK, lock_step, &was_ahead, err);
	return rc;
}

/* -- from the first to the last ----------------------------------------------------------- */

static int live(struct worker *w, struct error *err)
{
	static int (*const steps[])(struct worker *, struct error *) = {
		open_journal, open_destination, wait_turn, get_password, load_trust, run_sessions, NULL,
	};
	static int (*const looks[])(struct worker *, struct error *) = {
		open_journal, wait_turn, get_password, load_trust, look_at_mail, NULL,
	};
	int (*const *way)(struct worker *, struct error *) = w->account->look ? looks : steps;

	for (; *way != NULL; way++) {
		if (stop_asked())
			return error_set(err, ERR_STOP, "stopped by a signal");
		if ((*way)(w, err) == -1)
			return -1;
	}
	return 0;
}

static int show_status(struct worker *w, struct error *err)
{
	w->state_dir = worker_state_dir(w->account->name);
	if (w->state_dir == NULL)
		return error_set(err, ERR_CONFIG, "there is no home directory to look for the journal in");
	return status_run(w->account, w->state_dir, w->link, err);
}

/* Takes down how a run ended, and says what those are to be told who do not look on.  Who looks on
 * is told each time, and that uses up nobody's word. */
static enum note_level remember(const struct account *account, const char *state_dir,
                                const struct error *err, uint64_t fetched,
                                char text[HISTORY_TEXT])
{
	enum history_news news = HISTORY_FAILED;

	text_copy(text, HISTORY_TEXT, err != NULL ? err->text : "");
	if (state_dir != NULL && !account->look && !account->inspect &&
	    (err == NULL || err->kind != ERR_STOP))
		news = history_add(state_dir, err, fetched,
		                   account->watched ? HISTORY_WATCHED : account->policy.complain_after,
		                   (uint64_t)time(NULL), text);
	if (news == HISTORY_OVER)
		note(NOTE_WARN, "%s", text);
	return news == HISTORY_SILENT ? NOTE_INFO : NOTE_WARN;
}

/* err is NULL where all went well; text is what is told of it, where level says that it is. */
static void say_last_words(const struct worker *w, const struct error *err, enum note_level level,
                           const char *text)
{
	struct event event;

	if (err != NULL) {
		event = (struct event){.kind = EVENT_ERROR, .error = err->kind, .level = level};
		text_copy(event.text, sizeof event.text, text);
		link_tell(w->link, &event);
	}
	event = (struct event){
		.kind = EVENT_DONE,
		.num = w->tally.fetched,
		.bytes = w->tally.bytes,
		.kept = w->tally.kept,
		.deleted = w->tally.deleted,
		.failed = w->tally.failed,
	};
	link_tell(w->link, &event);
}

int worker_main(const struct account *account, int link)
{
	struct worker w = {.account = account, .link = link, .conn = {.fd = -1}};
	struct error err = {0};
	char text[HISTORY_TEXT];
	enum note_level level;
	bool clean = true;
	int rc;

	note_link = link;
	note_hook = send_note;
	if (account->inspect)
		rc = inspect_run(account, link, &err);
	else
		rc = account->look == LOOK_STATUS ? show_status(&w, &err) : live(&w, &err);
	secret_free(&w.password);
	conn_close(&w.conn);
	if (w.deliver.own != NULL)
		clean = w.deliver.ops->close(&w.deliver);
	spooler_free(&w.deliver.pen);
	level = remember(account, w.state_dir, rc == -1 ? &err : NULL, w.tally.fetched, text);
	seen_close(&w.seen, rc == 0 && clean && !account->look);
	tls_trust_free(&w.trust);
	free(w.state_dir);
	say_last_words(&w, rc == -1 ? &err : NULL, level, text);
	return rc == -1 ? error_exit_code(err.kind) : 0;
}

enum note_level worker_failed(const struct account *account, struct error *err)
{
	char *state_dir = worker_state_dir(account->name), text[HISTORY_TEXT];
	enum note_level level = remember(account, state_dir, err, 0, text);

	text_copy(err->text, sizeof err->text, text);
	free(state_dir);
	return level;
}

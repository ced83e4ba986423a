/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the life of one account's process.
 *
 * The steps stand in `steps`, and their order is the security design: what was left open by a
 * crash is settled before anybody dials; the user's own programs run before a hostile byte is
 * read; a destination that cannot be used is found out before the server is bothered.  After
 * the connection is made nothing is executed any more: an MDA is the supervisor's to run.
 *
 * The worker prints nothing.  Its notes, failures and last word go through the link.
 */
#include "config.h"

#include "worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conn.h"
#include "deliver.h"
#include "fetch.h"
#include "file.h"
#include "link.h"
#include "pop3.h"
#include "secret.h"
#include "seen.h"
#include "settle.h"
#include "tls.h"

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
	char *password;
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
	struct error ignored;

	text_copy(event.text, sizeof event.text, text);
	link_send(note_link, &event, -1, &ignored);
}

static void send_alive(void *arg)
{
	const struct worker *w = arg;
	struct error ignored;

	link_send(w->link, &(struct event){.kind = EVENT_ALIVE}, -1, &ignored);
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

/* The journal, and with it the lock: this account is being fetched by us. */
static int open_journal(struct worker *w, struct error *err)
{
	w->state_dir = worker_state_dir(w->account->name);
	if (w->state_dir == NULL)
		return error_set(err, ERR_CONFIG, "there is no home directory to keep the journal in; "
		                 "set HOME or XDG_STATE_HOME");
	return seen_open(&w->seen, w->state_dir, w->account->rebuild, err);
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

static int get_password(struct worker *w, struct error *err)
{
	w->password = secret_get(&w->account->login, err);
	return w->password != NULL ? 0 : -1;
}

static int load_trust(struct worker *w, struct error *err)
{
	if (w->account->server.tls == TLS_OFF)
		return 0;
	w->trust = tls_trust_load(w->account->server.tls_ca_file, err);
	return w->trust != NULL ? 0 : -1;
}

enum session { SESSION_FETCH, SESSION_DELETES };

/* One session.  *was_ahead: pop3_was_ahead at its end. */
static int run_session(struct worker *w, enum session kind, bool lock_step, bool *was_ahead,
                       struct error *err)
{
	struct pop3 pop3 = {.lock_step = lock_step};
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
		rc = fetch_run(&fetch, err);
	note(NOTE_INFO, "%lu times the server had answered everything and we waited",
	     w->conn.flights);
	*was_ahead = pop3_was_ahead(&pop3);
	pop3_free(&pop3);
	conn_close(&w->conn);
	return rc;
}

/* Fetches; and where the server broke with several commands before it, once more in lock-step.
 * The journal keeps what the first session brought, so nothing comes twice.  A network that
 * failed looks the same: so once is forgiven, and after twice pipelining is left for 30 days. */
static int fetch_mail(struct worker *w, struct error *err)
{
	uint64_t now = (uint64_t)time(NULL);
	bool lock_step = seen_lock_step(w->seen, now), was_ahead, broke;
	int rc = run_session(w, SESSION_FETCH, lock_step, &was_ahead, err);

	broke = rc == -1 && was_ahead && !w->tally.stuck &&
	        (err->kind == ERR_PROTOCOL || err->kind == ERR_TEMP);
	if (broke) {
		struct error first = *err;
		uint64_t kept = w->tally.kept;

		note(NOTE_INFO, "%s; once more, one command at a time", first.text);
		w->tally.failed = w->tally.due = 0;
		w->tally.unsafe = false;
		rc = run_session(w, SESSION_FETCH, true, &was_ahead, err);
		w->tally.kept = kept; /* the second listing counts what the first has brought */
		if (rc == -1 && err->kind == ERR_TEMP) /* "in use", by the session we just lost */
			*err = first;
	}
	if (rc == 0 && !lock_step)
		rc = seen_pipelining(w->seen, broke, now, err);
	return rc;
}

/* A session that may not QUIT leaves its deletes undone; one without RETR can do them at once, so
 * that a message which ends every session cannot keep the others on the server. */
static int run_sessions(struct worker *w, struct error *err)
{
	int rc = fetch_mail(w, err);
	struct error late;
	bool was_ahead;

	if (!w->tally.unsafe || w->tally.due == 0 || stop_requested)
		return rc;
	w->tally.unsafe = false;
	if (run_session(w, SESSION_DELETES, true, &was_ahead, rc == 0 ? err : &late) == -1)
		return -1;
	return rc;
}

/* -- from the first to the last ----------------------------------------------------------- */

static int live(struct worker *w, struct error *err)
{
	static int (*const steps[])(struct worker *, struct error *) = {
		open_journal, open_destination, get_password, load_trust, run_sessions,
	};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		if (stop_asked())
			return error_set(err, ERR_STOP, "stopped by a signal");
		if (steps[i](w, err) == -1)
			return -1;
	}
	return 0;
}

/* err is NULL where all went well. */
static void say_last_words(const struct worker *w, const struct error *err)
{
	struct event event;
	struct error ignored;

	if (err != NULL) {
		event = (struct event){.kind = EVENT_ERROR, .error = err->kind};
		text_copy(event.text, sizeof event.text, err->text);
		link_send(w->link, &event, -1, &ignored);
	}
	event = (struct event){
		.kind = EVENT_DONE,
		.num = w->tally.fetched,
		.bytes = w->tally.bytes,
		.kept = w->tally.kept,
		.deleted = w->tally.deleted,
		.failed = w->tally.failed,
	};
	link_send(w->link, &event, -1, &ignored);
}

int worker_main(const struct account *account, int link)
{
	struct worker w = {.account = account, .link = link, .conn = {.fd = -1}};
	struct error err = {0};
	bool clean = true;
	int rc;

	note_link = link;
	note_hook = send_note;
	rc = live(&w, &err);
	secret_free(&w.password);
	conn_close(&w.conn);
	if (w.deliver.own != NULL)
		clean = w.deliver.ops->close(&w.deliver);
	spooler_free(&w.deliver.pen);
	seen_close(&w.seen, rc == 0 && clean);
	tls_trust_free(&w.trust);
	free(w.state_dir);
	say_last_words(&w, rc == -1 ? &err : NULL);
	return rc == -1 ? error_exit_code(err.kind) : 0;
}
